"""Every way we know to take value out of a wallet that may only pay into the vault.

Each attack stands beside its control: the same thing done honestly, which is signed. Without it a
signer that refuses everything would pass.
"""

import struct
from collections.abc import Callable

import pytest
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import TransactionConfig
from solders.pubkey import Pubkey
from solders.system_program import (
    CreateAccountParams,
    TransferParams,
    create_account,
    transfer,
)

from solward.signer.v1 import signer_service_pb2 as pb
from tests.hostile.conftest import ASSOCIATED, LAMPORTS_MAX, SYSTEM, TOKEN, Thief

VAULT = "desk/destinations: vault"


def pay(thief: Thief, to: Pubkey, lamports: int = 1000, source: int = 0) -> Instruction:
    """A System transfer."""
    return transfer(TransferParams(from_pubkey=thief.key(source), to_pubkey=to, lamports=lamports))


def ata(owner: Pubkey, mint: Pubkey) -> Pubkey:
    """An associated token account."""
    seeds = [bytes(owner), bytes(TOKEN), bytes(mint)]
    return Pubkey.find_program_address(seeds, ASSOCIATED)[0]


def pay_tokens(thief: Thief, to: Pubkey, amount: int = 5) -> Instruction:
    """A checked token transfer from wallet 0 to a token account."""
    roles = [
        AccountMeta(ata(thief.key(), thief.mint), is_signer=False, is_writable=True),
        AccountMeta(thief.mint, is_signer=False, is_writable=False),
        AccountMeta(to, is_signer=False, is_writable=True),
        AccountMeta(thief.key(), is_signer=True, is_writable=False),
    ]
    return Instruction(TOKEN, struct.pack("<BQB", 12, amount, 6), roles)


def create_ata(thief: Thief, owner: Pubkey) -> Instruction:
    """An associated token account for somebody, on wallet 0's lamports."""
    roles = [
        AccountMeta(thief.key(), is_signer=True, is_writable=True),
        AccountMeta(ata(owner, thief.mint), is_signer=False, is_writable=True),
        AccountMeta(owner, is_signer=False, is_writable=False),
        AccountMeta(thief.mint, is_signer=False, is_writable=False),
        AccountMeta(SYSTEM, is_signer=False, is_writable=False),
        AccountMeta(TOKEN, is_signer=False, is_writable=False),
    ]
    return Instruction(ASSOCIATED, b"\1", roles)


def close(thief: Thief, refund_to: Pubkey) -> Instruction:
    """Close wallet 0's token account."""
    roles = [
        AccountMeta(ata(thief.key(), thief.mint), is_signer=False, is_writable=True),
        AccountMeta(refund_to, is_signer=False, is_writable=True),
        AccountMeta(thief.key(), is_signer=True, is_writable=False),
    ]
    return Instruction(TOKEN, b"\x09", roles)


def set_owner(thief: Thief, owner: Pubkey) -> Instruction:
    """SetAuthority AccountOwner on wallet 0's token account."""
    roles = [
        AccountMeta(ata(thief.key(), thief.mint), is_signer=False, is_writable=True),
        AccountMeta(thief.key(), is_signer=True, is_writable=False),
    ]
    return Instruction(TOKEN, bytes([6, 2, 1]) + bytes(owner), roles)


def approve_checked(thief: Thief, delegate: Pubkey) -> Instruction:
    """ApproveChecked 5 base units to a delegate."""
    roles = [
        AccountMeta(ata(thief.key(), thief.mint), is_signer=False, is_writable=True),
        AccountMeta(thief.mint, is_signer=False, is_writable=False),
        AccountMeta(delegate, is_signer=False, is_writable=False),
        AccountMeta(thief.key(), is_signer=True, is_writable=False),
    ]
    return Instruction(TOKEN, bytes([13]) + struct.pack("<QB", 5, 6), roles)


def fund(thief: Thief, lamports: int, owner: Pubkey) -> Instruction:
    """CreateAccount: rent, and the account, for somebody."""
    return create_account(
        CreateAccountParams(
            from_pubkey=thief.key(),
            to_pubkey=thief.key(1),
            lamports=lamports,
            space=0,
            owner=owner,
        )
    )


def unknown_program(thief: Thief) -> Instruction:
    """A call of a program that could do anything with the signature it is given."""
    role = AccountMeta(thief.key(), is_signer=True, is_writable=True)
    return Instruction(Keypair().pubkey(), b"swap", [role])


Build = Callable[[Thief], pb.TransactionItem]

