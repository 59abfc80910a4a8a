"""Copies of audit records in PostgreSQL."""

import hashlib
from collections.abc import Sequence
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Final

import msgspec

from gateway.adapters.postgres.connection import Row
from gateway.adapters.postgres.database import Database
from gateway.domain.audit import AuditFilter, AuditRecord, Mirrored
from gateway.domain.errors import PreconditionFailedError
from gateway.domain.pages import Page, decode_page_token, encode_page_token, require_page_size

_INSERT: Final = """
INSERT INTO audit_events (chain_id, seq, time_ms, event, caller, request_id, outcome, reason,
    addresses, record, mac)
SELECT $1, r.sequence, r.time_ms, r.event, r.caller, r.request_id, r.outcome, r.reason,
    r.addresses, r.record, r.mac
FROM jsonb_to_recordset($2::jsonb) AS r(sequence bigint, time_ms bigint, event text, caller text,
    request_id text, outcome text, reason text, addresses text[], record text, mac text)
ORDER BY r.sequence
ON CONFLICT (chain_id, seq) DO NOTHING
"""
_OTHERS: Final = """
SELECT min(e.seq) FROM unnest($2::bigint[], $3::text[]) AS r (seq, mac)
JOIN audit_events e ON e.chain_id = $1 AND e.seq = r.seq WHERE e.mac <> r.mac
"""
_LAST: Final = """
SELECT chain_id, seq, mac FROM audit_events
WHERE chain_id = (SELECT chain_id FROM audit_events WHERE seq = $1 AND mac = $2 LIMIT 1)
ORDER BY seq DESC LIMIT 1
"""
_LIST: Final = """
SELECT * FROM audit_events
WHERE ($1::bigint = 0 OR ordinal < $1)
AND ($3::text = '' OR addresses @> ARRAY[$3])
AND ($4::text = '' OR event = $4)
AND ($5::bigint IS NULL OR time_ms >= $5)
AND ($6::bigint IS NULL OR time_ms < $6)
ORDER BY ordinal DESC LIMIT $2
"""


class PostgresAuditMirror:
    """gateway.domain.audit.AuditMirror on the pool."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, record: AuditRecord) -> Mirrored | None:
        """Returns how far the chain of a record is stored, None if the record is not."""
        async with self._database.read() as unit:
            row = await unit.connection.fetchrow(_LAST, record.sequence, record.mac)
        return None if row is None else Mirrored(row["chain_id"], row["seq"], row["mac"])

    async def store(self, chain_id: str, records: Sequence[AuditRecord]) -> None:
        """Stores records; what another gateway stored meanwhile stays, and must be the same."""
        lines = msgspec.json.encode(records).decode()
        async with self._database.transaction() as unit:
            touched = await unit.connection.execute(_INSERT, chain_id, lines)
            if touched == len(records):
                return
            sequences, macs = zip(*((r.sequence, r.mac) for r in records), strict=True)
            other = await unit.connection.fetchval(_OTHERS, chain_id, sequences, macs)
        if other is not None:
            raise PreconditionFailedError(
                f"the signer's audit log is not the one that was copied: record {other} differs"
            )

    async def list_page(
        self, chosen: AuditFilter, page_size: int, page_token: str
    ) -> Page[tuple[AuditRecord, datetime]]:
        """Returns matching records, newest first, with their times."""
        limit = require_page_size(page_size)
        query = "audit" + hashlib.sha256(repr(astuple(chosen)).encode()).hexdigest()
        async with self._database.read() as unit:
            rows = await unit.connection.fetch(
                _LIST,
                decode_page_token(page_token, query),
                limit + 1,
                chosen.address,
                chosen.event,
                chosen.time_min_ms,
                chosen.time_max_ms,
            )
        token = encode_page_token(rows[limit - 1]["ordinal"], query) if len(rows) > limit else ""
        return Page([(_record(row), _time(row["time_ms"])) for row in rows[:limit]], token)


def _record(row: Row) -> AuditRecord:
    return AuditRecord(
        row["seq"],
        row["time_ms"],
        row["event"],
        row["caller"],
        row["request_id"],
        row["outcome"],
        row["reason"],
        tuple(row["addresses"]),
        row["record"],
        row["mac"],
    )


def _time(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)
