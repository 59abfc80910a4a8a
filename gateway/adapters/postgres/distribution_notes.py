"""Notes at distributions for whoever watches: errors, what they wait for, the signer's pace."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from gateway.adapters.postgres.connection import Connection

_NOTE_WAITING: Final = """
UPDATE distributions d SET updated_at = now(),
    last_error = $1 || CASE d.last_error WHEN '' THEN '' ELSE '; before that: ' || d.last_error END
WHERE d.state = 'executing' AND NOT starts_with(d.last_error, $1)
  AND d.id <> ALL($3::uuid[])
  AND d.updated_at < clock_timestamp() - make_interval(secs => $2)
  AND EXISTS (SELECT FROM distribution_batches b
              WHERE b.distribution_id = d.id AND b.state = 'planned')
  AND NOT EXISTS (SELECT FROM distribution_batches b
                  WHERE b.distribution_id = d.id AND b.lease_expires_at > clock_timestamp())
"""

_NOTE_PACE: Final = """
UPDATE distributions d SET signing_resumes_at = clock_timestamp() + make_interval(secs => $2),
    signing_pace = (
        SELECT coalesce(round(1000 * count(*) / greatest(1, $2 + extract(
            epoch FROM clock_timestamp() - min(a.created_at)))), 0)
        FROM attempts a WHERE a.distribution_id = d.id
          AND a.created_at > clock_timestamp() - interval '10 minutes')
WHERE d.id = $1
"""


class DistributionNotes:
    """The noting part of PostgresDistributions."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def note_error(self, distribution_id: UUID, error: str) -> None:
        """Stores what went wrong last, in words; "" clears it."""
        await self._connection.execute(
            "UPDATE distributions SET last_error = $2, updated_at = now() "
            "WHERE id = $1 AND last_error <> $2",
            distribution_id,
            error,
        )

    async def note_waiting(self, note: str, idle_s: float, at_work: Sequence[UUID] = ()) -> int:
        """Notes at every distribution that executes, with nobody at work, what it waits for.

        `at_work` are those that the caller works on itself, whatever has become of its leases.
        A gateway at work holds leases, so its note is not touched; what one that is gone noted last
        is kept behind. Returns how many there are that changed `idle_s` ago or earlier.
        """
        return await self._connection.execute(_NOTE_WAITING, note, idle_s, at_work)

    async def note_pace(self, distribution_id: UUID, wait_s: float) -> None:
        """Stores that the signer asked to wait, and how many batches it lets through that way.

        Counted over all gateways: what was signed in the last ten minutes, until it goes on.
        """
        await self._connection.execute(_NOTE_PACE, distribution_id, wait_s)
