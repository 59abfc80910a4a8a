"""Distributions in PostgreSQL: plans, states and reads. Work on them is in distribution_work."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from gateway.adapters.postgres.connection import Connection, Row
from gateway.adapters.postgres.distribution_notes import DistributionNotes
from gateway.adapters.postgres.distribution_resolutions import DistributionResolutions
from gateway.adapters.postgres.distribution_rows import (
    BATCH_COLUMNS,
    TRANSFER_COLUMNS,
    batch_lines,
    distribution_from_row,
    plan_columns,
    tallies_from_rows,
    transfer_from_row,
    transfer_lines,
)
from gateway.adapters.postgres.distribution_tables import store_tables, table_addresses
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

# Leases and waits run on the database's clock, so what is left of a wait is reckoned from it.
_SELECT: Final = "SELECT *, clock_timestamp() AS read_at FROM distributions"
_TALLIES: Final = """
SELECT distribution_id, state, count(*) AS batches, sum(transfer_count) AS transfers,
       sum(total_amount) AS total
FROM distribution_batches WHERE distribution_id = ANY($1::uuid[]) AND state <> 'split'
GROUP BY distribution_id, state
"""
# A transaction that landed was charged, whether it succeeded or not; one that expired was not.
_LANDED: Final = """
SELECT a.distribution_id, sum(b.fee_lamports) AS fees, count(*) AS transactions,
       sum(CASE WHEN a.receipt IN ('pending', 'unavailable') THEN b.fee_lamports
                ELSE a.fee_lamports END) AS fees_charged,
       sum(a.rent_lamports) AS rent, sum(a.refund_lamports) AS refunds,
       count(*) FILTER (WHERE a.state = 'finalized' AND a.receipt = 'pending') AS pending,
       count(*) FILTER (WHERE a.receipt = 'matched') AS matched,
       count(*) FILTER (WHERE a.receipt LIKE 'differs%') AS differing,
       count(*) FILTER (WHERE a.receipt = 'unavailable') AS unavailable
FROM attempts a
JOIN distribution_batches b
  ON b.distribution_id = a.distribution_id AND b.position = a.batch_position
WHERE a.distribution_id = ANY($1::uuid[]) AND a.state IN ('finalized', 'failed')
GROUP BY a.distribution_id
"""
# One scrypt opens a key group, so one wallet of each is what a session has to name.
_UNLOCK: Final = """
SELECT DISTINCT ON (n.distribution_id, w.key_group) n.distribution_id, w.id
FROM distribution_wallets n JOIN wallets w ON w.id = n.wallet_id
WHERE n.distribution_id = ANY($1::uuid[]) AND n.signs
ORDER BY n.distribution_id, w.key_group, w.id
"""
# A transfer's batch is the one that covers it and is not split.
_TRANSFERS: Final = """
SELECT t.position, t.recipient_address, t.amount, t.withheld_amount, b.state, b.error,
       coalesce(nullif(t.source_address, ''), d.source_address) AS source_address,
       coalesce(a.signature, '') AS signature, coalesce(a.slot, 0) AS slot,
       CASE WHEN a.state NOT IN ('finalized', 'failed') OR a.state IS NULL THEN 0
            WHEN a.fee_lamports > 0 THEN a.fee_lamports ELSE b.fee_lamports END AS fee_lamports,
       CASE a.state WHEN 'finalized' THEN a.receipt ELSE '' END AS receipt
FROM transfers t
JOIN distributions d ON d.id = t.distribution_id
JOIN distribution_batches b
  ON b.distribution_id = t.distribution_id AND b.state <> 'split'
 AND t.position >= b.first_transfer AND t.position < b.first_transfer + b.transfer_count
LEFT JOIN LATERAL (
    SELECT signature, slot, fee_lamports, receipt, state FROM attempts
    WHERE distribution_id = b.distribution_id AND batch_position = b.position
    ORDER BY created_at DESC LIMIT 1
) AS a ON true
WHERE t.distribution_id = $1 AND t.position >= $2 ORDER BY t.position LIMIT $3
"""
_RESOLUTIONS: Final = """
SELECT r.*, a.distribution_id, b.first_transfer, b.transfer_count
FROM attempt_resolutions r
JOIN attempts a ON a.signature = r.signature
JOIN distribution_batches b
  ON b.distribution_id = a.distribution_id AND b.position = a.batch_position
WHERE a.distribution_id = ANY($1::uuid[]) ORDER BY r.created_at, b.position
"""
_UNSETTLED: Final = """
SELECT d.id FROM distributions d
WHERE EXISTS (SELECT FROM attempts a WHERE a.distribution_id = d.id AND a.state = 'finalized'
              AND (a.receipt = 'pending'
                   AND a.updated_at < clock_timestamp() - interval '1 minute'
                   OR a.receipt_due_at < clock_timestamp()))
   OR d.state IN ('executing', 'paused', 'cancelling')
  AND (EXISTS (SELECT FROM distribution_batches b
               WHERE b.distribution_id = d.id AND b.state = 'in_flight'
                 AND (b.lease_owner IS NULL OR b.lease_expires_at < clock_timestamp()))
       OR NOT EXISTS (SELECT FROM distribution_batches b
                      WHERE b.distribution_id = d.id
                        AND (b.state = 'in_flight'
                             OR b.state = 'planned' AND d.state <> 'cancelling')))
