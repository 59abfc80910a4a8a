"""Distributions: estimated, planned and frozen, approved by etag, executed, read."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID, uuid4

from gateway.domain.addresses import require_address
from gateway.domain.chain import Chain
from gateway.domain.errors import (
    ChainUnavailableError,
    EtagMismatchError,
    InvalidArgumentError,
    NotFoundError,
    PreconditionFailedError,
)
from gateway.domain.packing import TransactionVersion
from gateway.domain.pages import Page
from gateway.domain.planner import PlanInput, choose_price, plan_distribution, require_funds
from gateway.domain.plans import (
    RECIPIENTS_MAX,
    CostEstimate,
    Distribution,
    DistributionOrder,
    FeeRates,
    Plan,
    RecipientAddresses,
    RecipientIds,
    Recipients,
    Transfer,
)
from gateway.domain.ports import Store, TransactionCompiler, UnitOfWork
from gateway.domain.splits import SEED_BYTES, RandomSplit
from gateway.domain.states import DistributionState
from gateway.domain.wallets import Wallet, require_index_range
from gateway.workflows.distribution_engine import DistributionEngine
from gateway.workflows.requests import once, request_key

_STARTABLE: Final = {
    DistributionState.PLANNED,
    DistributionState.PAUSED,
    DistributionState.PARKED,
}


@dataclass(frozen=True, slots=True)
class PlanningConfig:
    """How plans are made: the transaction format, and bounds on the price of a compute unit."""

    version: TransactionVersion = TransactionVersion.LEGACY
    price_micro_lamports_min: int = 0
    price_micro_lamports_max: int = 100_000


class DistributionWorkflows:
    """What can be asked about distributions of SOL. The engine does the work on them."""

    def __init__(
        self,
        store: Store,
        chain: Chain,
        compiler: TransactionCompiler,
        engine: DistributionEngine,
        config: PlanningConfig | None = None,
        *,
        draw: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """`draw` returns so many random bytes, for the seeds of random splits."""
        self._store = store
        self._chain = chain
        self._compiler = compiler
        self._engine = engine
        self._config = config or PlanningConfig()
        self._draw = draw

    async def estimate(self, order: DistributionOrder) -> CostEstimate:
        """Says what a distribution would cost by the cluster's present rates; stores nothing."""
        return (await self.plan(order)).estimate

    async def plan(self, order: DistributionOrder) -> Plan:
        """Plans without storing: what `validate_only` shows. Raises as `create` does."""
        source, addresses = await self._resolve(order)
        rates = await self._rates(source.address)
        balances = await self._chain.get_balances(addresses)
        if any(reading.error_reason for reading in balances):
            raise ChainUnavailableError("the recipients' balances could not be read")
        return plan_distribution(
            PlanInput(
                source_wallet_id=source.id,
                source_address=source.address,
                recipient_addresses=addresses,
                recipient_balances=[reading.balance_lamports for reading in balances],
                total_lamports=order.total_lamports,
                split=self._seeded(order).split,
                rates=rates,
                version=self._config.version,
            )
        )

    async def create(self, request_id: str, order: DistributionOrder) -> Distribution:
        """Plans a distribution and freezes the plan, in one transaction.

        The same request_id with the same order returns the distribution made first. Whether the
        source can pay is looked at when it is executed: it may be funded in between. Raises
        InvalidArgumentError, TotalTooSmallError, NotFoundError, RequestIdConflictError,
        ChainUnavailableError, StoreUnavailableError.
        """
        key = request_key(request_id, "CreateDistribution", order)
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
        that is executing already takes the new token. Raises NotFoundError, EtagMismatchError,
        PreconditionFailedError (WRONG_STATE, INSUFFICIENT_FUNDS), ChainUnavailableError.
        """
        if not session_token:
            raise InvalidArgumentError("session_token is missing", field="session_token")
        async with self._store.read() as unit:
            found = await unit.distributions.get(distribution_id)
        _require_approved(found, etag)
        if found.state is DistributionState.PLANNED:
            reading = await self._chain.get_balance(found.source_address)
            require_funds(found.estimate, reading.balance_lamports)
        async with self._store.transaction() as unit:
            if await unit.distributions.lock(distribution_id) in _STARTABLE:
                await unit.distributions.set_state(distribution_id, DistributionState.EXECUTING)
                await unit.distributions.note_error(distribution_id, "")
            executing = await unit.distributions.get(distribution_id)
        _require_approved(executing, etag)
        self._engine.start(distribution_id, session_token)
        return executing

    async def pause(self, distribution_id: UUID) -> Distribution:
        """Lets what is signed finish and signs nothing more; pausing twice is no error."""
        return await self._move(distribution_id, DistributionState.PAUSED)

    async def cancel(self, distribution_id: UUID) -> Distribution:
        """Lets what is signed finish and gives up the rest for good; twice is no error."""
        async with self._store.read() as unit:
            found = await unit.distributions.get(distribution_id)
        if found.state in {DistributionState.PLANNED, DistributionState.CANCELLED}:
            return await self._move(distribution_id, DistributionState.CANCELLED)
        moved = await self._move(distribution_id, DistributionState.CANCELLING)
        # Nobody may be working on it, as after a restart: then this gateway follows it up.
        self._engine.start(distribution_id, b"")
        return moved

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
    ) -> Page[Transfer]:
        """Returns transfers in the order of the plan; raises NotFoundError."""
        async with self._store.read() as unit:
            return await unit.distributions.list_transfers(distribution_id, page_size, page_token)

    async def _move(self, distribution_id: UUID, state: DistributionState) -> Distribution:
        async with self._store.transaction() as unit:
            if await unit.distributions.lock(distribution_id) is not state:
                await unit.distributions.set_state(distribution_id, state)
            return await unit.distributions.get(distribution_id)

    def _seeded(self, order: DistributionOrder) -> DistributionOrder:
        if isinstance(order.split, RandomSplit) and not order.split.seed:
            return replace(order, split=RandomSplit(self._draw(SEED_BYTES)))
        return order

    async def _resolve(self, order: DistributionOrder) -> tuple[Wallet, list[str]]:
        async with self._store.read() as unit:
            try:
                source = await unit.wallets.get(order.source_wallet_id)
            except NotFoundError as error:
                raise NotFoundError(error.message, field="source_wallet_id") from None
            return source, await _addresses(unit, order.recipients)

    async def _rates(self, source_address: str) -> FeeRates:
        """Reads what the cluster charges now: nothing of it is a constant."""
        rent_floor = await self._chain.get_rent_exempt_lamports(0)
        recent = await self._chain.get_latest_blockhash()
        probe = self._compiler.fee_probe(source_address, recent.blockhash)
        fee = await self._chain.get_fee_for_message(probe)
        if fee is None:
            raise ChainUnavailableError("the RPC node does not know its own blockhash")
        prices = await self._chain.get_recent_prioritization_fees([source_address])
        price = choose_price(
            [reading.micro_lamports for reading in prices],
            self._config.price_micro_lamports_min,
            self._config.price_micro_lamports_max,
        )
        return FeeRates(fee, rent_floor, price)


async def _addresses(unit: UnitOfWork, recipients: Recipients) -> list[str]:
    """Returns the recipients' addresses in the order given, or raises what is wrong with them."""
    if isinstance(recipients, RecipientAddresses):
        _require_count(len(recipients.addresses), "recipients.addresses")
        return [
            require_address(address, f"recipients.addresses.addresses[{position}]")
            for position, address in enumerate(recipients.addresses)
        ]
    if isinstance(recipients, RecipientIds):
        _require_count(len(recipients.ids), "recipients.wallet_ids")
        found = await unit.wallets.addresses_of(recipients.ids)
        if None in found:
            raise NotFoundError(
                "no such wallet", field=f"recipients.wallet_ids.ids[{found.index(None)}]"
            )
        return [address for address in found if address is not None]
    indices = require_index_range(recipients.first_index, recipients.count)
    await unit.masters.get(recipients.master_wallet_id)
    wallets = await unit.wallets.derived_addresses(
        recipients.master_wallet_id, indices.first, indices.count
    )
    if len(wallets) != indices.count:
        raise PreconditionFailedError(
            f"{indices.count - len(wallets)} wallets of the range are not derived",
            field="recipients.range",
        )
    return [address for _, _, address in wallets]


def _require_count(count: int, field: str) -> None:
    if not 1 <= count <= RECIPIENTS_MAX:
        raise InvalidArgumentError(f"{field} must name 1 to {RECIPIENTS_MAX}", field=field)


def _require_approved(found: Distribution, etag: str) -> None:
    if found.etag != etag:
        raise EtagMismatchError("the etag is not the plan's", field="etag")
    if found.state not in {*_STARTABLE, DistributionState.EXECUTING}:
        raise PreconditionFailedError(f"the distribution is {found.state}", field="distribution_id")
