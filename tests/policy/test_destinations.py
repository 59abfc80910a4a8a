"""Destinations: who may receive what leaves a wallet, by any way."""

import hashlib
import struct

import pytest
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from signer_daemon.intent import parse_transaction, read_intent
from signer_daemon.policy import evaluate_transaction
from tests.intent import world as w
from tests.policy.build import ME, OUT, STRANGER, UNLIMITED, judge, policy, wallet
from tests.policy.test_judge import (
    ACCOUNT,
    ME_KEY,
    MEMO,
    MINT,
    SENSITIVE,
    SIB_KEY,
    VAULT,
    denied,
    send,
    token,
)

Q = struct.pack


def test_vault_destinations() -> None:
    """Lamports go to proven wallets and to oneself, to nobody else, in whatever place they hide."""
    rules = policy(destinations='"vault"')
    good = w.transfer(ME_KEY, SIB_KEY, 7)
    assert judge(rules, good, w.transfer(ME_KEY, ME_KEY, 7), vault=VAULT).allowed
    denied(judge(rules, good), "desk/destinations: vault")
    bad = w.transfer(ME_KEY, OUT, 1)
    denied(judge(rules, good, bad, good, vault=VAULT), "desk/destinations: vault")
    assert judge(rules, good, w.transfer(STRANGER.pubkey(), OUT, 1), vault=VAULT).allowed


def test_vault_token_destinations_are_derived() -> None:
    """Tokens go to the ATA of a proven wallet for that very mint and program."""
    rules = policy(UNLIMITED, destinations='"vault"')
    assert judge(rules, send(MINT, w.ata(SIB_KEY, MINT)), vault=VAULT).allowed
    assert judge(rules, send(MINT, w.ata(ME_KEY, MINT))).allowed
    program = w.TOKEN_2022
    right = send(MINT, w.ata(SIB_KEY, MINT, program), program=program)
    assert judge(rules, right, vault=VAULT).allowed
    for to in (OUT, w.ata(OUT, MINT), w.ata(SIB_KEY, w.NATIVE), w.ata(SIB_KEY, MINT, program)):
        denied(judge(rules, send(MINT, to), vault=VAULT), "desk/destinations: vault")


def test_vault_refuses_transfers_that_hide_the_mint() -> None:
    """A plain transfer names no mint, so its recipient cannot be derived: refused in a vault."""
    plain = token(b"\3" + Q("<Q", 7), ACCOUNT, w.ata(SIB_KEY, MINT), ME_KEY)
    denied(
        judge(policy(UNLIMITED, destinations='"vault"'), plain, vault=VAULT),
        "desk/destinations: vault",
    )
    assert judge(policy(UNLIMITED), plain).allowed


def test_vault_refuses_an_ata_for_a_foreign_owner() -> None:
    """The rent of an ATA belongs to whoever can close it."""
    rules = policy(destinations='"vault"')
    assert judge(rules, w.create_ata(ME_KEY, SIB_KEY, MINT), vault=VAULT).allowed
    denied(judge(rules, w.create_ata(ME_KEY, OUT, MINT), vault=VAULT), "desk/destinations: vault")
    theirs = w.create_ata(STRANGER.pubkey(), OUT, MINT)
    assert judge(rules, theirs, MEMO, vault=VAULT).allowed


def test_vault_lets_sol_be_wrapped() -> None:
    """A transfer to the native-mint ATA of a proven wallet stays in the vault."""
    rules = policy(destinations='"vault"')
    assert judge(rules, w.transfer(ME_KEY, w.ata(SIB_KEY, w.NATIVE), 7), vault=VAULT).allowed
    denied(
        judge(rules, w.transfer(ME_KEY, w.ata(OUT, w.NATIVE), 7), vault=VAULT),
        "desk/destinations: vault",
    )


def test_vault_covers_authority_and_delegates() -> None:
    """Even where approve and setAuthority are allowed, only the vault can receive them."""
    rules = policy(
        UNLIMITED,
        'instructions_allow = ["token/approve", "token/setAuthority"]',
        destinations='"vault"',
    )
    for role in ("token/approve", "token/setAuthority"):
        denied(judge(rules, SENSITIVE[role], vault=VAULT), "desk/destinations: vault")
    ours = token(b"\4" + Q("<Q", 7), ACCOUNT, SIB_KEY, ME_KEY)
    renounce = token(b"\6\3\0", ACCOUNT, ME_KEY)
    assert judge(rules, renounce, vault=VAULT).allowed
    assert judge(rules, ours, vault=VAULT).allowed


