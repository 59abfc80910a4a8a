"""Plans: what an order, the stored wallets and the chain's present rates come to."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar
from uuid import UUID

from gateway.domain.chain import Chain
from gateway.domain.closings import ClosingInput, plan_closing
from gateway.domain.errors import ChainUnavailableError, InvalidArgumentError, NotFoundError
from gateway.domain.orders import (
    ClosingOrder,
    ConsolidationOrder,
    DistributionOrder,
    Order,
    RecipientAddresses,
)
from gateway.domain.packing import TransactionVersion
from gateway.domain.planner import (
    PlanInput,
    Source,
    SweepInput,
    plan_distribution,
    plan_sweep,
    sweep_wallets,
)
from gateway.domain.plans import Plan
from gateway.domain.ports import Store, TransactionCompiler, UnitOfWork
from gateway.domain.splits import SEED_BYTES, RandomSplit
from gateway.domain.token_planner import TokenPlanInput, plan_token_distribution, require_movable
from gateway.domain.token_sweeps import TokenSweepInput, plan_token_sweep
from gateway.workflows.distribution_limits import LimitMeasurement
from gateway.workflows.distribution_policy import PlanPolicy, PolicyJudge
from gateway.workflows.distribution_rates import ClusterTerms, PlanningConfig
from gateway.workflows.distribution_recipients import recipient_addresses, recipient_balances
from gateway.workflows.distribution_tables import read_lookup_tables
from gateway.workflows.distribution_tokens import TokenReadings

__all__ = ["Planning", "PlanningConfig"]
Named = tuple[str, UUID]
"""A wallet of the vault: its address and id."""

T = TypeVar("T", PlanInput, SweepInput, TokenPlanInput, TokenSweepInput, ClosingInput)


class Planning:
    """Makes plans; stores nothing."""

    def __init__(
        self,
        store: Store,
        chain: Chain,
        compiler: TransactionCompiler,
        judge: PolicyJudge,
        config: PlanningConfig | None = None,
        *,
        draw: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """`draw` returns so many random bytes, for the seeds of random splits."""
        self._store = store
        self._chain = chain
        self._cluster = ClusterTerms(chain, compiler, config or PlanningConfig())
        self._limits = LimitMeasurement(chain, compiler)
        self._draw = draw
        self._tokens = TokenReadings(chain, compiler)
        self._policy = PlanPolicy(store, judge, compiler)

    async def plan(self, order: Order) -> Plan:
        """Plans, and asks the signer's policy about the plan.

        Raises InvalidArgumentError, TotalTooSmallError, NotFoundError, PreconditionFailedError,
        PolicyDeniedError, OutOfRangeError, ChainUnavailableError, StoreUnavailableError,
        SignerUnavailableError, SignerRefusedError.
        """
        plan = await self._allowed(await self._plan(order))
        plan = replace(plan, genesis_hash=await self._chain.get_genesis_hash())
        return replace(plan, etag=plan.digest())

    async def estimate(self, order: Order) -> Plan:
        """Plans as `plan` does, but for a payout of a token that the source need not hold yet."""
        return await self._allowed(await self._plan(order, is_funded_later=True))

    async def _allowed(self, plan: Plan) -> Plan:
        await self._policy.require_allowed(plan)
        return plan

    async def _plan(self, order: Order, *, is_funded_later: bool = False) -> Plan:
        if isinstance(order, ClosingOrder):
            return await self._closing(order)
        if isinstance(order, DistributionOrder):
            return await self._distribution(order, is_funded_later=is_funded_later)
        return await self._consolidation(order)

    async def _distribution(self, order: DistributionOrder, *, is_funded_later: bool) -> Plan:
        async with self._store.read() as unit:
            source = (await _named(unit, [order.source_wallet_id], "source_wallet_id"))[0]
            addresses = await recipient_addresses(unit, order.recipients)
        if order.mint:
            return await self._token_distribution(
                order, source, addresses, is_funded_later=is_funded_later
            )
        balances = await recipient_balances(self._chain, order.recipients, addresses)
        return await self._measured(
            order,
            plan_distribution,
            PlanInput(
                source_wallet_id=source[1],
                source_address=source[0],
                recipient_addresses=addresses,
                recipient_balances=balances,
                total_lamports=order.total_amount,
                split=self._seeded(order).split,
                rates=await self._cluster.rates(source[0]),
                version=await self._cluster.version(source[0]),
            ),
        )

    async def _consolidation(self, order: ConsolidationOrder) -> Plan:
        async with self._store.read() as unit:
            sources = await _named(unit, order.source_wallet_ids, "source_wallet_ids")
            destination = (
                await _named(unit, [order.destination_wallet_id], "destination_wallet_id")
            )[0]
            payer = None
            if order.fee_payer_wallet_id is not None:
                found = await _named(unit, [order.fee_payer_wallet_id], "fee_payer_wallet_id")
                payer = found[0]
        if order.mint:
            return await self._token_sweep(order, sources, destination, payer)
        balances = await self._balances([*(address for address, _ in sources), destination[0]])
        return await self._measured(
            order,
            plan_sweep,
            SweepInput(
                sources=[
                    Source(wallet_id, address, balance)
                    for (address, wallet_id), balance in zip(sources, balances, strict=False)
                ],
                destination=destination,
                destination_balance=balances[-1],
                fee_payer=payer,
                fee_payment=order.fee_payment,
                rates=await self._cluster.rates(destination[0], [payer[0]] if payer else []),
                version=await self._cluster.version(destination[0]),
            ),
        )

    async def _token_distribution(
        self,
        order: DistributionOrder,
        source: Named,
        addresses: Sequence[str],
        *,
        is_funded_later: bool,
    ) -> Plan:
        mint = await self._tokens.mint(order.mint)
        require_movable(mint)
        if isinstance(order.recipients, RecipientAddresses):
            await recipient_balances(self._chain, order.recipients, addresses)
        holder = (await self._tokens.holders([source[0]], mint, "source_wallet_id"))[0]
        return await self._measured(
            order,
            plan_token_distribution,
            TokenPlanInput(
                source_wallet_id=source[1],
                source=holder,
                recipients=await self._tokens.holders(addresses, mint, "recipients"),
                mint=mint,
                total_amount=order.total_amount,
                split=self._seeded(order).split,
                transfer_fee=order.transfer_fee,
                memo=order.memo,
                rent_lamports=await self._tokens.account_rent(mint),
                rates=await self._cluster.rates(source[0], [holder.account, mint.address]),
                is_funded_later=is_funded_later,
                version=await self._cluster.version(source[0]),
            ),
            # A transfer out of an account that is not there does not.
            simulates=holder.state is not None,
        )

    async def _token_sweep(
        self,
        order: ConsolidationOrder,
        sources: Sequence[Named],
        destination: Named,
        payer: Named | None,
    ) -> Plan:
        if payer is None:
            raise InvalidArgumentError(
                "a token's consolidation needs a fee payer", field="fee_payer_wallet_id"
            )
        wallets, fee_payer = sweep_wallets(sources, destination[0], payer)
        mint = await self._tokens.mint(order.mint)
        require_movable(mint)
        addresses = [address for address, _ in sources]
        receiving = await self._tokens.holders([destination[0]], mint, "destination_wallet_id")
        return await self._measured(
            order,
            plan_token_sweep,
            TokenSweepInput(
                sources=await self._tokens.all_holders(addresses, mint),
                wallets=wallets,
                destination=receiving[0],
                destination_wallet_id=destination[1],
                fee_payer=fee_payer,
                mint=mint,
                rent_lamports=await self._tokens.account_rent(mint),
                rates=await self._cluster.rates(fee_payer, [receiving[0].account, mint.address]),
                version=await self._cluster.version(fee_payer),
            ),
        )

    async def _closing(self, order: ClosingOrder) -> Plan:
        if len(set(order.wallet_ids)) != len(order.wallet_ids) or not order.wallet_ids:
            raise InvalidArgumentError("name each wallet once", field="wallet_ids")
        async with self._store.read() as unit:
            wallets = await _named(unit, order.wallet_ids, "wallet_ids")
            destination = (
                await _named(unit, [order.destination_wallet_id], "destination_wallet_id")
            )[0]
        accounts = await self._tokens.held([address for address, _ in wallets])
        return await self._measured(
            order,
            plan_closing,
            ClosingInput(
                accounts=accounts,
                wallets=dict(wallets),
                destination=destination,
                mode=order.mode,
                rent_floors=await self._tokens.rent_floors(accounts),
                rates=await self._cluster.rates(destination[0]),
                version=await self._cluster.version(destination[0]),
            ),
        )

    async def _balances(self, addresses: Sequence[str]) -> list[int]:
        readings = await self._chain.get_balances(addresses, "finalized")
        if any(reading.error_reason for reading in readings):
            raise ChainUnavailableError("the balances could not be read")
        return [reading.balance_lamports for reading in readings]

    def _seeded(self, order: DistributionOrder) -> DistributionOrder:
        if isinstance(order.split, RandomSplit) and not order.split.seed:
            return replace(order, split=RandomSplit(self._draw(SEED_BYTES)))
        return order

    async def _measured(
        self, order: Order, make: Callable[[T], Plan], given: T, *, simulates: bool = True
    ) -> Plan:
        """Plans with fixed bounds, simulates, and plans again with what was used.

        Without `simulates` the bounds stay. Lookup tables that the order names make it v0.
        """
        if order.lookup_tables:
            tables = await read_lookup_tables(self._chain, order.lookup_tables)
            given = replace(given, version=TransactionVersion.V0, lookup_tables=tables)
        draft = make(given)
        if not simulates:
            return draft
        limits = await self._limits.measure(draft)
        return make(replace(given, limits=limits)) if limits.usages else draft


async def _named(unit: UnitOfWork, wallet_ids: Sequence[UUID], field: str) -> list[Named]:
    """Returns wallets in the order asked for; raises NotFoundError naming the field."""
    addresses = await unit.wallets.addresses_of(wallet_ids)
    found: list[Named] = []
    for position, (address, wallet_id) in enumerate(zip(addresses, wallet_ids, strict=True)):
        if address is None:
            where = f"{field}[{position}]" if field.endswith("ids") else field
            raise NotFoundError("no such wallet", field=where)
        found.append((address, wallet_id))
    return found
