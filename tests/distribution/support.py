"""A signer in memory, a clock that makes blocks, and a gateway's worth of distribution parts."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from gateway.adapters.postgres import Database
from gateway.adapters.solana_rpc import Endpoint, EndpointLimits, SingleEndpoint, SolanaRpc
from gateway.adapters.solana_tx import SoldersTransactions
from gateway.domain.custody import (
    ItemRefusal,
    SignedTransaction,
    SignItem,
    SignOutcome,
)
from gateway.domain.orders import DistributionOrder, Order, RecipientAddresses
from gateway.domain.packing import TransactionVersion
from gateway.domain.plans import Distribution
from gateway.domain.splits import RandomSplit, Split
from gateway.domain.verdicts import CapState, PolicyForecast, PolicyVerdict
from gateway.workflows.distribution import DistributionWorkflows
from gateway.workflows.distribution_engine import DistributionEngine
from gateway.workflows.distribution_planning import Planning, PlanningConfig
from gateway.workflows.distribution_run import RunConfig
from tests.postgres.samples import address_of
from tests.support.svm_chain import SvmChain
from tests.support.svm_rpc import SvmRpc

TOKEN = b"session"
SEED = bytes(32)


def slow_down(delay_ms: int) -> ItemRefusal:
    """A limit's refusal, with the time that it asks for."""
    return ItemRefusal("RATE_LIMITED", "signer.solward", 8, "slow down", retry_delay_ms=delay_ms)


@dataclass
class ChainClock:
    """A clock on which every sleep makes a block; `during_sleep` may do more."""

    chain: SvmChain
    elapsed_s: float = 0.0
    during_sleep: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        """Returns the time of day."""
        return datetime(2026, 11, 22, tzinfo=UTC) + timedelta(seconds=self.elapsed_s)

    def monotonic_s(self) -> float:
        """Returns what was slept."""
        return self.elapsed_s

    async def sleep(self, seconds: float) -> None:
        """Makes a block and lets others run."""
        self.elapsed_s += seconds
        self.chain.advance()
        self.during_sleep()
        await asyncio.sleep(0)


@dataclass
class MemorySigner:
    """Signs with keys it holds. `script`, if not empty, is asked first for each item."""

    keys: dict[str, Keypair] = field(default_factory=dict)
    items: list[SignItem] = field(default_factory=list)
    script: Callable[[SignItem], SignOutcome | None] = lambda _: None
    judged: list[SignItem] = field(default_factory=list)
    denial: Callable[[SignItem], str] = lambda _: ""
    caps: dict[str, int] = field(default_factory=dict)

    async def sign_transactions(
        self, request_id: str, token: bytes, items: Sequence[SignItem]
    ) -> list[SignOutcome]:
        """Signs what the script does not answer; only with the right token."""
        assert str(UUID(request_id)) == request_id
        return [self._sign(token, item) for item in items]

    async def forecast_policy(self, items: Sequence[SignItem]) -> PolicyForecast:
        """Allows what `denial` does not deny; each item needs one of each of `caps`."""
        self.judged += items
        verdicts = [
            PolicyVerdict(wallet.address, not rule, "desk", rule or "desk/allowed", "", 0, 100)
            for item in items
            for rule in [self.denial(item)]
            for wallet in item.wallets
        ]
        totals = [CapState(rule, len(items), left, rule) for rule, left in self.caps.items()]
        return PolicyForecast(verdicts, totals)

    def _sign(self, token: bytes, item: SignItem) -> SignOutcome:
        if token != TOKEN:
            return ItemRefusal("SESSION_INVALID", "signer.solward", 16, "no such session")
        self.items.append(item)
        scripted = self.script(item)
        if scripted is not None:
            return scripted
        unsigned = VersionedTransaction.from_bytes(item.transaction)
        signers = [self.keys[wallet.address] for wallet in item.wallets]
        signed = VersionedTransaction(unsigned.message, signers)
        signatures = tuple(bytes(signature) for signature in signed.signatures)
        return SignedTransaction(bytes(signed), signatures[0], True, signatures)


