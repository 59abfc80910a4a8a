"""Address lookup tables: resolved in the order of the runtime, or visibly unresolved."""

import pytest
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from signer_daemon.intent import IntentRejected, parse_transaction
from tests.intent.test_wire import ALICE
from tests.intent.world import key


def looked_up() -> tuple[bytes, Pubkey, list[Pubkey]]:
    """A v0 transaction whose writable and read-only accounts come from a lookup table."""
    table = key(77).pubkey()
    entries = [key(200 + n).pubkey() for n in range(6)]
    metas = [
        AccountMeta(ALICE.pubkey(), is_signer=True, is_writable=True),
        AccountMeta(entries[4], is_signer=False, is_writable=False),
        AccountMeta(entries[2], is_signer=False, is_writable=True),
        AccountMeta(entries[1], is_signer=False, is_writable=False),
        AccountMeta(entries[5], is_signer=False, is_writable=True),
    ]
    lookup = AddressLookupTableAccount(table, entries)
    instruction = Instruction(key(100).pubkey(), b"x", metas)
    message = MessageV0.try_compile(ALICE.pubkey(), [instruction], [lookup], Hash.default())
    return bytes(VersionedTransaction(message, [ALICE])), table, entries


def test_lookup_tables_resolve_in_the_runtimes_order() -> None:
    """With the table's content, the instruction sees the accounts it was built with: nothing
    dropped, nothing shifted.
    """
    data, table, entries = looked_up()
    names = {str(table): tuple(str(e) for e in entries)}
    (instruction,) = parse_transaction(data, names).message.instructions
    wanted = [ALICE.pubkey(), entries[4], entries[2], entries[1], entries[5]]
    assert tuple(str(k) for k in wanted) == instruction.accounts
    assert parse_transaction(data, names).message.unresolved_tables == ()


def test_lookup_tables_without_content_stay_visible() -> None:
    """Without the content every looked-up account is a name that is no address, and the table is
    reported.
    """
    data, table, _ = looked_up()
    message = parse_transaction(data).message
    assert message.unresolved_tables == (str(table),)
    (instruction,) = message.instructions
    assert len(instruction.accounts) == 5
    assert [a.startswith(f"lookup:{table}:") for a in instruction.accounts] == [False] + [True] * 4


def test_lookup_index_past_the_table_is_refused() -> None:
    """An index that the pinned content does not have points nowhere."""
    data, table, entries = looked_up()
    with pytest.raises(IntentRejected, match="no entry"):
        parse_transaction(data, {str(table): tuple(str(e) for e in entries[:5])})
