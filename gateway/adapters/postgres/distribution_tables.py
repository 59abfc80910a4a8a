"""Lookup tables that are stored with a plan."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from gateway.adapters.postgres.connection import Connection
from gateway.domain.lookup_tables import NO_TABLES, LookupTable, LookupTables

_INSERT: Final = """
INSERT INTO distribution_lookup_tables (distribution_id, ordinal, address, content)
SELECT $1, f.ordinal, f.address, f.content
FROM unnest($2::text[], $3::bytea[]) WITH ORDINALITY AS f (address, content, ordinal)
"""


async def store_tables(
    connection: Connection, distribution_id: UUID, tables: Sequence[LookupTable]
) -> None:
    """Stores a plan's tables, in the transaction that stores the plan."""
    if tables:
        await connection.execute(
            _INSERT,
            distribution_id,
            [table.address for table in tables],
            [table.content for table in tables],
        )


async def load_tables(connection: Connection, distribution_id: UUID) -> LookupTables:
    """Returns a plan's tables; none for most plans."""
    rows = await connection.fetch(
        "SELECT address, content FROM distribution_lookup_tables WHERE distribution_id = $1 "
        "ORDER BY ordinal",
        distribution_id,
    )
    if not rows:
        return NO_TABLES
    return LookupTables([LookupTable(row["address"], bytes(row["content"])) for row in rows])


async def table_addresses(
    connection: Connection, distribution_ids: Sequence[UUID]
) -> Mapping[UUID, Sequence[str]]:
    """Returns the addresses of plans' tables, by distribution."""
    rows = await connection.fetch(
        "SELECT distribution_id, array_agg(address ORDER BY ordinal) AS addresses "
        "FROM distribution_lookup_tables WHERE distribution_id = ANY($1::uuid[]) "
        "GROUP BY distribution_id",
        list(distribution_ids),
    )
    return {row["distribution_id"]: list(row["addresses"]) for row in rows}
