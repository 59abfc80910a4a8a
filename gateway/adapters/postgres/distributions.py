"""Distributions in PostgreSQL: plans, states and reads. Work on them is in distribution_work."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from gateway.adapters.postgres.connection import Connection, Row
from gateway.adapters.postgres.distribution_rows import (
    distribution_from_row,
    plan_parameters,
    tallies_from_rows,
    transfer_from_row,
)
from gateway.adapters.postgres.distribution_work import DistributionWork
from gateway.domain.errors import NotFoundError
from gateway.domain.pages import Page, decode_page_token, encode_page_token, require_page_size
from gateway.domain.plans import Distribution, Plan, Transfer
from gateway.domain.states import (
    DISTRIBUTION_MOVES,
    DistributionState,
    require_move,
    settled_state,
)

_INSERT: Final = """
INSERT INTO distributions (
    id, etag, source_wallet_id, source_address, total_lamports, transfer_count, batch_count,
    split_kind, split_seed, transaction_version, compute_unit_price, compute_units_per_transfer,
    base_fee_lamports, priority_fee_lamports, rent_lamports, required_lamports,
    rent_floor_lamports, new_account_count)
VALUES ($1, $2, $3, $4, $5::numeric, $6, $7, $8, $9, $10, $11::numeric, $12, $13::numeric,
        $14::numeric, $15::numeric, $16::numeric, $17::numeric, $18)
"""
_TALLIES: Final = """
SELECT distribution_id, state, count(*) AS batches, sum(transfer_count) AS transfers,
       sum(total_lamports) AS lamports
FROM distribution_batches WHERE distribution_id = ANY($1::uuid[]) GROUP BY distribution_id, state
"""
# A transaction that landed was charged, whether it succeeded or not; one that expired was not.
_FEES: Final = """
SELECT d.id, sum(d.base_fee_lamports / d.batch_count + ceil(
    (b.transfer_count + 2) * d.compute_units_per_transfer * d.compute_unit_price / 1000000)) AS fees
FROM attempts a
JOIN distributions d ON d.id = a.distribution_id
JOIN distribution_batches b
  ON b.distribution_id = a.distribution_id AND b.position = a.batch_position
WHERE a.distribution_id = ANY($1::uuid[]) AND a.state IN ('finalized', 'failed')
GROUP BY d.id
"""
_TRANSFERS: Final = """
SELECT t.position, t.recipient_address, t.amount_lamports, b.state, b.error,
       coalesce(a.signature, '') AS signature
FROM transfers t
JOIN distribution_batches b
  ON b.distribution_id = t.distribution_id AND b.position = t.batch_position
LEFT JOIN LATERAL (
    SELECT signature FROM attempts
    WHERE distribution_id = t.distribution_id AND batch_position = t.batch_position
    ORDER BY created_at DESC LIMIT 1
) AS a ON true
WHERE t.distribution_id = $1 AND t.position >= $2 ORDER BY t.position LIMIT $3
"""
_UNSETTLED: Final = """
SELECT d.id FROM distributions d
WHERE d.state IN ('executing', 'paused', 'cancelling')
  AND (EXISTS (SELECT FROM distribution_batches b
               WHERE b.distribution_id = d.id AND b.state = 'in_flight'
                 AND (b.lease_owner IS NULL OR b.lease_expires_at < clock_timestamp()))
       OR NOT EXISTS (SELECT FROM distribution_batches b
                      WHERE b.distribution_id = d.id AND b.state IN ('planned', 'in_flight')))
