"""Attempts on the capital by the less trodden ways: nonces, stake, hooks, multisigs, programs.

As in test_drains: beside each attack stands its control, the same thing done honestly.
"""

import struct
from collections.abc import Callable, Iterator

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, CompiledInstruction, Instruction
from solders.keypair import Keypair
from solders.message import MessageHeader, MessageV0, TransactionConfig
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import (
    AdvanceNonceAccountParams,
    CreateAccountParams,
    TransferParams,
    advance_nonce_account,
    create_account,
    transfer,
)
from solders.transaction import VersionedTransaction

from solward.signer.v1 import signer_service_pb2 as pb
from tests.hostile.conftest import ASSOCIATED, LAMPORTS_MAX, POLICY, SYSTEM, TOKEN, Thief
from tests.signer.process import SignerProcess, signer_process

VAULT = "desk/destinations: vault"
NOT_ALLOWED = "desk/instructions_allow: not listed"
UNDECODED = "desk/programs: undecoded instruction"
CAP = f"desk/lamports_per_transaction_max: {LAMPORTS_MAX}"
TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
STAKE = Pubkey.from_string("Stake11111111111111111111111111111111111111")
SWAP, NONCE, MULTISIG, HOOK = (Keypair.from_seed(bytes([n]) * 32).pubkey() for n in range(71, 75))
SWAP_LAMPORTS = 4_000_000
PATIENT = 10  # the first index of the group that may use durable nonces
PATIENTS = POLICY.removeprefix("version = 1\n").replace('"desk"', '"patient"')
RULES = (
    POLICY.replace("index_last = 99", f"index_last = {PATIENT - 1}")
    + f'[group.trusted_programs]\n"{SWAP}" = {SWAP_LAMPORTS}\n'
    + PATIENTS.replace(
        'instructions_allow = ["', 'instructions_allow = ["system/advanceNonce", "'
    ).replace("index_last", f"index_first = {PATIENT}\nindex_last")
)


@pytest.fixture(scope="module")
def signer() -> Iterator[SignerProcess]:
    """A real signer that trusts one swap program, and lets some wallets use durable nonces."""
    with signer_process() as process:
        process.policy.write_text(RULES)
        process.start()
        yield process


def pay(thief: Thief, to: Pubkey, lamports: int = 1000, source: int = 0) -> Instruction:
    """A System transfer."""
    return transfer(TransferParams(from_pubkey=thief.key(source), to_pubkey=to, lamports=lamports))


def call(program: Pubkey, data: bytes, *roles: tuple[Pubkey, bool]) -> Instruction:
    """An instruction; of each account, whether it signs. All are writable."""
    metas = [AccountMeta(key, signs, is_writable=True) for key, signs in roles]
    return Instruction(program, data, metas)


def ata(owner: Pubkey, mint: Pubkey, program: Pubkey = TOKEN) -> Pubkey:
    """An associated token account."""
    seeds = [bytes(owner), bytes(program), bytes(mint)]
    return Pubkey.find_program_address(seeds, ASSOCIATED)[0]


def pay_tokens(
    thief: Thief,
    to: Pubkey,
    authority: list[tuple[Pubkey, bool]],
    program: Pubkey = TOKEN,
) -> Instruction:
    """A checked transfer of 5 to somebody's associated account; `authority` and what follows it."""
    source = ata(authority[0][0], thief.mint, program)
    accounts = [(source, False), (thief.mint, False), (ata(to, thief.mint, program), False)]
    return call(program, struct.pack("<BQB", 12, 5, 6), *accounts, *authority)


def advance(authority: Pubkey) -> Instruction:
    """The instruction that makes a transaction good for any later time."""
    return advance_nonce_account(
        AdvanceNonceAccountParams(nonce_pubkey=NONCE, authorized_pubkey=authority)
    )


def swap(thief: Thief, calls: int, *more: Instruction) -> pb.TransactionItem:
    """Calls of the trusted program with the wallet's signature."""
    return thief.item([call(SWAP, bytes([n]), (thief.key(), True)) for n in range(calls)] + [*more])


