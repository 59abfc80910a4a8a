"""What must hold for any bytes that come as a transaction: the parser, the intent, the judge."""

import contextlib

from solders.message import MessageV0, to_bytes_versioned
from solders.transaction import VersionedTransaction

from signer_daemon.intent import (
    IntentRejected,
    ParsedTransaction,
    parse_transaction,
    read_intent,
    starts_like_a_message,
)
from signer_daemon.policy import Wallet, evaluate_transaction, parse_policy
from signer_daemon.policy.loader import ATA_RENT_LAMPORTS_MAX
from tests.intent.world import key

_PROGRAMS = '["system", "token", "token-2022", "associated-token", "compute-budget", "memo"]'
_GROUP = f"""
[[group]]
name = "desk"
master_fingerprints = ["*"]
programs = {_PROGRAMS}
instructions_allow = ["token/approve", "token/setAuthority", "token-2022/reallocate"]
lamports_per_transaction_max = 1_000_000_000
priority_fee_lamports_max = 1_000
"""
_TOKENS = '[group.tokens_per_transaction_max]\n"*" = "unlimited"\n'
POLICIES = [
    parse_policy(f"version = 1\n{_GROUP}destinations = {mode}\n{_TOKENS}".encode())
    for mode in ('"any"', '"vault"', f'["{key(1).pubkey()}"]')
]
_TABLE = tuple(str(key(number).pubkey()) for number in range(200, 208))


def transaction(data: bytes) -> bool:
    """Tells whether `data` is accepted. Only IntentRejected may refuse it; what is accepted is
    assembled to the same bytes, is what solders reads, and no SignMessage would sign it.
    """
    try:
        parsed = parse_transaction(data)
    except IntentRejected:
        return False
    assert data == parsed.wire
    assert data == parsed.assemble({})[0]
    assert data == parsed.assemble(parsed.signatures())[0]
    assert parsed.message_bytes in data
    assert starts_like_a_message(parsed.message_bytes)
    agrees_with_solders(data, parsed)
    judge(parsed)
    with_tables(data, parsed)
    return True


def agrees_with_solders(data: bytes, parsed: ParsedTransaction) -> None:
    """The other implementation reads the same bytes as the same transaction."""
    expected = read_by_solders(data)
    assert expected is not None, "accepted, but not by solders"
    message, keys = expected.message, [str(key) for key in expected.message.account_keys]
    assert to_bytes_versioned(message) == parsed.message_bytes
    assert tuple(keys) == parsed.message.keys
    assert tuple(keys[: message.header.num_required_signatures]) == parsed.message.signers
    lookups = message.address_table_lookups if isinstance(message, MessageV0) else []
    for part in ("writable_indexes", "readonly_indexes"):
        keys += [f"lookup:{at.account_key}:{n}" for at in lookups for n in getattr(at, part)]
    assert [
        (keys[each.program_id_index], tuple(keys[n] for n in each.accounts), bytes(each.data))
        for each in message.instructions
    ] == [(each.program, each.accounts, each.data) for each in parsed.message.instructions]


def read_by_solders(data: bytes) -> VersionedTransaction | None:
    """What solders reads, if it writes the same bytes again. Its panic is a BaseException."""
    with contextlib.suppress(BaseException):
        read = VersionedTransaction.from_bytes(data)
        read.sanitize()
        if bytes(read) == data:
            return read
    return None


def judge(parsed: ParsedTransaction) -> None:
    """Intent and verdict come of whatever was parsed; an instruction the tables do not decode, a
    durable nonce, or a table that nobody pinned, is never allowed.
    """
    intent = read_intent(parsed.message, ATA_RENT_LAMPORTS_MAX)
    assert len(parsed.message.instructions) <= len(intent.effects)
    never = {effect.role for effect in intent.effects if effect.role.endswith("/undecoded")}
    never |= {"system/advanceNonce"} & {effect.role for effect in intent.effects}
    assert all(str(effect) for effect in intent.effects)
    for policy in POLICIES:
        for address in intent.signers:
            wallet = Wallet(address, "0" * 32, 0)
            verdict = evaluate_transaction(policy, intent, wallet, {str(key(2).pubkey())})
            assert not (verdict.allowed and (never or intent.unresolved_tables))
            assert verdict.allowed or not verdict.charges
            bound = intent.lamports_out_max(address)
            assert not verdict.allowed or (bound is not None and bound <= 10**9)


def with_tables(data: bytes, parsed: ParsedTransaction) -> None:
    """With the tables' contents the same bytes read as the same message, but for those accounts."""
    tables = dict.fromkeys(parsed.message.unresolved_tables, _TABLE)
    if not tables:
        return
    try:
        resolved = parse_transaction(data, tables)
    except IntentRejected:
        return  # an entry that the table does not have, or one that is named twice
    assert resolved.message_bytes == parsed.message_bytes
    assert resolved.message.unresolved_tables == ()
    named = [account for each in resolved.message.instructions for account in each.accounts]
    assert not any(account.startswith("lookup:") for account in named)
    read_intent(resolved.message, ATA_RENT_LAMPORTS_MAX)
