"""A small world on LiteSVM: a wallet with every kind of thing it can own, and strangers around it.

Instructions are written out byte by byte here, not with the tables under test.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from solders.account import Account
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message, MessageV0, MessageV1, TransactionConfig
from solders.pubkey import Pubkey
from solders.token.state import Mint, TokenAccount, TokenAccountState
from solders.transaction import VersionedTransaction

SYSTEM = Pubkey.from_string("11111111111111111111111111111111")
TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
ATA = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
NATIVE = Pubkey.from_string("So11111111111111111111111111111111111111112")
RECENT_BLOCKHASHES = Pubkey.from_string("SysvarRecentB1ockHashes11111111111111111111")
RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
SOL = 1_000_000_000


def key(number: int) -> Keypair:
    """Gives a key pair that is the same in every run."""
    return Keypair.from_seed(number.to_bytes(32, "big"))


def meta(*keys: Pubkey, signers: Sequence[Pubkey] = ()) -> list[AccountMeta]:
    """Gives writable metas; those in `signers` sign."""
    return [AccountMeta(k, k in signers, is_writable=True) for k in keys]


def ata(owner: Pubkey, mint: Pubkey, program: Pubkey = TOKEN) -> Pubkey:
    """Derives an associated token account."""
    seeds = [bytes(owner), bytes(program), bytes(mint)]
    return Pubkey.find_program_address(seeds, ATA)[0]


def system(number: int, body: bytes, metas: list[AccountMeta]) -> Instruction:
    """Builds a System instruction."""
    return Instruction(SYSTEM, struct.pack("<I", number) + body, metas)


def transfer(source: Pubkey, to: Pubkey, lamports: int) -> Instruction:
    """Builds a System transfer."""
    return system(2, struct.pack("<Q", lamports), meta(source, to, signers=[source]))


def seeded(seed: bytes) -> bytes:
    """Packs a seed string."""
    return struct.pack("<Q", len(seed)) + seed


def price(micro_lamports: int) -> Instruction:
    """Builds SetComputeUnitPrice."""
    return Instruction(BUDGET, b"\3" + struct.pack("<Q", micro_lamports), [])


def limit(units: int) -> Instruction:
    """Builds SetComputeUnitLimit."""
    return Instruction(BUDGET, b"\2" + struct.pack("<I", units), [])


def create_ata(
    payer: Pubkey, owner: Pubkey, mint: Pubkey, program: Pubkey = TOKEN, data: bytes = b"\1"
) -> Instruction:
    """Builds the creation of an associated token account; b"\\1" is idempotent."""
    accounts = meta(payer, ata(owner, mint, program), owner, mint, SYSTEM, program, signers=[payer])
    return Instruction(ATA, data, accounts)


def wire(
    instructions: Sequence[Instruction],
    payer: Keypair,
    others: Sequence[Keypair] = (),
    *,
    version: int = -1,
    priority_fee: int | None = None,
    blockhash: Hash | None = None,
) -> bytes:
    """Builds a signed transaction: version -1 is legacy."""
    blockhash = blockhash or Hash.default()
    ixs = list(instructions)
    message: Message | MessageV0 | MessageV1
    if version == -1:
        message = Message.new_with_blockhash(ixs, payer.pubkey(), blockhash)
    elif version == 0:
        message = MessageV0.try_compile(payer.pubkey(), ixs, [], blockhash)
    else:
        config = TransactionConfig(
            priority_fee=priority_fee,
            compute_unit_limit=1_400_000,
            loaded_accounts_data_size_limit=1 << 26,
        )
        message = MessageV1.try_compile(payer.pubkey(), ixs, blockhash, config)
    known = {k.pubkey(): k for k in [payer, *others]}
    signers = message.account_keys[: message.header.num_required_signatures]
    return bytes(VersionedTransaction(message, [known[k] for k in signers]))


@dataclass(slots=True)
class World:
    """The wallet under test, a wallet beside it, a stranger who signs, and one who does not."""

    wallet: Keypair = field(default_factory=lambda: key(1))
    sibling: Keypair = field(default_factory=lambda: key(2))
    stranger: Keypair = field(default_factory=lambda: key(3))
    outsider: Pubkey = field(default_factory=lambda: key(4).pubkey())
    mint: Pubkey = field(default_factory=lambda: key(5).pubkey())
    mint_2022: Pubkey = field(default_factory=lambda: key(6).pubkey())
    nonce: Pubkey = field(default_factory=lambda: key(7).pubkey())
    mint_fee: Pubkey = field(default_factory=lambda: key(9).pubkey())
    svm: LiteSVM = field(default_factory=LiteSVM)

    def __post_init__(self) -> None:
        me = self.wallet.pubkey()
        for signer in (self.wallet, self.sibling, self.stranger):
            self._set(signer.pubkey(), 50 * SOL, b"", SYSTEM)
        for mint, program in self.mints:
            if mint != NATIVE:
                state = Mint(me, 10**15, 6, is_initialized=True, freeze_authority=me)
                self._set(mint, SOL, bytes(state), program)
            for owner in (me, self.sibling.pubkey(), self.stranger.pubkey()):
                self._set_token(owner, mint, program)
        self._set_fee_mint(me)
        nonce_state = struct.pack("<II", 1, 1) + bytes(me) + bytes(Hash.new_unique())
        self._set(self.nonce, 3 * SOL, nonce_state + struct.pack("<Q", 5000), SYSTEM)
        self._set(self.seed_account, 3 * SOL, b"", SYSTEM)

    @property
    def mints(self) -> list[tuple[Pubkey, Pubkey]]:
        """Every mint with its token program."""
        return [(self.mint, TOKEN), (NATIVE, TOKEN), (self.mint_2022, TOKEN_2022)]

    @property
    def seed_account(self) -> Pubkey:
        """A system account derived from the wallet and the seed "s"."""
        return Pubkey.create_with_seed(self.wallet.pubkey(), "s", SYSTEM)

    def lamports_controlled(self) -> int:
        """Lamports that the wallet's signature alone can move, token accounts aside."""
        mine = (self.wallet.pubkey(), self.nonce, self.seed_account)
        return sum(self.svm.get_balance(address) or 0 for address in mine)

    def tokens_owned(self, mint: Pubkey, program: Pubkey) -> int:
        """Base units in the wallet's associated token account."""
        account = self.svm.get_account(ata(self.wallet.pubkey(), mint, program))
        if account is None or len(account.data) < 165:
            return 0
        return TokenAccount.from_bytes(account.data[:165]).amount

    def _set(self, address: Pubkey, lamports: int, data: bytes, owner: Pubkey) -> None:
        self.svm.set_account(address, Account(lamports, data, owner))

    def _set_fee_mint(self, me: Pubkey) -> None:
        """A Token-2022 mint that keeps 1 % of each transfer, and accounts that can hold the fee."""
        fee = struct.pack("<QQH", 0, 2**40, 100)
        config = struct.pack("<HH", 1, 108) + bytes(me) * 2 + bytes(8) + fee * 2
        state = bytes(Mint(me, 10**15, 6, is_initialized=True, freeze_authority=me))
        self._set(self.mint_fee, SOL, state.ljust(165, b"\0") + b"\1" + config, TOKEN_2022)
        for owner in (me, self.stranger.pubkey()):
            account = TokenAccount(
                self.mint_fee, owner, 5 * SOL, None, TokenAccountState.Initialized, None, 0, None
            )
            data = bytes(account) + b"\2" + struct.pack("<HHQ", 2, 8, 0)
            self._set(ata(owner, self.mint_fee, TOKEN_2022), SOL // 100, data, TOKEN_2022)

    def _set_token(self, owner: Pubkey, mint: Pubkey, program: Pubkey) -> None:
        native = 2_039_280 if mint == NATIVE else None
        state = TokenAccount(
            mint, owner, 5 * SOL, None, TokenAccountState.Initialized, native, 0, None
        )
        lamports = 5 * SOL + 2_039_280 if native else SOL // 100
        self._set(ata(owner, mint, program), lamports, bytes(state), program)
