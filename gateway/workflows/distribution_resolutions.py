"""The operator's way out of UNKNOWN: a declaration, checked against every provider."""

import logging
from typing import Final
from uuid import UUID

from gateway.domain.attempts import LiveAttempt
from gateway.domain.chain import Chain
from gateway.domain.clusters import require_here
from gateway.domain.errors import EtagMismatchError, PreconditionFailedError
from gateway.domain.outcomes import Verdict
from gateway.domain.plans import Distribution
from gateway.domain.ports import Store, UnitOfWork
from gateway.domain.resolutions import (
    Declaration,
    question,
    require_absent,
    require_declaration,
    require_landed,
    require_same,
)
from gateway.domain.states import AttemptState, BatchState, DistributionState

log = logging.getLogger("solward.gateway.distribution")

_RESOLVED: Final = "what was unknown is resolved: it waits for ExecuteDistribution with a session"


class ResolutionWorkflows:
    """Settles UNKNOWN transactions by what an operator declares and the providers do not deny."""

    def __init__(self, store: Store, chain: Chain) -> None:
        self._store = store
        self._chain = chain

    async def resolve(
        self, distribution_id: UUID, etag: str, declaration: Declaration, signature_again: str
    ) -> Distribution:
        """Settles one UNKNOWN transaction; the same declaration again changes nothing.

        All providers are asked first, and the answer of any of them that knows the signature stands
        against the operator's. Raises InvalidArgumentError, NotFoundError, EtagMismatchError,
        PreconditionFailedError, ChainUnavailableError, StoreUnavailableError; nothing is changed
        then.
        """
        require_declaration(declaration, signature_again)
        async with self._store.read() as unit:
            found = await unit.distributions.get(distribution_id)
            attempt = await unit.distributions.attempt(distribution_id, declaration.signature)
            declared = await unit.distributions.verdict(declaration.signature)
        if found.etag != etag:
            raise EtagMismatchError("the etag is not the plan's", field="etag")
        if declared is not None:
            require_same(declared, declaration.verdict)
            return found
        if attempt.state is not AttemptState.UNKNOWN:
            return _require_settled(found, attempt, declaration)
        require_here(found, await self._chain.get_genesis_hash())
        (reading,) = await self._chain.get_lapsed_statuses([question(attempt)])
        async with self._store.transaction() as unit:
            if declaration.verdict is Verdict.LANDED:
                move = require_landed(reading, attempt.signature)
                await unit.distributions.move_attempts(distribution_id, [move])
            else:
                evidence = require_absent(reading, attempt)
                await unit.distributions.resolve(distribution_id, declaration, evidence)
            await _go_on(unit, distribution_id)
            resolved = await unit.distributions.get(distribution_id)
        _log(distribution_id, attempt, declaration)
        return resolved


def _require_settled(
    found: Distribution, attempt: LiveAttempt, declaration: Declaration
) -> Distribution:
    """Returns the distribution if the chain has proved by now what is declared."""
    landed = attempt.state in {AttemptState.FINALIZED, AttemptState.FAILED}
    if declaration.verdict is Verdict.LANDED and landed:
        return found
    raise PreconditionFailedError(
        f"the transaction is {attempt.state}, not unknown", field="transaction_signature"
    )


async def _go_on(unit: UnitOfWork, distribution_id: UUID) -> None:
    """Brings a parked distribution to where nothing unknown keeps it from."""
    if await unit.distributions.settle(distribution_id) is not None:
        return
    present = await unit.distributions.get(distribution_id)
    if present.state is DistributionState.PARKED and not present.tally.batches.get(
        BatchState.UNKNOWN, 0
    ):
        await unit.distributions.set_state(distribution_id, DistributionState.PAUSED)
        await unit.distributions.note_error(distribution_id, _RESOLVED)


def _log(distribution_id: UUID, attempt: LiveAttempt, declaration: Declaration) -> None:
    facts = {
        "distribution": str(distribution_id),
        "signature": attempt.signature,
        "batch": attempt.batch_position,
        "verdict": declaration.verdict.value,
        "operator": declaration.operator,
        "peer": declaration.peer,
        "reason": declaration.reason,
    }
    log.warning("an operator resolved an unknown transaction", extra={"facts": facts})