def patched(item: pb.TransactionItem, at: int, value: int) -> pb.TransactionItem:
    """The same with one byte set."""
    wire = bytearray(item.transaction)
    wire[at] = value
    item.transaction = bytes(wire)
    return item


def listed_twice(thief: Thief, second: Pubkey) -> pb.TransactionItem:
    """A payment to account 2 of a message whose accounts are wallet 0, `second`, wallet 1, System;
    the first two sign.
    """
    data = struct.pack("<IQ", 2, 5)
    message = MessageV0(
        MessageHeader(2, 0, 1),
        [thief.key(), second, thief.key(1), SYSTEM],
        Hash.new_unique(),
        [CompiledInstruction(3, data, bytes([0, 2]))],
        [],
    )
    slots = [Signature.default()] * 2
    item = thief.item([pay(thief, thief.key(1))])
    item.transaction = bytes(VersionedTransaction.populate(message, slots))
    return item


def new_stake_account(thief: Thief, address: Pubkey) -> Instruction:
    """CreateAccount of a stake account on wallet 0's lamports."""
    return create_account(
        CreateAccountParams(
            from_pubkey=thief.key(), to_pubkey=address, lamports=5_000, space=200, owner=STAKE
        )
    )


def owner_of(thief: Thief, kind: int, owner: Pubkey) -> Instruction:
    """SetAuthority: 0 mint, 1 freeze, 2 owner, 3 close."""
    data = bytes([6, kind, 1]) + bytes(owner)
    return call(TOKEN, data, (thief.mint, False), (thief.key(), True))


