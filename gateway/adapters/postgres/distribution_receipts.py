"""Receipts: what the chain's own record says of finalized attempts."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from gateway.adapters.postgres.connection import Connection, Row
from gateway.adapters.postgres.distribution_rows import move_from_row, storable_slot
from gateway.adapters.postgres.distribution_tables import load_tables
from gateway.domain.attempts import LandedAttempt, Receipt
from gateway.domain.plans import Kind
from gateway.domain.steps import decode_steps

_WITHOUT: Final = """
WITH found AS (
    SELECT a.signature, a.wire, a.batch_position FROM attempts a
    WHERE a.distribution_id = $1 AND a.state = 'finalized'
      AND (a.receipt = 'pending' OR a.receipt_due_at < clock_timestamp())
    ORDER BY a.batch_position LIMIT $2
)
SELECT a.signature, a.wire, b.fee_lamports, d.source_address AS payer, d.kind, d.prologue,
       d.account_rent_lamports, t.source_address, t.recipient_address, t.amount,
       t.withheld_amount, t.compute_units, t.steps, t.rent_lamports
FROM found a
JOIN distribution_batches b ON b.distribution_id = $1 AND b.position = a.batch_position
JOIN distributions d ON d.id = $1
JOIN transfers t ON t.distribution_id = $1 AND t.position >= b.first_transfer
                AND t.position < b.first_transfer + b.transfer_count
ORDER BY t.position
"""


class DistributionReceipts:
    """The comparing part of PostgresDistributions."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def without_receipt(self, distribution_id: UUID, limit: int) -> list[LandedAttempt]:
        """Returns finalized attempts that nobody has compared with the chain's record yet.

        Those whose record no node had are among them when it is time to ask for it again.
        """
        grouped: dict[str, list[Row]] = defaultdict(list)
        for row in await self._connection.fetch(_WITHOUT, distribution_id, limit):
            grouped[row["signature"]].append(row)
        if not grouped:
            return []
        tables = await load_tables(self._connection, distribution_id)
        return [
            LandedAttempt(
                signature,
                bytes(rows[0]["wire"]),
                int(rows[0]["fee_lamports"]),
                [move_from_row(row, row["payer"]) for row in rows],
                tables,
                Kind(rows[0]["kind"]),
                decode_steps(rows[0]["prologue"]),
                int(rows[0]["account_rent_lamports"]),
            )
            for signature, rows in grouped.items()
        ]

    async def store_receipts(self, receipts: Sequence[Receipt]) -> None:
        """Stores what the comparisons said; what another gateway stored first stays.

        A record that no node had is due again a minute later, two, four, ... for some weeks in all.
        """
        await self._connection.execute(
            "UPDATE attempts a SET receipt = f.verdict, fee_lamports = f.fee, "
            "slot = greatest(a.slot, f.slot), rent_lamports = f.rent, refund_lamports = f.refund, "
            "receipt_tries = a.receipt_tries + 1, receipt_due_at = CASE "
            "WHEN f.verdict = 'unavailable' AND a.receipt_tries < 15 "
            "THEN clock_timestamp() + interval '1 minute' * 2 ^ a.receipt_tries END "
            "FROM unnest($1::text[], $2::text[], $3::bigint[], $4::numeric[], $5::numeric[], "
            "$6::numeric[]) AS f (signature, verdict, slot, fee, rent, refund) "
            "WHERE a.signature = f.signature AND a.receipt IN ('pending', 'unavailable')",
            [receipt.signature for receipt in receipts],
            [receipt.verdict for receipt in receipts],
            [storable_slot(receipt.slot) for receipt in receipts],
            [receipt.fee_lamports for receipt in receipts],
            [receipt.rent_lamports for receipt in receipts],
            [receipt.refund_lamports for receipt in receipts],
        )