@dataclass
class Desk:
    """A gateway's distribution parts on a database and a chain, and a funded source."""

    database: Database
    node: SvmRpc
    signer: MemorySigner
    clock: ChainClock
    rpc: SolanaRpc
    engine: DistributionEngine
    workflows: DistributionWorkflows
    source_id: UUID
    source_address: str

    @property
    def chain(self) -> SvmChain:
        """The chain under the node."""
        return self.node.chain

    def balance(self, address: str) -> int:
        """What an address holds on the chain."""
        return self.chain.balance(Pubkey.from_string(address))

    def order(self, count: int, total: int, split: Split | None = None) -> DistributionOrder:
        """An order to pay `count` new addresses."""
        recipients = RecipientAddresses(tuple(address_of(n, "pay") for n in range(count)))
        return DistributionOrder(self.source_id, recipients, total, split or RandomSplit(SEED))

    async def wallets(self, count: int, lamports: int, salt: int = 0) -> list[tuple[UUID, str]]:
        """Stores `count` wallets of ours that hold so much each: (id, address)."""
        found: list[tuple[UUID, str]] = []
        async with self.database.transaction() as unit:
            for number in range(count):
                key = Keypair.from_seed((1 + salt * 1000 + number).to_bytes(32, "big"))
                address = str(key.pubkey())
                wallet_id = await unit.wallets.insert_imported(
                    address=address,
                    encrypted_private_key="sealed",
                    key_group="group",
                    ownership_tag="tag",
                )
                self.signer.keys[address] = key
                if lamports:
                    self.chain.fund(key.pubkey(), lamports)
                found.append((wallet_id, address))
        return found

    async def done(self, order: Order, request: int = 1) -> Distribution:
        """Plans and executes an order and waits for its run's end."""
        planned = await self.workflows.create(str(UUID(int=request)), order)
        await self.workflows.execute(planned.id, planned.etag, TOKEN)
        await self.engine.wait()
        return await self.workflows.get(planned.id)

    async def planned(self, count: int, total: int, request: int = 1) -> Distribution:
        """Plans a distribution."""
        return await self.workflows.create(str(UUID(int=request)), self.order(count, total))

    async def executed(self, count: int, total: int, token: bytes = TOKEN) -> Distribution:
        """Plans and executes a distribution and waits for its run's end."""
        planned = await self.planned(count, total)
        await self.workflows.execute(planned.id, planned.etag, token)
        await self.engine.wait()
        return await self.workflows.get(planned.id)

    async def paid(self, distribution: Distribution) -> list[tuple[int, int]]:
        """(planned, held) for each recipient, in order."""
        page, _ = await self.workflows.list_transfers(distribution.id, 1000)
        return [(item.amount, self.balance(item.recipient_address)) for item in page.items]

    def another_engine(self, config: RunConfig | None = None) -> DistributionEngine:
        """A second gateway's engine on the same database and chain."""
        compiler = SoldersTransactions()
        return DistributionEngine(
            self.database, self.rpc, self.signer, compiler, self.clock, config or RUN
        )

    async def close(self) -> None:
        """Ends everything but the database."""
        await self.engine.close()
        await self.rpc.close()


RUN = RunConfig(batches_per_round=4, in_flight_max=12, poll_s=0.5, resend_s=2.0, lease_s=30.0)


async def open_desk(
    database: Database,
    node: SvmRpc,
    lamports: int = 10**12,
    planning: PlanningConfig | None = None,
) -> Desk:
    """Makes the parts and a funded source wallet."""
    key = Keypair()
    address = str(key.pubkey())
    async with database.transaction() as unit:
        source_id = await unit.wallets.insert_imported(
            address=address,
            encrypted_private_key="sealed",
            key_group="group",
            ownership_tag="tag",
        )
    node.chain.fund(key.pubkey(), lamports)
    clock = ChainClock(node.chain)
    signer = MemorySigner({address: key})
    endpoint = Endpoint(node.url, EndpointLimits(timeout_s=5))
    rpc = SolanaRpc(SingleEndpoint(endpoint, clock, jitter=lambda: 0.5))
    compiler = SoldersTransactions()
    engine = DistributionEngine(database, rpc, signer, compiler, clock, RUN)
    plans = Planning(
        database,
        rpc,
        compiler,
        signer,
        planning or PlanningConfig(TransactionVersion.LEGACY),
        draw=lambda count: SEED[:count],
    )
    workflows = DistributionWorkflows(database, rpc, plans, engine)
    return Desk(database, node, signer, clock, rpc, engine, workflows, source_id, address)