CONFIG = TransactionConfig(
    priority_fee=7,
    compute_unit_limit=1000,
    loaded_accounts_data_size_limit=1 << 20,
    heap_size=64 << 10,
)
Build = Callable[[Thief], pb.TransactionItem]
ATTACKS: dict[str, tuple[Build, str, Build]] = {
    "a durable nonce of the wallet's": (
        lambda t: t.item([advance(t.key()), pay(t, t.key(1))]),
        NOT_ALLOWED,
        lambda t: t.item(
            [advance(t.key(PATIENT)), pay(t, t.key(1), source=PATIENT)],
            payer=t.key(PATIENT),
            signers=(PATIENT,),
        ),
    ),
    "a durable nonce of the thief's": (
        lambda t: t.item([advance(t.loot), pay(t, t.key(1))]),
        NOT_ALLOWED,
        lambda t: t.item(
            [advance(t.loot), pay(t, t.key(1), source=PATIENT)],
            payer=t.key(PATIENT),
            signers=(PATIENT,),
        ),
    ),
    "a signer listed twice": (
        lambda t: listed_twice(t, t.key()),
        "TRANSACTION_MALFORMED",
        lambda t: listed_twice(t, t.key(2)),
    ),
    "stake, delegated": (
        lambda t: t.item([call(STAKE, struct.pack("<I", 2), (t.loot, False), (t.key(), True))]),
        "desk/programs: not listed",
        lambda t: t.item([pay(t, t.key(1))]),
    ),
    "a stake account for the thief": (
        lambda t: t.item([new_stake_account(t, t.loot)]),
        VAULT,
        lambda t: t.item([pay(t, t.key(1), 5_000)]),
    ),
    "our empty wallet made a stake account": (
        lambda t: t.item([new_stake_account(t, t.key(1))], signers=(0, 1)),
        NOT_ALLOWED,
        lambda t: t.item([pay(t, t.key(1), 5_000)]),
    ),
    "a transfer hook that is given a second wallet's signature": (
        lambda t: t.item(
            [pay_tokens(t, t.key(1), [(t.key(), True), (t.key(2), True)], TOKEN_2022)],
            signers=(0, 2),
        ),
        UNDECODED,
        lambda t: t.item([pay_tokens(t, t.key(1), [(t.key(), True), (HOOK, False)], TOKEN_2022)]),
    ),
    "a transfer hook with the fee payer's signature behind": (
        lambda t: t.item(
            [pay_tokens(t, t.key(2), [(t.key(1), True), (t.key(), True)], TOKEN_2022)],
            signers=(0, 1),
        ),
        UNDECODED,
        lambda t: t.item([pay_tokens(t, t.key(2), [(t.key(1), True)], TOKEN_2022)], signers=(0, 1)),
    ),
    "out of a multisig that the wallet is a signer of": (
        lambda t: t.item([pay_tokens(t, t.loot, [(MULTISIG, False), (t.key(), True)])]),
        VAULT,
        lambda t: t.item([pay_tokens(t, t.key(1), [(MULTISIG, False), (t.key(), True)])]),
    ),
    "the same under Token-2022": (
        lambda t: t.item(
            [pay_tokens(t, t.key(1), [(MULTISIG, False), (t.key(), True)], TOKEN_2022)]
        ),
        UNDECODED,
        lambda t: t.item([pay_tokens(t, t.key(1), [(t.key(), True)], TOKEN_2022)]),
    ),
    "an account frozen by our freeze authority": (
        lambda t: t.item([call(TOKEN, b"\x0a", (t.loot, False), (t.mint, False), (t.key(), True))]),
        NOT_ALLOWED,
        lambda t: t.item([pay_tokens(t, t.key(1), [(t.key(), True)])]),
    ),
    "the freeze authority given away": (
        lambda t: t.item([owner_of(t, 1, t.loot)]),
        VAULT,
        lambda t: t.item([owner_of(t, 1, t.key(1))]),
    ),
    "the close authority given away": (
        lambda t: t.item([owner_of(t, 3, t.loot)]),
        VAULT,
        lambda t: t.item([owner_of(t, 3, t.key(1))]),
    ),
    "more calls of a trusted program than the cap holds": (
        lambda t: swap(t, 3),
        CAP,
        lambda t: swap(t, 2),
    ),
    "a transfer on top of a trusted program": (
        lambda t: swap(t, 2, pay(t, t.key(1), LAMPORTS_MAX - 2 * SWAP_LAMPORTS)),
        CAP,
        lambda t: swap(t, 1, pay(t, t.key(1), LAMPORTS_MAX - 2 * SWAP_LAMPORTS)),
    ),
    "a transfer outside hidden behind a trusted program": (
        lambda t: swap(t, 1, pay(t, t.loot)),
        VAULT,
        lambda t: swap(t, 1, pay(t, t.key(1))),
    ),
    "a trusted program's fees, its signer a stranger": (
        lambda t: t.item([call(SWAP, b"", (t.loot, True)) for _ in range(3)]),
        CAP,
        lambda t: t.item([call(SWAP, b"", (t.loot, True)) for _ in range(2)]),
    ),
    "a v1 config field that does not exist": (
        lambda t: patched(t.item([pay(t, t.key(1))], version=1, config=CONFIG), 4, 0b111111),
        "TRANSACTION_MALFORMED",
        lambda t: patched(t.item([pay(t, t.key(1))], version=1, config=CONFIG), 4, 0b11111),
    ),
    "half of v1's priority fee": (
        lambda t: patched(t.item([pay(t, t.key(1))], version=1, config=CONFIG), 4, 0b11110),
        "TRANSACTION_MALFORMED",
        lambda t: t.item([pay(t, t.key(1))], version=1, config=CONFIG),
    ),
    "v1 config field left out of the mask, so that all behind it shifts": (
        lambda t: patched(t.item([pay(t, t.key(1))], version=1, config=CONFIG), 4, 0b01111),
        "TRANSACTION_MALFORMED",
        lambda t: t.item([pay(t, t.key(1))], version=1),
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused_and_the_honest_twin_is_signed(thief: Thief, name: str) -> None:
    """What reaches for the capital is refused with its rule or reason; its honest twin is not."""
    attack, rule, control = ATTACKS[name]
    assert (name, "signed") == (name, thief.outcome(control(thief)))
    assert (name, rule) == (name, thief.outcome(attack(thief)))
