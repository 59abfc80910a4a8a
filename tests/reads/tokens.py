"""Mints and token accounts made by the real token programs, on the chain under a test's node."""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0, MessageV1, TransactionConfig
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from tests.support.svm_chain import SYSTEM_PROGRAM, Landed, SvmChain

TOKEN: Final = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022: Final = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
ATA: Final = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
SOL: Final = 10**9
_FEE_MINT_BYTES: Final = 166 + 4 + 108 + 4 + 64
_METADATA: Final = hashlib.sha256(b"spl_token_metadata_interface:initialize_account").digest()[:8]


def associated(owner: Pubkey, mint: Pubkey, program: Pubkey) -> Pubkey:
    """The associated token account's address."""
    return Pubkey.find_program_address([bytes(owner), bytes(program), bytes(mint)], ATA)[0]


def pay(source: Pubkey, to: Pubkey, lamports: int) -> Instruction:
    """A transfer of lamports."""
    return call(SYSTEM_PROGRAM, struct.pack("<IQ", 2, lamports), [source, to], [source])


def call(
    program: Pubkey, data: bytes, accounts: Sequence[Pubkey], signers: Sequence[Pubkey]
) -> Instruction:
    """An instruction on writable accounts."""
    return Instruction(program, data, [AccountMeta(k, k in signers, True) for k in accounts])


@dataclass
class TokenChain:
    """The chain, and an authority over all mints that also pays. Each transaction has a block of
    its own, unless `advances` is false.
    """

    chain: SvmChain
    boss: Keypair = field(default_factory=Keypair)
    advances: bool = True

    def __post_init__(self) -> None:
        """Funds the authority."""
        self.chain.fund(self.boss.pubkey(), 1_000 * SOL)

    def land(
        self,
        instructions: Sequence[Instruction],
        *others: Keypair,
        payer: Keypair | None = None,
        version: int | None = None,
        succeeds: bool = True,
    ) -> Landed:
        """Lands a transaction; version None is legacy."""
        payer = payer or self.boss
        blockhash, _ = self.chain.latest_blockhash("confirmed")
        key = payer.pubkey()
        message: Message | MessageV0 | MessageV1
        if version is None:
            message = Message.new_with_blockhash(instructions, key, blockhash)
        elif version == 0:
            message = MessageV0.try_compile(key, instructions, [], blockhash)
        else:
            limits = TransactionConfig(None, 1_400_000, 1 << 26)
            message = MessageV1.try_compile(key, instructions, blockhash, limits)
        known = {pair.pubkey(): pair for pair in (payer, *others)}
        signers = message.account_keys[: message.header.num_required_signatures]
        transaction = VersionedTransaction(message, [known[signer] for signer in signers])
        self.chain.send(transaction)
        landed = self.chain.landed[transaction.signatures[0]]
        assert succeeds == (landed.error is None), landed.outcome.logs
        if self.advances:
            self.chain.advance()
        return landed

    def mint(self, program: Pubkey, decimals: int) -> Pubkey:
        """Makes a mint without extensions."""
        pair = Keypair()
        self.land([self._allocate(pair, 82, program), self._start(pair, program, decimals)], pair)
        return pair.pubkey()

    def fee_mint(self, decimals: int, symbol: str, basis_points: int = 100) -> Pubkey:
        """Makes a Token-2022 mint that keeps transfer fees and carries its own metadata."""
        pair, boss = Keypair(), self.boss.pubkey()
        key = pair.pubkey()
        who = b"\1" + bytes(boss)
        fees = b"\x1a\0" + who + who + struct.pack("<HQ", basis_points, 2**64 - 1)
        texts = b"".join(struct.pack("<I", len(t)) + t for t in (b"Name", symbol.encode(), b"u"))
        self.land(
            [
                self._allocate(pair, _FEE_MINT_BYTES, TOKEN_2022),
                call(TOKEN_2022, fees, [key], []),
                call(TOKEN_2022, b"\x27\0" + bytes(boss) + bytes(key), [key], []),
                self._start(pair, TOKEN_2022, decimals),
                call(TOKEN_2022, _METADATA + texts, [key, boss, key, boss], [boss]),
            ],
            pair,
        )
        return key

    def open(self, owner: Pubkey, mint: Pubkey, program: Pubkey) -> Pubkey:
        """Opens the associated account."""
        address = associated(owner, mint, program)
        boss = self.boss.pubkey()
        accounts = [boss, address, owner, mint, SYSTEM_PROGRAM, program]
        self.land([call(ATA, b"\1", accounts, [boss])])
        return address

    def open_auxiliary(self, owner: Pubkey, mint: Pubkey, program: Pubkey) -> Pubkey:
        """Opens an account of 165 bytes at an address of its own."""
        pair = Keypair()
        start = call(program, b"\x12" + bytes(owner), [pair.pubkey(), mint], [])
        self.land([self._allocate(pair, 165, program), start], pair)
        return pair.pubkey()

    def issue(self, mint: Pubkey, to: Pubkey, amount: int, program: Pubkey) -> None:
        """Mints base units into an account."""
        boss = self.boss.pubkey()
        self.land([call(program, struct.pack("<BQ", 7, amount), [mint, to, boss], [boss])])

    def freeze(self, account: Pubkey, mint: Pubkey, program: Pubkey) -> None:
        """Freezes an account."""
        boss = self.boss.pubkey()
        self.land([call(program, b"\x0a", [account, mint, boss], [boss])])

    def approve(self, account: Pubkey, owner: Keypair, delegate: Pubkey, amount: int) -> None:
        """Lets a delegate move an amount of an SPL Token account."""
        key = owner.pubkey()
        data = struct.pack("<BQ", 4, amount)
        self.land([call(TOKEN, data, [account, delegate, key], [key])], owner)

    def set_closer(self, account: Pubkey, owner: Keypair, closer: Pubkey) -> None:
        """Gives an SPL Token account a close authority."""
        key = owner.pubkey()
        self.land([call(TOKEN, b"\6\3\1" + bytes(closer), [account, key], [key])], owner)

    def move(
        self, source: Pubkey, owner: Keypair, to: Pubkey, mint: Pubkey, program: Pubkey,
        amount: int, decimals: int,
    ) -> Landed:  # fmt: skip
        """Transfers tokens, checked."""
        key = owner.pubkey()
        data = struct.pack("<BQB", 12, amount, decimals)
        return self.land([call(program, data, [source, mint, to, key], [key])], owner)

    def _allocate(self, pair: Keypair, size: int, program: Pubkey) -> Instruction:
        boss, key = self.boss.pubkey(), pair.pubkey()
        data = struct.pack("<IQQ", 0, SOL, size) + bytes(program)
        return call(SYSTEM_PROGRAM, data, [boss, key], [boss, key])

    def _start(self, pair: Keypair, program: Pubkey, decimals: int) -> Instruction:
        boss = bytes(self.boss.pubkey())
        return call(program, bytes([20, decimals]) + boss + b"\1" + boss, [pair.pubkey()], [])