def test_listed_destinations() -> None:
    """An allow list names owners; the wallet itself needs no entry, the vault has no say."""
    rules = policy(UNLIMITED, destinations=f'["{OUT}"]')
    assert judge(rules, w.transfer(ME_KEY, OUT, 1), send(MINT, w.ata(OUT, MINT))).allowed
    denied(judge(rules, w.transfer(ME_KEY, SIB_KEY, 1), vault=VAULT), "desk/destinations: list")


def test_denied_destinations_win() -> None:
    """An address on the deny list is refused in every mode, as owner of an ATA too; and where the
    bytes do not say who receives, that is refused as well.
    """
    for mode in ('"any"', f'["{OUT}"]'):
        rules = policy(UNLIMITED, f'destinations_deny = ["{OUT}"]', destinations=mode)
        denied(judge(rules, w.transfer(ME_KEY, OUT, 1)), "desk/destinations_deny")
        denied(judge(rules, send(MINT, w.ata(OUT, MINT))), "desk/destinations_deny")
    plain = token(b"\3" + Q("<Q", 7), ACCOUNT, SIB_KEY, ME_KEY)
    rules = policy(UNLIMITED, f'destinations_deny = ["{OUT}"]')
    denied(judge(rules, plain), "desk/destinations_deny")
    assert judge(rules, w.transfer(ME_KEY, SIB_KEY, 1)).allowed


@pytest.mark.parametrize("number", [b"\x09", b"\x26"], ids=["close", "withdraw excess"])
def test_close_refunds(number: bytes) -> None:
    """A closed account's lamports go to the wallet itself; elsewhere only if the policy says so,
    and then to its destinations.
    """

    def close(to: Pubkey) -> Instruction:
        return token(number, ACCOUNT, to, ME_KEY)

    rules = policy(destinations='"vault"')
    assert judge(rules, close(ME_KEY)).allowed
    denied(judge(rules, close(SIB_KEY), vault=VAULT), "desk/close_refunds: self")
    rules = policy('close_refunds = "destinations"', destinations='"vault"')
    assert judge(rules, close(SIB_KEY), vault=VAULT).allowed
    denied(judge(rules, close(OUT), vault=VAULT), "desk/destinations: vault")
    denied(judge(policy(), close(OUT)), "desk/close_refunds: self")


def looked_up() -> tuple[bytes, str, bytes]:
    """A v0 transfer whose recipient comes from a lookup table; its table and content."""
    table, entries = w.key(77).pubkey(), [w.key(200 + n).pubkey() for n in range(3)] + [SIB_KEY]
    metas = [AccountMeta(ME_KEY, True, True), AccountMeta(SIB_KEY, False, True)]
    ix = w.system(2, Q("<Q", 7), metas)
    lookup = AddressLookupTableAccount(table, entries)
    message = MessageV0.try_compile(ME_KEY, [ix], [lookup], Hash.default())
    data = bytes(VersionedTransaction(message, [ME]))
    return data, str(table), b"".join(bytes(entry) for entry in entries)


def test_lookup_tables_only_when_pinned_by_content() -> None:
    """Unpinned, or pinned with another content than the caller shows: denied, whatever else is
    allowed. Pinned and shown, the recipient is judged like any other.
    """
    data, table, content = looked_up()
    pin = f'[lookup_table]\n"{table}" = "{hashlib.sha256(content).hexdigest()}"'
    swapped = content[32:] + content[:32]
    for top, shown in (("", {table: content}), (pin, {}), (pin, {table: swapped})):
        rules = policy(top=top)
        message = parse_transaction(data, rules.pinned_tables(shown)).message
        intent = read_intent(message, 0)
        verdict = evaluate_transaction(rules, intent, wallet(), VAULT)
        denied(verdict, "desk/lookup_table: not pinned")
    rules = policy(top=pin, destinations='"vault"')
    message = parse_transaction(data, rules.pinned_tables({table: content})).message
    intent = read_intent(message, 0)
    assert evaluate_transaction(rules, intent, wallet(), VAULT).allowed
    denied(evaluate_transaction(rules, intent, wallet(), ()), "desk/destinations: vault")
    assert rules.pinned_tables({table: content + b"\0"}) == {}
