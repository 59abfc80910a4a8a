"""Distributions: estimated, planned and frozen, approved by etag, executed, read."""

from typing import Final
from uuid import UUID, uuid4

from gateway.domain.chain import Chain
from gateway.domain.clusters import require_here
from gateway.domain.errors import (
    EtagMismatchError,
    InvalidArgumentError,
    PreconditionFailedError,
)
from gateway.domain.orders import ClosingOrder, ConsolidationOrder, DistributionOrder, Order
from gateway.domain.pages import Page
from gateway.domain.planner import require_funds
from gateway.domain.plans import Asset, CostEstimate, Distribution, Plan, Transfer
from gateway.domain.ports import Store, UnitOfWork
from gateway.domain.states import DistributionState
from gateway.workflows.distribution_engine import DistributionEngine
from gateway.workflows.distribution_planning import Planning
from gateway.workflows.requests import once, request_key

_CALLS: Final[dict[type[Order], str]] = {
    DistributionOrder: "CreateDistribution",
    ConsolidationOrder: "CreateConsolidation",
    ClosingOrder: "CloseEmptyAccounts",
}
_STARTABLE: Final = {
    DistributionState.PLANNED,
    DistributionState.PAUSED,
    DistributionState.PARKED,
}
_CANCELLED: Final = {DistributionState.CANCELLING, DistributionState.CANCELLED}


class DistributionWorkflows:
    """What can be asked about distributions. The engine does the work on them."""

    def __init__(
        self, store: Store, chain: Chain, planning: Planning, engine: DistributionEngine
    ) -> None:
        self._store = store
        self._chain = chain
        self._planning = planning
        self._engine = engine

    async def estimate(self, order: Order) -> CostEstimate:
        """Says what a plan would cost by the cluster's present rates; stores nothing.

        A source need not hold what it is to pay yet. Raises as `create` does otherwise.
        """
        return (await self._planning.estimate(order)).estimate

    async def plan(self, order: Order) -> Plan:
        """Plans without storing: what `validate_only` shows. Raises as `create` does."""
        return await self._planning.plan(order)

    async def create(self, request_id: str, order: Order) -> Distribution:
        """Plans a distribution and freezes the plan, in one transaction.

        The same request_id with the same order returns the distribution made first. Whether the
        payer can pay is looked at when it is executed: it may be funded in between. Raises as
        Planning.plan does, and RequestIdConflictError.
        """
        key = request_key(request_id, _CALLS[type(order)], order)
        async with self._store.read() as unit:
            stored = await unit.idempotency.find(key)
            if stored is not None:
                return await unit.distributions.get(UUID(bytes=stored))
        plan = await self.plan(order)

        async def work(unit: UnitOfWork) -> tuple[UUID, Distribution]:
            distribution_id = uuid4()
            await unit.distributions.create(distribution_id, plan)
            return distribution_id, await unit.distributions.get(distribution_id)

        return await once(self._store, key, work, lambda unit, made: unit.distributions.get(made))

    async def execute(self, distribution_id: UUID, etag: str, session_token: bytes) -> Distribution:
        """Starts or resumes what the etag approves; returns at once.

        The token stays in this process's memory and ends with it: after a restart what is signed is
        still followed up, and what is not waits for another call with a session. A distribution
        that is executing already takes the new token; one that was cancelled and is parked is
        followed up and signs nothing. Raises NotFoundError, EtagMismatchError,
        PreconditionFailedError (WRONG_STATE, INSUFFICIENT_FUNDS), ChainUnavailableError.
        """
        if not session_token:
            raise InvalidArgumentError("session_token is missing", field="session_token")
        async with self._store.read() as unit:
            found = await unit.distributions.get(distribution_id)
        _require_approved(found, etag)
        if found.state is DistributionState.PLANNED:
            require_here(found, await self._chain.get_genesis_hash())
            await self._require_funds(found)
        async with self._store.transaction() as unit:
            await unit.distributions.lock(distribution_id)
            present = await unit.distributions.get(distribution_id)
            _require_approved(present, etag)
            started = present
            if present.state in _STARTABLE:
                wanted = DistributionState.EXECUTING
                if present.is_cancelled:
                    wanted = DistributionState.CANCELLING
                await unit.distributions.set_state(distribution_id, wanted)
                await unit.distributions.note_error(distribution_id, "")
                started = await unit.distributions.get(distribution_id)
        self._engine.start(distribution_id, b"" if present.is_cancelled else session_token)
        return started

    async def _require_funds(self, found: Distribution) -> None:
        """Raises INSUFFICIENT_FUNDS if the payer lacks lamports for the plan."""
        if found.estimate.required_lamports:
            reading = await self._chain.get_balance(found.source_address)
            require_funds(found.estimate, reading.balance_lamports)

    async def pause(self, distribution_id: UUID) -> Distribution:
        """Lets what is signed finish and signs nothing more; pausing twice is no error."""
        async with self._store.transaction() as unit:
            if await unit.distributions.lock(distribution_id) is not DistributionState.PAUSED:
                await unit.distributions.set_state(distribution_id, DistributionState.PAUSED)
            return await unit.distributions.get(distribution_id)

    async def cancel(self, distribution_id: UUID) -> Distribution:
        """Lets what is signed finish and gives up the rest for good; twice is no error."""
        async with self._store.transaction() as unit:
            present = await unit.distributions.lock(distribution_id)
            if present is DistributionState.PLANNED:
                await unit.distributions.set_state(distribution_id, DistributionState.CANCELLED)
            elif present not in _CANCELLED:
                await unit.distributions.set_state(distribution_id, DistributionState.CANCELLING)
            cancelled = await unit.distributions.get(distribution_id)
        if cancelled.state is DistributionState.CANCELLING:
            # Nobody may be working on it, as after a restart: then this gateway follows it up.
            self._engine.start(distribution_id, b"")
        return cancelled

    async def get(self, distribution_id: UUID) -> Distribution:
        """Returns a distribution; raises NotFoundError."""
        async with self._store.read() as unit:
            return await unit.distributions.get(distribution_id)

    async def list_page(self, page_size: int = 0, page_token: str = "") -> Page[Distribution]:
        """Returns distributions, newest first."""
        async with self._store.read() as unit:
            return await unit.distributions.list_page(page_size, page_token)

    async def list_transfers(
        self, distribution_id: UUID, page_size: int = 0, page_token: str = ""
    ) -> tuple[Page[Transfer], Asset]:
        """Returns transfers in the order of the plan, and what they move; or NotFoundError."""
        async with self._store.read() as unit:
            found = await unit.distributions.get(distribution_id)
            page = await unit.distributions.list_transfers(distribution_id, page_size, page_token)
            return page, found.asset


def _require_approved(found: Distribution, etag: str) -> None:
    if found.etag != etag:
        raise EtagMismatchError("the etag is not the plan's", field="etag")
    if found.state not in {*_STARTABLE, DistributionState.EXECUTING}:
        raise PreconditionFailedError(f"the distribution is {found.state}", field="distribution_id")
