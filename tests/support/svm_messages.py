"""Readings of transaction messages that a node makes: accounts, fee, limits."""

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
_UPGRADEABLE = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
_CODE = slice(4, 36)
_ACCOUNT_BYTES = 64
_TABLE_BYTES = 8_248

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
    return signatures * FEE_LAMPORTS_PER_SIGNATURE + priority_fee_lamports(message)


def priority_fee_lamports(message: AnyMessage) -> int:
    """Return a message's priority fee: of v1 in total, of others a price for each unit."""
    if isinstance(message, MessageV1):
        return message.config.priority_fee or 0
    price_micro_lamports = _budget(message).get(_SET_PRICE, 0)
    return -(-price_micro_lamports * compute_units(message) // 1_000_000)


def compute_units(message: AnyMessage) -> int:
    """Return a message's compute limit; unset is zero in v1, 200,000 an instruction in others."""
    if isinstance(message, MessageV1):
        return min(message.config.compute_unit_limit or 0, _UNITS_MAX)
    budget = _budget(message)
    others = sum(1 for program, _ in _calls(message) if program != _COMPUTE_BUDGET)
    return min(budget.get(_SET_LIMIT, _DEFAULT_UNITS_PER_INSTRUCTION * others), _UNITS_MAX)


def loaded_data_bytes(message: AnyMessage, svm: LiteSVM) -> int:
    """Return about what SIMD-0186 counts as loaded: of each account its data and 64 bytes.

    A program counts with the account that has its code, a lookup table with 8,248 bytes. Accounts
    that are not there count as empty ones, which a cluster may not do.
    """
    found = {key: svm.get_account(key) for key in account_keys(message, svm)}
    for account in list(found.values()):
        if account is not None and account.owner == _UPGRADEABLE and account.executable:
            code = Pubkey(account.data[_CODE])
            found[code] = svm.get_account(code)
    tables = len(message.address_table_lookups) if isinstance(message, MessageV0) else 0
    data = sum(len(account.data) for account in found.values() if account is not None)
    return data + _ACCOUNT_BYTES * len(found) + _TABLE_BYTES * tables


def _budget(message: AnyMessage) -> dict[int, int]:
    """Return what compute-budget instructions set, by their number."""
    return {
        data[0]: int.from_bytes(data[1:], "little")
        for program, data in _calls(message)
        if program == _COMPUTE_BUDGET and data
    }


def _calls(message: AnyMessage) -> Iterator[tuple[Pubkey, bytes]]:
    keys = message.account_keys
    for instruction in message.instructions:
        yield keys[instruction.program_id_index], bytes(instruction.data)
