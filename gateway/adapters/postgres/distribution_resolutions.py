"""Declarations about UNKNOWN attempts: stored once, with their effect, and never changed."""

from typing import Final
from uuid import UUID

from gateway.adapters.postgres.connection import Connection
from gateway.adapters.postgres.distribution_rows import live_attempt_from_row
from gateway.domain.attempts import LiveAttempt
from gateway.domain.errors import NotFoundError, PreconditionFailedError
from gateway.domain.outcomes import Verdict
from gateway.domain.resolutions import Declaration, require_same
from gateway.domain.states import AttemptState, BatchState

_BATCH_AFTER: Final = {
    Verdict.PAY_AGAIN: BatchState.PLANNED,
    Verdict.GIVE_UP: BatchState.FAILED,
}
_ATTEMPT: Final = "SELECT * FROM attempts WHERE distribution_id = $1 AND signature = $2"


class DistributionResolutions:
    """The operators' part of PostgresDistributions."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def attempt(self, distribution_id: UUID, signature: str) -> LiveAttempt:
        """Returns one attempt, whatever its state; raises NotFoundError."""
        row = await self._connection.fetchrow(_ATTEMPT, distribution_id, signature)
        if row is None:
            raise NotFoundError(
                "the distribution has no transaction with this signature",
                field="transaction_signature",
                reason="DISTRIBUTION_NOT_FOUND",
            )
        return live_attempt_from_row(row)

    async def verdict(self, signature: str) -> Verdict | None:
        """Returns what was declared of an attempt, None if nothing was."""
        found = await self._connection.fetchval(
            "SELECT verdict FROM attempt_resolutions WHERE signature = $1", signature
        )
        return None if found is None else Verdict(found)

    async def resolve(self, distribution_id: UUID, declaration: Declaration, evidence: str) -> None:
        """Stores a declaration with its effect.

        The same verdict a second time changes nothing. Raises PreconditionFailedError if the
        attempt is not unknown any more, or the distribution was cancelled and the verdict asks for
        another payment. Call it in a transaction. It locks in the order that `move_attempts` does:
        the attempt, the distribution, its batches.
        """
        signature, verdict = declaration.signature, declaration.verdict
        row = await self._connection.fetchrow(
            _ATTEMPT + " FOR NO KEY UPDATE", distribution_id, signature
        )
        is_cancelled = await self._connection.fetchval(
            "SELECT is_cancelled FROM distributions WHERE id = $1 FOR NO KEY UPDATE",
            distribution_id,
        )
        declared = await self.verdict(signature)
        if row is None or declared is not None:
            require_same(declared, verdict)
            return
        if row["state"] != AttemptState.UNKNOWN:
            raise PreconditionFailedError(
                f"the transaction is {row['state']}, not unknown", field="transaction_signature"
            )
        if verdict is Verdict.PAY_AGAIN and is_cancelled:
            raise PreconditionFailedError(
                "the distribution was cancelled and pays nobody again", field="verdict"
            )
        error = f"declared by {declaration.operator} not to have landed: {declaration.reason}"
        await self._connection.execute(
            "INSERT INTO attempt_resolutions (signature, verdict, reason, operator, peer, evidence)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            signature,
            verdict.value,
            declaration.reason,
            declaration.operator,
            declaration.peer,
            evidence,
        )
        await self._connection.execute(
            "UPDATE attempts SET state = 'expired', error = $2, updated_at = now() "
            "WHERE signature = $1",
            signature,
            error,
        )
        await self._connection.execute(
            "UPDATE distribution_batches SET state = $3, error = $4, lease_owner = NULL, "
            "lease_expires_at = NULL WHERE distribution_id = $1 AND position = $2",
            distribution_id,
            row["batch_position"],
            _BATCH_AFTER[verdict].value,
            error,
        )
