"""The work on distributions: attempts that are stored before anybody sends them."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from gateway.adapters.postgres.distribution_leases import DistributionLeases
from gateway.adapters.postgres.distribution_receipts import DistributionReceipts
from gateway.adapters.postgres.distribution_rows import (
    live_attempt_from_row,
    move_from_row,
    storable_slot,
)
from gateway.adapters.postgres.distribution_splits import split_batches
from gateway.adapters.postgres.distribution_tables import load_tables
from gateway.domain.attempts import (
    NOTHING,
    AttemptMove,
    ClaimedBatch,
    LiveAttempt,
    NewAttempt,
    PassedOver,
    Pending,
)
from gateway.domain.plans import Move
from gateway.domain.states import ATTEMPT_MOVES, BATCH_AFTER_ATTEMPT, AttemptState, BatchState

_MOVES: Final = """
SELECT b.position AS batch, b.fee_payer_address, d.source_address AS payer, t.source_address,
       t.recipient_address, t.amount, t.withheld_amount, t.compute_units, t.steps, t.rent_lamports
FROM distribution_batches b
JOIN distributions d ON d.id = b.distribution_id
JOIN transfers t ON t.distribution_id = b.distribution_id AND t.position >= b.first_transfer
                AND t.position < b.first_transfer + b.transfer_count
WHERE b.distribution_id = $1 AND b.position = ANY($2::integer[]) ORDER BY t.position
"""
_PENDING: Final = """
SELECT count(*) AS attempts, coalesce(sum(b.fee_lamports), 0) AS fees,
       coalesce(sum(b.total_amount), 0) AS amount, coalesce(sum(made.rent), 0) AS rent
FROM attempts a JOIN distribution_batches b
  ON b.distribution_id = a.distribution_id AND b.position = a.batch_position
CROSS JOIN LATERAL (
    SELECT sum(t.rent_lamports) AS rent FROM transfers t
    WHERE t.distribution_id = b.distribution_id AND t.position >= b.first_transfer
      AND t.position < b.first_transfer + b.transfer_count
) AS made
WHERE a.distribution_id = $1 AND a.state IN ('signed', 'sent')
"""
# Whoever needs both locks takes the distribution's first, as a cancel does.
_LOCK: Final = "SELECT FROM distributions WHERE id = $1 FOR NO KEY UPDATE"
# The fence. Whoever lost the lease, or came after a pause, stores nothing and so sends nothing. A
# lease that expired is lost only once somebody took it, and so overwrote the owner.
_FENCE: Final = """
SELECT b.position FROM distribution_batches b JOIN distributions d ON d.id = b.distribution_id
WHERE b.distribution_id = $1 AND b.position = ANY($3::integer[]) AND b.state = 'planned'
  AND b.lease_owner = $2 AND d.state = 'executing'
ORDER BY b.position FOR NO KEY UPDATE OF b FOR SHARE OF d
"""
_INSERT_ATTEMPTS: Final = """
INSERT INTO attempts (signature, distribution_id, batch_position, wire, blockhash,
                      last_valid_block_height, blockhash_slot)
SELECT f.signature, $1, f.batch_position, f.wire, f.blockhash, f.height, f.slot
FROM unnest($2::text[], $3::integer[], $4::bytea[], $5::text[], $6::bigint[], $7::bigint[])
     AS f (signature, batch_position, wire, blockhash, height, slot)
