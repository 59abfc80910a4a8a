"""Address lookup tables, as they stand on the chain when a plan is made."""

from collections.abc import Sequence
from typing import Final

from gateway.domain.chain import Chain
from gateway.domain.errors import InvalidArgumentError
from gateway.domain.lookup_tables import (
    STATE_SLICE,
    LookupTable,
    LookupTables,
    is_active,
    read_lookup_table,
)
from gateway.workflows.account_reads import read_accounts

_FIELD: Final = "lookup_table_addresses"
_PER_CALL: Final = 20  # a full table is 8 KiB, and a node's answer has a bound


async def read_lookup_tables(chain: Chain, addresses: Sequence[str]) -> LookupTables:
    """Reads finalized tables; raises InvalidArgumentError naming one that cannot be used.

    What is finalized cannot change any more: a table only ever grows, until it is closed.
    """
    tables: list[LookupTable] = []
    accounts = await read_accounts(chain, addresses, "finalized", per_call=_PER_CALL)
    for address, account in zip(addresses, accounts, strict=True):
        field = f"{_FIELD}[{len(tables)}]"
        if account is None:
            raise InvalidArgumentError("no such lookup table", field=field)
        try:
            tables.append(read_lookup_table(address, account.owner, account.data))
        except ValueError as error:
            raise InvalidArgumentError(str(error), field=field) from None
    return LookupTables(tables)


async def closed_table(chain: Chain, tables: LookupTables, min_context_slot: int) -> str:
    """Returns a table that transactions cannot use any more, "" if all can be used.

    What would be signed with one could never land, and would count against the caps all the same.
    """
    addresses = [table.address for table in tables.tables]
    accounts = await read_accounts(
        chain, addresses, "confirmed", STATE_SLICE, min_context_slot=min_context_slot
    )
    for address, account in zip(addresses, accounts, strict=True):
        if account is None or not is_active(account.owner, account.data):
            return address
    return ""