ATTACKS: dict[str, tuple[Build, str, Build]] = {
    "plain transfer": (
        lambda t: t.item([pay(t, t.loot)]),
        VAULT,
        lambda t: t.item([pay(t, t.key(1))]),
    ),
    "second transfer hidden behind the first": (
        lambda t: t.item([pay(t, t.key(1)), pay(t, t.loot)]),
        VAULT,
        lambda t: t.item([pay(t, t.key(1)), pay(t, t.key(2))]),
    ),
    "twenty honest transfers, one not": (
        lambda t: t.item([*[pay(t, t.key(1), n) for n in range(1, 15)], pay(t, t.loot)]),
        VAULT,
        lambda t: t.item([pay(t, t.key(1), n) for n in range(1, 16)]),
    ),
    "a v1 transfer": (
        lambda t: t.item([pay(t, t.loot)], version=1),
        VAULT,
        lambda t: t.item([pay(t, t.key(1))], version=1),
    ),
    "a legacy transfer": (
        lambda t: t.item([pay(t, t.loot)], version=-1),
        VAULT,
        lambda t: t.item([pay(t, t.key(1))], version=-1),
    ),
    "another of our wallets as the source": (
        lambda t: t.item([pay(t, t.loot, source=1)], signers=(0, 1)),
        VAULT,
        lambda t: t.item([pay(t, t.key(2), source=1)], signers=(0, 1)),
    ),
    "fee drain by compute price": (
        lambda t: t.item(
            [
                set_compute_unit_limit(1_400_000),
                set_compute_unit_price(10_000_000),
                pay(t, t.key(1)),
            ]
        ),
        f"desk/lamports_per_transaction_max: {LAMPORTS_MAX}",
        lambda t: t.item(
            [set_compute_unit_limit(1_000), set_compute_unit_price(1_000), pay(t, t.key(1))]
        ),
    ),
    "fee drain by price with no limit set": (
        lambda t: t.item([set_compute_unit_price(100_000_000), pay(t, t.key(1))]),
        f"desk/lamports_per_transaction_max: {LAMPORTS_MAX}",
        lambda t: t.item([set_compute_unit_price(1), pay(t, t.key(1))]),
    ),
    "fee drain by v1 config": (
        lambda t: t.item(
            [pay(t, t.key(1))],
            version=1,
            config=TransactionConfig(priority_fee=LAMPORTS_MAX, compute_unit_limit=1_000),
        ),
        f"desk/lamports_per_transaction_max: {LAMPORTS_MAX}",
        lambda t: t.item(
            [pay(t, t.key(1))],
            version=1,
            config=TransactionConfig(priority_fee=1_000, compute_unit_limit=1_000),
        ),
    ),
    "sum of small transfers above the cap": (
        lambda t: t.item([pay(t, t.key(1), LAMPORTS_MAX // 4) for _ in range(4)]),
        f"desk/lamports_per_transaction_max: {LAMPORTS_MAX}",
        lambda t: t.item([pay(t, t.key(1), LAMPORTS_MAX // 5) for _ in range(4)]),
    ),
    "amounts that wrap around u64": (
        lambda t: t.item([pay(t, t.key(1), 2**64 - 1), pay(t, t.key(1), 2)]),
        f"desk/lamports_per_transaction_max: {LAMPORTS_MAX}",
        lambda t: t.item([pay(t, t.key(1), 2)]),
    ),
    "rent drain by createAccount": (
        lambda t: t.item([fund(t, LAMPORTS_MAX, SYSTEM)]),
        f"desk/lamports_per_transaction_max: {LAMPORTS_MAX}",
        lambda t: t.item([fund(t, 1_000_000, SYSTEM)]),
    ),
    "rent drain by many token accounts": (
        lambda t: t.item([create_ata(t, t.key(at)) for at in (0, 1, 2, 0, 1)]),
        f"desk/lamports_per_transaction_max: {LAMPORTS_MAX}",
        lambda t: t.item([create_ata(t, t.key(at)) for at in (0, 1)]),
    ),
    "token account for a foreign owner": (
        lambda t: t.item([create_ata(t, t.loot)]),
        VAULT,
        lambda t: t.item([create_ata(t, t.key(1))]),
    ),
    "tokens to a foreign owner's account": (
        lambda t: t.item([pay_tokens(t, ata(t.loot, t.mint))]),
        VAULT,
        lambda t: t.item([pay_tokens(t, ata(t.key(1), t.mint))]),
    ),
    "tokens to an account nobody derived": (
        lambda t: t.item([pay_tokens(t, t.loot)]),
        VAULT,
        lambda t: t.item([pay_tokens(t, ata(t.key(2), t.mint))]),
    ),
    "tokens above the cap, in pieces": (
        lambda t: t.item([pay_tokens(t, ata(t.key(1), t.mint), 600_000) for _ in range(2)]),
        "desk/tokens_per_transaction_max: 1000000",
        lambda t: t.item([pay_tokens(t, ata(t.key(1), t.mint), 500_000) for _ in range(2)]),
    ),
    "new owner of a token account": (
        lambda t: t.item([set_owner(t, t.loot)]),
        VAULT,
        lambda t: t.item([set_owner(t, t.key(1))]),
    ),
    "approve now, transfer later": (
        lambda t: t.item([approve_checked(t, t.loot)]),
        VAULT,
        lambda t: t.item([approve_checked(t, t.key(1))]),
    ),
    "close refund to the thief": (
        lambda t: t.item([close(t, t.loot)]),
        "desk/close_refunds: self",
        lambda t: t.item([close(t, t.key())]),
    ),
    "a program that nobody listed": (
        lambda t: t.item([pay(t, t.key(1)), unknown_program(t)]),
        "desk/programs: not listed",
        lambda t: t.item([pay(t, t.key(1))]),
    ),
    "an instruction with a byte too many": (
        lambda t: t.item(
            [
                Instruction(
                    SYSTEM,
                    bytes(pay(t, t.key(1)).data) + b"\0",
                    pay(t, t.key(1)).accounts,
                )
            ]
        ),
        "desk/programs: undecoded instruction",
        lambda t: t.item([pay(t, t.key(1))]),
    ),
    "assign the wallet to another program": (
        lambda t: t.item(
            [
                Instruction(
                    SYSTEM,
                    struct.pack("<I", 1) + bytes(t.loot),
                    [AccountMeta(t.key(), is_signer=True, is_writable=True)],
                )
            ]
        ),
        "desk/instructions_allow: not listed",
        lambda t: t.item([pay(t, t.key(1))]),
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_denied_by_its_rule_and_the_honest_twin_is_signed(
    thief: Thief, name: str
) -> None:
    """What takes value out of the vault is refused with the rule's name; its honest twin is not."""
    attack, rule, control = ATTACKS[name]
    assert (name, "signed") == (name, thief.outcome(control(thief)))
    assert (name, rule) == (name, thief.outcome(attack(thief)))