"""


class DistributionWork(DistributionReceipts, DistributionLeases):
    """The working half of PostgresDistributions."""

    async def claim(
        self,
        distribution_id: UUID,
        worker: UUID,
        lease_s: float,
        limit: int,
        passed_over: PassedOver = NOTHING,
    ) -> list[ClaimedBatch]:
        """Leases up to `limit` planned batches that nobody works on, with their transfers."""
        positions = await self._lease(
            distribution_id, worker, lease_s, [BatchState.PLANNED], limit, passed_over
        )
        moves: dict[int, list[Move]] = defaultdict(list)
        payers: dict[int, str] = {}
        for row in await self._connection.fetch(_MOVES, distribution_id, positions):
            payers[row["batch"]] = row["fee_payer_address"]
            moves[row["batch"]].append(move_from_row(row, row["payer"]))
        if not moves:
            return []
        tables = await load_tables(self._connection, distribution_id)
        return [
            ClaimedBatch(position, payers[position], moves[position], tables)
            for position in sorted(moves)
        ]

    async def pending(self, distribution_id: UUID) -> Pending:
        """Returns what is signed, by whichever gateway, and not seen confirmed yet."""
        row = await self._connection.fetchrow(_PENDING, distribution_id)
        if row is None:
            return Pending()
        return Pending(row["attempts"], int(row["fees"]), int(row["amount"]), int(row["rent"]))

    async def store_attempts(
        self,
        distribution_id: UUID,
        worker: UUID,
        attempts: Sequence[NewAttempt],
        lease_s: float,
    ) -> set[str]:
        """Stores signed bytes; returns the signatures that may be sent once this is committed.

        Their leases begin anew. What is missing from the answer must be forgotten: its batch is not
        this worker's any more, or the distribution is not executing. Call it in a transaction of
        its own.
        """
        await self._connection.execute(_LOCK, distribution_id)
        rows = await self._connection.fetch(
            _FENCE, distribution_id, worker, [attempt.batch_position for attempt in attempts]
        )
        ours = {row["position"] for row in rows}
        stored = [attempt for attempt in attempts if attempt.batch_position in ours]
        if not stored:
            return set()
        await self._connection.execute(
            _INSERT_ATTEMPTS,
            distribution_id,
            [attempt.signature for attempt in stored],
            [attempt.batch_position for attempt in stored],
            [attempt.wire for attempt in stored],
            [attempt.blockhash for attempt in stored],
            [attempt.last_valid_block_height for attempt in stored],
            [attempt.blockhash_slot for attempt in stored],
        )
        await self._connection.execute(
            "UPDATE distribution_batches SET state = 'in_flight', error = '', "
            "lease_expires_at = clock_timestamp() + make_interval(secs => $3) "
            "WHERE distribution_id = $1 AND position = ANY($2::integer[])",
            distribution_id,
            [attempt.batch_position for attempt in stored],
            lease_s,
        )
        return {attempt.signature for attempt in stored}

    async def refuse(
        self,
        distribution_id: UUID,
        worker: UUID,
        errors: Mapping[int, str],
        splittable: Collection[int] = (),
    ) -> None:
        """Fails leased planned batches, by position, that were refused before signing.

        Those that are `splittable` and have several transfers go on in two halves instead.
        """
        await self._connection.execute(_LOCK, distribution_id)
        rows = await self._connection.fetch(
            "SELECT position FROM distribution_batches WHERE distribution_id = $1 "
            "AND position = ANY($3::integer[]) AND lease_owner = $2 AND state = 'planned' "
            "FOR NO KEY UPDATE",
            distribution_id,
            worker,
            list(errors),
        )
        ours = {row["position"] for row in rows}
        halved = sorted(ours.intersection(splittable))
        split = await split_batches(
            self._connection, distribution_id, halved, [errors[at] for at in halved]
        )
        failed = sorted(ours - split)
        await self._connection.execute(
            "UPDATE distribution_batches b SET state = 'failed', error = f.error, "
            "lease_owner = NULL, lease_expires_at = NULL "
            "FROM unnest($2::integer[], $3::text[]) AS f (position, error) "
            "WHERE b.distribution_id = $1 AND b.position = f.position",
            distribution_id,
            failed,
            [errors[at] for at in failed],
        )

    async def live_attempts(self, distribution_id: UUID, worker: UUID) -> list[LiveAttempt]:
        """Returns the undecided attempts of the worker's batches, in order of the plan."""
        rows = await self._connection.fetch(
            "SELECT a.* FROM attempts a JOIN distribution_batches b "
            "ON b.distribution_id = a.distribution_id AND b.position = a.batch_position "
            "WHERE a.distribution_id = $1 AND b.lease_owner = $2 "
            "AND a.state IN ('signed', 'sent', 'confirmed', 'unknown') ORDER BY a.batch_position",
            distribution_id,
            worker,
        )
        return [live_attempt_from_row(row) for row in rows]

    async def move_attempts(self, distribution_id: UUID, moves: Sequence[AttemptMove]) -> None:
        """Moves attempts and, with them, their batches. Call it in a transaction.

        Another gateway may have been faster: a move that its attempt does not allow any more is
        left out. A failed batch of several transfers goes on in two halves.

        A batch that is not in flight any more is not worked on, so its lease ends.
        """
        rows = await self._connection.fetch(
            "SELECT signature, batch_position, state FROM attempts "
            "WHERE distribution_id = $1 AND signature = ANY($2::text[]) "
            "ORDER BY signature FOR NO KEY UPDATE",
            distribution_id,
            [move.signature for move in moves],
        )
        present = {row["signature"]: row for row in rows}
        allowed = [
            move
            for move in moves
            if move.signature in present
            and move.state in ATTEMPT_MOVES[AttemptState(present[move.signature]["state"])]
        ]
        if not allowed:
            return
        await self._connection.execute(
            "UPDATE attempts a SET state = f.state, error = f.error, updated_at = now(), "
            "slot = greatest(a.slot, f.slot) "
            "FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) "
            "AS f (signature, state, error, slot) WHERE a.signature = f.signature",
            [move.signature for move in allowed],
            [move.state.value for move in allowed],
            [move.error for move in allowed],
            [storable_slot(move.slot) for move in allowed],
        )
        batch_of = {
            move.signature: int(present[move.signature]["batch_position"]) for move in allowed
        }
        failed = [move for move in allowed if move.state is AttemptState.FAILED]
        split = await split_batches(
            self._connection,
            distribution_id,
            [batch_of[move.signature] for move in failed],
            [move.error for move in failed],
        )
        rest = [move for move in allowed if batch_of[move.signature] not in split]
        await self._connection.execute(
            "UPDATE distribution_batches b SET state = f.state, error = f.error, "
            "lease_owner = CASE f.state WHEN 'in_flight' THEN b.lease_owner END, "
            "lease_expires_at = CASE f.state WHEN 'in_flight' THEN b.lease_expires_at END "
            "FROM unnest($2::integer[], $3::text[], $4::text[]) AS f (position, state, error) "
            "WHERE b.distribution_id = $1 AND b.position = f.position",
            distribution_id,
            [batch_of[move.signature] for move in rest],
            [BATCH_AFTER_ATTEMPT[move.state].value for move in rest],
            [move.error for move in rest],
        )
