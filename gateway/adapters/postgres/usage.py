"""Times of use into PostgreSQL, many wallets in one statement."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from gateway.adapters.postgres.database import Database

# Locked in the order that every other statement over many wallets uses, so that none can deadlock.
_MARK: Final = """
WITH used AS (
    SELECT w.id, u.used_at
    FROM unnest($1::uuid[], $2::timestamptz[]) AS u (id, used_at)
    JOIN wallets w ON w.id = u.id
    ORDER BY w.ordinal FOR NO KEY UPDATE OF w
)
UPDATE wallets w SET last_used_at = greatest(w.last_used_at, used.used_at)
FROM used WHERE w.id = used.id
"""


class PostgresUsage:
    """gateway.workflows.usage.UsageStore on the pool."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def mark_used(self, used_at: Mapping[UUID, datetime]) -> None:
        """Sets `last_used_at`; raises StoreUnavailableError."""
        async with self._database.transaction() as unit:
            await unit.connection.execute(_MARK, list(used_at.keys()), list(used_at.values()))
