"""Splitting a failed batch in two, so that one bad recipient does not fail nineteen others.

The schema judges it at commit: nothing that was signed for the batch can land any more, and its
parts are exactly its transfers.
"""

from collections import defaultdict
from collections.abc import Collection
from typing import Final
from uuid import UUID

from gateway.adapters.postgres.connection import Connection, Row
from gateway.adapters.postgres.distribution_rows import move_from_row
from gateway.domain.plans import Move
from gateway.domain.steps import FeeTerms, decode_steps

_WHOLE: Final = """
SELECT b.position AS batch, b.first_transfer, b.fee_payer_address, d.kind,
       d.source_address AS payer, d.prologue, d.opening_units, d.compute_unit_price,
       d.lamports_per_signature, t.source_address, t.recipient_address, t.amount,
       t.withheld_amount, t.compute_units, t.steps, t.rent_lamports
FROM distribution_batches b
JOIN distributions d ON d.id = b.distribution_id
JOIN transfers t ON t.distribution_id = b.distribution_id AND t.position >= b.first_transfer
                AND t.position < b.first_transfer + b.transfer_count
WHERE b.distribution_id = $1 AND b.position = ANY($2::integer[]) AND b.transfer_count > 1
ORDER BY t.position
"""
_INSERT: Final = """
INSERT INTO distribution_batches (
    distribution_id, position, first_transfer, transfer_count, total_amount, fee_payer_address,
    signature_count, fee_lamports, parent_position)
SELECT $1, (SELECT max(position) FROM distribution_batches WHERE distribution_id = $1) + f.ordinal,
       f.first, f.transfers, f.total, f.payer, f.signatures, f.fee, f.parent
FROM unnest($2::integer[], $3::integer[], $4::numeric[], $5::text[], $6::integer[], $7::numeric[],
            $8::integer[])
     WITH ORDINALITY AS f (first, transfers, total, payer, signatures, fee, parent, ordinal)
"""


async def split_batches(
    connection: Connection, distribution_id: UUID, positions: Collection[int], errors: list[str]
) -> set[int]:
    """Splits those of the batches that have several transfers; returns their positions.

    `errors` goes with `positions`. A batch whose payer is one of its own drained sources stays
    whole: the fee of the failed transaction is gone from what that source was to give. Call it in a
    transaction that holds the distribution's lock: two would number their parts alike.
    """
    await connection.fetchval(
        "SELECT id FROM distributions WHERE id = $1 FOR NO KEY UPDATE", distribution_id
    )
    grouped: dict[int, list[Row]] = defaultdict(list)
    for row in await connection.fetch(_WHOLE, distribution_id, list(positions)):
        grouped[row["batch"]].append(row)
    wholes = {at: rows for at, rows in grouped.items() if not _is_paid_by_a_drained_source(rows)}
    if not wholes:
        return set()
    parts = [part for at in sorted(wholes) for part in _halves(wholes[at])]
    why = dict(zip(positions, errors, strict=True))
    await connection.execute(
        "UPDATE distribution_batches b SET state = 'split', error = f.error, lease_owner = NULL, "
        "lease_expires_at = NULL FROM unnest($2::integer[], $3::text[]) AS f (position, error) "
        "WHERE b.distribution_id = $1 AND b.position = f.position",
        distribution_id,
        list(wholes),
        [why[at] for at in wholes],
    )
    columns = [list(column) for column in zip(*parts, strict=True)]
    await connection.execute(_INSERT, distribution_id, *columns)
    return set(wholes)


def _is_paid_by_a_drained_source(rows: list[Row]) -> bool:
    payer = rows[0]["fee_payer_address"]
    is_source = any((row["source_address"] or row["payer"]) == payer for row in rows)
    return rows[0]["kind"] == "consolidation" and is_source


def _halves(rows: list[Row]) -> list[tuple[object, ...]]:
    half = len(rows) // 2
    first = int(rows[0]["first_transfer"])
    return [_part(rows[:half], first), _part(rows[half:], first + half)]


def _part(rows: list[Row], first_transfer: int) -> tuple[object, ...]:
    terms = rows[0]
    moves: list[Move] = [move_from_row(row, row["payer"]) for row in rows]
    payer = terms["fee_payer_address"]
    fees = FeeTerms(
        decode_steps(terms["prologue"]),
        terms["opening_units"],
        int(terms["compute_unit_price"]),
        int(terms["lamports_per_signature"]),
    )
    signatures, fee = fees.of(payer, moves)
    total = sum(move.amount for move in moves)
    return first_transfer, len(moves), total, payer, signatures, fee, terms["batch"]