ORDER BY d.ordinal
"""
_LIST_QUERY: Final = "distributions"


class PostgresDistributions(DistributionWork):
    """gateway.domain.distribution_ports.Distributions on a connection."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)

    async def create(self, distribution_id: UUID, plan: Plan) -> None:
        """Stores a plan whole. Call it in a transaction.

        Raises NotFoundError if the source is not stored; it cannot be deleted before the end.
        """
        source = await self._connection.fetchval(
            "SELECT id FROM wallets WHERE id = $1 AND address = $2 FOR KEY SHARE",
            plan.source_wallet_id,
            plan.source_address,
        )
        if source is None:
            raise NotFoundError("no such wallet", field="source_wallet_id")
        await self._connection.execute(_INSERT, distribution_id, *plan_parameters(plan))
        await self._connection.copy_text(
            "distribution_batches",
            ("distribution_id", "position", "first_transfer", "transfer_count", "total_lamports"),
            (
                f"{distribution_id}\t{batch.position}\t{batch.first_transfer}"
                f"\t{batch.transfer_count}\t{batch.total_lamports}"
                for batch in plan.batches
            ),
        )
        # Addresses were decoded as base58 on their way here and so need no escaping.
        await self._connection.copy_text(
            "transfers",
            (
                "distribution_id",
                "position",
                "batch_position",
                "recipient_address",
                "amount_lamports",
            ),
            (
                f"{distribution_id}\t{item.position}\t{item.batch_position}"
                f"\t{item.recipient_address}\t{item.amount_lamports}"
                for item in plan.transfers
            ),
        )

    async def get(self, distribution_id: UUID) -> Distribution:
        """Returns a distribution with its tally; raises NotFoundError."""
        row = await self._connection.fetchrow(
            "SELECT * FROM distributions WHERE id = $1", distribution_id
        )
        if row is None:
            raise _not_found()
        return (await self._complete([row]))[0]

    async def list_page(self, page_size: int = 0, page_token: str = "") -> Page[Distribution]:
        """Returns distributions, newest first."""
        limit = require_page_size(page_size)
        before = decode_page_token(page_token, _LIST_QUERY)
        rows = await self._connection.fetch(
            "SELECT * FROM distributions WHERE $1::bigint = 0 OR ordinal < $1 "
            "ORDER BY ordinal DESC LIMIT $2",
            before,
            limit + 1,
        )
        more = len(rows) > limit
        token = encode_page_token(rows[limit - 1]["ordinal"], _LIST_QUERY) if more else ""
        return Page(await self._complete(rows[:limit]), token)

    async def list_transfers(
        self, distribution_id: UUID, page_size: int = 0, page_token: str = ""
    ) -> Page[Transfer]:
        """Returns transfers in the order of the plan; raises NotFoundError."""
        limit = require_page_size(page_size)
        query = f"transfers/{distribution_id}"
        start = decode_page_token(page_token, query)
        rows = await self._connection.fetch(_TRANSFERS, distribution_id, start, limit + 1)
        if not rows:
            await self.get(distribution_id)
        token = encode_page_token(rows[limit]["position"], query) if len(rows) > limit else ""
        return Page([transfer_from_row(row) for row in rows[:limit]], token)

    async def lock(self, distribution_id: UUID) -> DistributionState:
        """Returns the state and keeps it until the transaction ends; raises NotFoundError."""
        state = await self._connection.fetchval(
            "SELECT state FROM distributions WHERE id = $1 FOR NO KEY UPDATE", distribution_id
        )
        if state is None:
            raise _not_found()
        return DistributionState(state)

    async def set_state(self, distribution_id: UUID, state: DistributionState) -> None:
        """Moves a distribution that `lock` holds.

        Cancelling gives up its planned batches. Raises PreconditionFailedError for a move that is
        not allowed.
        """
        require_move(DISTRIBUTION_MOVES, await self.lock(distribution_id), state)
        await self._connection.execute(
            "UPDATE distributions SET state = $2, updated_at = now() WHERE id = $1",
            distribution_id,
            state.value,
        )
        if state in {DistributionState.CANCELLING, DistributionState.CANCELLED}:
            await self._connection.execute(
                "UPDATE distribution_batches SET state = 'cancelled', lease_owner = NULL, "
                "lease_expires_at = NULL WHERE distribution_id = $1 AND state = 'planned'",
                distribution_id,
            )

    async def note_error(self, distribution_id: UUID, error: str) -> None:
        """Stores what went wrong last, in words; "" clears it."""
        await self._connection.execute(
            "UPDATE distributions SET last_error = $2, updated_at = now() "
            "WHERE id = $1 AND last_error <> $2",
            distribution_id,
            error,
        )

    async def settle(self, distribution_id: UUID) -> DistributionState | None:
        """Moves a distribution with nothing left to happen to its last state, and returns that.

        Returns None while something is left. Call it in a transaction.
        """
        present = await self.lock(distribution_id)
        rows = await self._connection.fetch(_TALLIES, [distribution_id])
        tally = tallies_from_rows(rows)[distribution_id]
        state = settled_state(tally.batches, cancelling=present is DistributionState.CANCELLING)
        if state is not None and state != present:
            if state not in DISTRIBUTION_MOVES[present]:
                return None
            await self.set_state(distribution_id, state)
        return state

    async def unsettled(self) -> list[UUID]:
        """Returns those with signed transactions that nobody follows up, or with nothing left.

        Those are what a gateway can bring to an end without a session.
        """
        return [row["id"] for row in await self._connection.fetch(_UNSETTLED)]

    async def _complete(self, rows: Sequence[Row]) -> list[Distribution]:
        ids = [row["id"] for row in rows]
        tallies = tallies_from_rows(await self._connection.fetch(_TALLIES, ids))
        fees = {row["id"]: int(row["fees"]) for row in await self._connection.fetch(_FEES, ids)}
        return [
            distribution_from_row(row, tallies[row["id"]], fees.get(row["id"], 0)) for row in rows
        ]


def _not_found() -> NotFoundError:
    return NotFoundError(
        "no such distribution", field="distribution_id", reason="DISTRIBUTION_NOT_FOUND"
    )