ORDER BY d.ordinal
"""
_LIST_QUERY: Final = "distributions"


class PostgresDistributions(DistributionWork, DistributionNotes, DistributionResolutions):
    """gateway.domain.distribution_ports.Distributions on a connection."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)

    async def create(self, distribution_id: UUID, plan: Plan) -> None:
        """Stores a plan whole. Call it in a transaction.

        Raises NotFoundError if one of its wallets is not stored; none can be deleted before the
        end.
        """
        needed = dict(plan.wallets)
        if plan.destination is not None:
            needed.setdefault(*plan.destination)
        found = await self._connection.fetch(
            "SELECT id FROM wallets WHERE id = ANY($1::uuid[]) AND address = ANY($2::text[]) "
            "ORDER BY id FOR KEY SHARE",
            list(needed.values()),
            list(needed),
        )
        if len(found) != len(needed):
            raise NotFoundError("no such wallet", field="source_wallet_id")
        columns = plan_columns(plan)
        places = ", ".join(f"${number}" for number in range(2, len(columns) + 2))
        await self._connection.execute(
            # Names of our own columns, nothing that a caller gave.
            f"INSERT INTO distributions (id, {', '.join(columns)}) "  # noqa: S608 - see above
            f"VALUES ($1, {places})",
            distribution_id,
            *columns.values(),
        )
        await self._connection.copy_text(
            "distribution_batches", BATCH_COLUMNS, batch_lines(distribution_id, plan)
        )
        await self._connection.copy_text(
            "transfers", TRANSFER_COLUMNS, transfer_lines(distribution_id, plan)
        )
        await store_tables(self._connection, distribution_id, plan.lookup_tables.tables)
        await self._connection.copy_text(
            "distribution_wallets",
            ("distribution_id", "address", "wallet_id", "signs"),
            (
                f"{distribution_id}\t{address}\t{wallet_id}\t{address in plan.wallets}"
                for address, wallet_id in needed.items()
            ),
        )
        await self._connection.execute(
            "INSERT INTO distribution_skips SELECT $1, f.ordinal, f.address, f.reason "
            "FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS f (address, reason, ordinal)",
            distribution_id,
            [skip.address for skip in plan.skips],
            [skip.reason for skip in plan.skips],
        )

    async def get(self, distribution_id: UUID) -> Distribution:
        """Returns a distribution with its tally; raises NotFoundError."""
        row = await self._connection.fetchrow(f"{_SELECT} WHERE id = $1", distribution_id)
        if row is None:
            raise _not_found()
        return (await self._complete([row]))[0]

    async def list_page(self, page_size: int = 0, page_token: str = "") -> Page[Distribution]:
        """Returns distributions, newest first."""
        limit = require_page_size(page_size)
        before = decode_page_token(page_token, _LIST_QUERY)
        rows = await self._connection.fetch(
            f"{_SELECT} WHERE $1::bigint = 0 OR ordinal < $1 ORDER BY ordinal DESC LIMIT $2",
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
            await self._give_up_planned(distribution_id)

    async def settle(self, distribution_id: UUID) -> DistributionState | None:
        """Moves a distribution with nothing left to happen to its last state, and returns that.

        Returns None while something is left. Call it in a transaction.
        """
        present = await self.lock(distribution_id)
        cancelled = await self._connection.fetchval(
            "SELECT is_cancelled FROM distributions WHERE id = $1", distribution_id
        )
        if cancelled:
            # What expired or was halved since is planned again, and nobody will sign it.
            await self._give_up_planned(distribution_id)
        rows = await self._connection.fetch(_TALLIES, [distribution_id])
        tally = tallies_from_rows(rows)[distribution_id]
        state = settled_state(tally.batches, cancelled=cancelled)
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

    async def _give_up_planned(self, distribution_id: UUID) -> None:
        await self._connection.execute(
            "UPDATE distribution_batches SET state = 'cancelled', lease_owner = NULL, "
            "lease_expires_at = NULL WHERE distribution_id = $1 AND state = 'planned'",
            distribution_id,
        )

    async def _complete(self, rows: Sequence[Row]) -> list[Distribution]:
        ids = [row["id"] for row in rows]
        tallies = tallies_from_rows(await self._connection.fetch(_TALLIES, ids))
        fetched = await self._connection.fetch(_LANDED, ids)
        landed = {row["distribution_id"]: row for row in fetched}
        unlock: dict[UUID, list[UUID]] = {}
        for row in await self._connection.fetch(_UNLOCK, ids):
            unlock.setdefault(row["distribution_id"], []).append(row["id"])
        skips = await self._connection.fetch(
            "SELECT * FROM distribution_skips WHERE distribution_id = ANY($1::uuid[]) "
            "ORDER BY ordinal",
            ids,
        )
        resolved = await self._connection.fetch(_RESOLUTIONS, ids)
        tables = await table_addresses(self._connection, ids)
        return [
            distribution_from_row(
                row,
                tallies[row["id"]],
                landed.get(row["id"]),
                unlock,
                skips,
                resolved,
                tables=tables,
            )
            for row in rows
        ]


def _not_found() -> NotFoundError:
    return NotFoundError(
        "no such distribution", field="distribution_id", reason="DISTRIBUTION_NOT_FOUND"
    )
