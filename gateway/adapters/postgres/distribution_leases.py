"""Leases on batches: who works on what, among all gateways."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from gateway.adapters.postgres.connection import Connection
from gateway.domain.attempts import NOTHING, PassedOver
from gateway.domain.states import BatchState

# Leases run on the database's clock, the only one that all gateways share. SKIP LOCKED lets them
# claim at the same moment without waiting for each other.
_CLAIM: Final = """
UPDATE distribution_batches b
SET lease_owner = $2, lease_expires_at = clock_timestamp() + make_interval(secs => $3)
FROM (
    SELECT c.distribution_id, c.position FROM distribution_batches c
    WHERE c.distribution_id = $1 AND c.state = ANY($4::text[])
      AND (c.lease_owner IS NULL OR c.lease_owner = $2
           OR c.lease_expires_at < clock_timestamp())
      AND NOT EXISTS (SELECT FROM unnest($6::integer[]) AS later (position)
                      WHERE later.position = c.position)
      AND NOT EXISTS (SELECT FROM unnest($7::text[]) AS later (fee_payer)
                      WHERE later.fee_payer = c.fee_payer_address)
    ORDER BY c.position LIMIT $5 FOR UPDATE SKIP LOCKED
) AS free
WHERE b.distribution_id = free.distribution_id AND b.position = free.position
RETURNING b.position
"""


class DistributionLeases:
    """The leasing part of PostgresDistributions."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def adopt(self, distribution_id: UUID, worker: UUID, lease_s: float) -> int:
        """Leases all in-flight and unknown batches that nobody works on; returns how many are its.

        An unknown one is followed up only by whoever takes it up again: nothing is signed for it.
        """
        states = [BatchState.IN_FLIGHT, BatchState.UNKNOWN]
        return len(await self._lease(distribution_id, worker, lease_s, states, 10_000))

    async def renew(self, distribution_id: UUID, worker: UUID, lease_s: float) -> set[int]:
        """Extends the worker's leases from now; returns the positions that are still its own."""
        rows = await self._connection.fetch(
            "UPDATE distribution_batches "
            "SET lease_expires_at = clock_timestamp() + make_interval(secs => $3) "
            "WHERE distribution_id = $1 AND lease_owner = $2 "
            "AND state IN ('planned', 'in_flight') RETURNING position",
            distribution_id,
            worker,
            lease_s,
        )
        return {row["position"] for row in rows}

    async def release(
        self, distribution_id: UUID, worker: UUID, *, planned_only: bool = False
    ) -> None:
        """Gives up the worker's leases, so that others need not wait for them to expire."""
        await self._connection.execute(
            "UPDATE distribution_batches SET lease_owner = NULL, lease_expires_at = NULL "
            "WHERE distribution_id = $1 AND lease_owner = $2 AND (state = 'planned' OR NOT $3)",
            distribution_id,
            worker,
            planned_only,
        )

    async def others_at_work(self, distribution_id: UUID, worker: UUID) -> bool:
        """Returns whether another worker holds batches, under a lease that has not expired."""
        found: bool = await self._connection.fetchval(
            "SELECT EXISTS (SELECT FROM distribution_batches WHERE distribution_id = $1 "
            "AND lease_owner <> $2 AND lease_expires_at > clock_timestamp())",
            distribution_id,
            worker,
        )
        return found

    async def _lease(
        self,
        distribution_id: UUID,
        worker: UUID,
        lease_s: float,
        states: Sequence[BatchState],
        limit: int,
        passed_over: PassedOver = NOTHING,
    ) -> list[int]:
        rows = await self._connection.fetch(
            _CLAIM,
            distribution_id,
            worker,
            lease_s,
            states,
            limit,
            passed_over.positions,
            passed_over.fee_payer_addresses,
        )
        return [row["position"] for row in rows]
