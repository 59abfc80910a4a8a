"""How much work there is, over all distributions: numbers for an operator, of no wallet."""

from dataclasses import dataclass
from typing import Final

from gateway.adapters.postgres.database import Database

_DISTRIBUTIONS: Final = "SELECT state, count(*) AS count FROM distributions GROUP BY state"
# Batches of what has ended are many and change no more.
_BATCHES: Final = """
SELECT state, count(*) AS batches, coalesce(sum(transfer_count), 0) AS transfers
FROM distribution_batches WHERE distribution_id IN (
    SELECT id FROM distributions WHERE state NOT IN ('cancelled', 'completed', 'partially_failed')
) GROUP BY state
"""


@dataclass(frozen=True, slots=True)
class Tallies:
    """Counts by state: all distributions; transactions and transfers of the unfinished ones."""

    distributions: dict[str, int]
    transactions: dict[str, int]
    transfers: dict[str, int]


async def read_tallies(database: Database) -> Tallies:
    """Counts; raises StoreUnavailableError."""
    async with database.read() as unit:
        distributions = await unit.connection.fetch(_DISTRIBUTIONS)
        batches = await unit.connection.fetch(_BATCHES)
    return Tallies(
        {row["state"]: row["count"] for row in distributions},
        {row["state"]: row["batches"] for row in batches},
        {row["state"]: int(row["transfers"]) for row in batches},
    )
