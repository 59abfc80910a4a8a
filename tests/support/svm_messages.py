"""Readings of transaction messages that a node makes: their accounts and their fee."""

from collections.abc import Iterator

from solders.address_lookup_table_account import AddressLookupTable
from solders.litesvm import LiteSVM
from solders.message import Message, MessageV0, MessageV1
from solders.pubkey import Pubkey

FEE_LAMPORTS_PER_SIGNATURE = 5000
_COMPUTE_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
_DEFAULT_UNITS_PER_INSTRUCTION = 200_000
_UNITS_MAX = 1_400_000
_SET_LIMIT, _SET_PRICE = 2, 3

AnyMessage = Message | MessageV0 | MessageV1


def account_keys(message: AnyMessage, svm: LiteSVM) -> Iterator[Pubkey]:
    """Yield the accounts a message touches: its own, then those that lookup tables load."""
    yield from message.account_keys
    if not isinstance(message, MessageV0):
        return
    tables = []
    for lookup in message.address_table_lookups:
        account = svm.get_account(lookup.account_key)
        if account is None:
            return
        tables.append((AddressLookupTable.deserialize(account.data).addresses, lookup))
    for addresses, lookup in tables:
        yield from (addresses[index] for index in lookup.writable_indexes)
    for addresses, lookup in tables:
        yield from (addresses[index] for index in lookup.readonly_indexes)


def fee_lamports(message: AnyMessage) -> int:
    """Return a message's fee: signatures and priority."""
    signatures = message.header.num_required_signatures
    return signatures * FEE_LAMPORTS_PER_SIGNATURE + _priority_fee_lamports(message)


def _priority_fee_lamports(message: AnyMessage) -> int:
    if isinstance(message, MessageV1):
        return message.config.priority_fee or 0
    price_micro_lamports, limit, others = 0, None, 0
    for instruction in message.instructions:
        data = bytes(instruction.data)
        if message.account_keys[instruction.program_id_index] != _COMPUTE_BUDGET:
            others += 1
        elif data[:1] == bytes([_SET_LIMIT]):
            limit = int.from_bytes(data[1:5], "little")
        elif data[:1] == bytes([_SET_PRICE]):
            price_micro_lamports = int.from_bytes(data[1:9], "little")
    units = min(_DEFAULT_UNITS_PER_INSTRUCTION * others if limit is None else limit, _UNITS_MAX)
    return -(-price_micro_lamports * units // 1_000_000)
