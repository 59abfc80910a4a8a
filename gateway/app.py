"""The composition root: builds every part, serves until told to stop, and ends in order."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from gateway.adapters.associated_tokens import (
    associated_token_address,
    metaplex_metadata_address,
)
from gateway.adapters.postgres import Database, PoolConfig, check_applied
from gateway.adapters.postgres.audit import PostgresAuditMirror
from gateway.adapters.postgres.usage import PostgresUsage
from gateway.adapters.signer import SignerClient
from gateway.adapters.solana_rpc import (
    SILENT,
    Agreement,
    Endpoint,
    EndpointLimits,
    EndpointPool,
    Observer,
    Rates,
    SolanaRpc,
)
from gateway.adapters.solana_rpc.wakeups import SignatureWakeups
from gateway.adapters.solana_tx import SoldersTransactions
from gateway.api.audit import AuditService
from gateway.api.balances import BalanceService
from gateway.api.counting import CountingInterceptor
from gateway.api.distributions import DistributionService
from gateway.api.interceptor import StatusInterceptor
from gateway.api.masters import MasterWalletService
from gateway.api.signing import SigningService
from gateway.api.wallets import WalletService
from gateway.background import beside
from gateway.clock import SystemClock
from gateway.config import Config
from gateway.listening import Bound, bind, claim
from gateway.metrics import Metrics, Page
from gateway.metrics_server import serve_metrics
from gateway.readiness import CHAIN, DATABASE, NEEDS, RPC_HEALTH, SIGNER, Probe, Readiness
from gateway.workflows.audit import AuditFollower
from gateway.workflows.balances import BalanceWorkflows
from gateway.workflows.derivation import Derivation
from gateway.workflows.distribution import DistributionWorkflows
from gateway.workflows.distribution_engine import DistributionEngine
from gateway.workflows.distribution_planning import Planning, PlanningConfig
from gateway.workflows.distribution_resolutions import ResolutionWorkflows
from gateway.workflows.distribution_watch import watch
from gateway.workflows.history import HistoryWorkflows
from gateway.workflows.masters import MasterWorkflows
from gateway.workflows.selections import Selections
from gateway.workflows.sessions import SessionWorkflows
from gateway.workflows.signing import SigningWorkflows
from gateway.workflows.token_reads import TokenReads
from gateway.workflows.tokens import TokenWorkflows
from gateway.workflows.usage import UsageLog
from gateway.workflows.wallets import WalletWorkflows
from solward.gateway.v1 import audit_service_pb2_grpc as audit_grpc
from solward.gateway.v1 import balance_service_pb2_grpc as balance_grpc
from solward.gateway.v1 import distribution_service_pb2_grpc as distribution_grpc
from solward.gateway.v1 import master_wallet_service_pb2_grpc as master_grpc
from solward.gateway.v1 import signing_service_pb2_grpc as signing_grpc
from solward.gateway.v1 import wallet_service_pb2_grpc as wallet_grpc

log = logging.getLogger("solward.gateway")
# With grpc's defaults 10,000 concurrent calls lost some; with these none. A silent peer is cut off.
_OPTIONS: Final = (
    ("grpc.server.max_pending_requests", 100_000),
    ("grpc.server.max_pending_requests_hard_limit", 100_000),
    ("grpc.server_max_unrequested_time_in_server", 600),
    ("grpc.server_handshake_timeout_ms", 3_000),
    # Without it a second gateway on the same port would quietly take half of the calls.
    ("grpc.so_reuseport", 0),
)
_CLOSE_TIMEOUT_S: Final = 5.0
_LAST_WORDS_S: Final = 1.0  # for the last answers to reach their clients


@dataclass(frozen=True, slots=True)
class Adapters:
    """What talks to the outside."""

    clock: SystemClock
    database: Database
    signer: SignerClient
    chain: SolanaRpc
    wakeups: SignatureWakeups | None = None


@dataclass(frozen=True, slots=True)
class Workers:
    """What works without being asked: times of use, distributions, the copy of the audit log."""

    usage: UsageLog
    engine: DistributionEngine
    follower: AuditFollower
    wakeups: SignatureWakeups | None

    def run(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Returns what is to run until the gateway stops."""
        work = [self.usage.run(), self.engine.sweep(), self.follower.run()]
        return (*work, self.wakeups.run()) if self.wakeups else tuple(work)

    async def close(self) -> None:
        """Ends distributions where they stand, for any gateway to go on; stores what is left."""
        await self.engine.close()
        await self.usage.flush()


@asynccontextmanager
async def open_adapters(config: Config, observer: Observer = SILENT) -> AsyncIterator[Adapters]:
    """Builds the adapters; none of them connects before it is used. Closes them at the end.

    `observer` is told of calls to RPC endpoints.
    """
    clock = SystemClock()
    limits = EndpointLimits(
        timeout_s=config.solana.request_timeout_ms / 1000,
        concurrency_max=config.solana.requests_concurrent_max,
    )
    async with AsyncExitStack() as stack:
        database = await Database.open(
            config.postgres.url, PoolConfig(connections_max=config.postgres.connections_max)
        )
        stack.push_async_callback(_in_time, database.close)
        signer = SignerClient(
            config.signer_socket, clock, seal_plaintext=config.seal_plaintext_secrets
        )
        stack.push_async_callback(signer.close)
        solana = config.solana
        rates = Rates(solana.requests_per_second_max, solana.method_requests_per_second_max)
        endpoints = [Endpoint(url, limits) for url in solana.rpc_urls]
        chain = SolanaRpc(
            EndpointPool(
                endpoints,
                clock,
                rates=rates,
                observer=observer,
                genesis_hash=solana.genesis_hash,
            ),
            agreement=Agreement(
                expiry_providers_min=solana.expiry_providers_min or min(2, len(endpoints)),
                finality_providers_min=solana.finality_providers_min,
            ),
        )
        stack.push_async_callback(chain.close)
        wakeups = SignatureWakeups(solana.ws_url, clock) if solana.ws_url else None
        yield Adapters(clock, database, signer, chain, wakeups)


def add_services(server: grpc.aio.Server, config: Config, adapters: Adapters) -> Workers:
    """Builds workflows and servicers on the adapters; returns what has to run beside them."""
    store, signer, clock = adapters.database, adapters.signer, adapters.clock
    chain, mirror = adapters.chain, PostgresAuditMirror(store)
    usage = UsageLog(PostgresUsage(store), clock)
    # Who waits for the signer holds a connection: however slow it is, half are for all others.
    gate = asyncio.Semaphore(config.postgres.connections_max // 2)
    wallets = WalletWorkflows(store, signer, clock, gate)
    derivation = Derivation(store, signer, concurrent_max=config.limits.derivations_concurrent_max)
    signing = SigningService(
        SessionWorkflows(store, signer, gate),
        SigningWorkflows(store, signer, usage),
        wallets,
        signer,
    )
    balances = BalanceService(
        Selections(store, signer),
        BalanceWorkflows(store, chain),
        TokenWorkflows(store, chain, associated_token_address, metaplex_metadata_address),
        HistoryWorkflows(store, chain, TokenReads(chain, associated_token_address)),
        clock,
    )
    compiler = SoldersTransactions()
    wakeups = adapters.wakeups
    engine = DistributionEngine(
        store, chain, signer, compiler, clock, listeners=wakeups.listener if wakeups else None
    )
    planning = Planning(
        store,
        chain,
        compiler,
        signer,
        PlanningConfig(
            config.distribution.transaction_version,
            config.distribution.compute_unit_price_micro_lamports_min,
            config.distribution.compute_unit_price_micro_lamports_max,
        ),
    )
    distributions = DistributionService(
        DistributionWorkflows(store, chain, planning, engine),
        ResolutionWorkflows(store, chain),
        partial(watch, store, clock),
        clock,
    )
    master_grpc.add_MasterWalletServiceServicer_to_server(
        MasterWalletService(MasterWorkflows(store, signer, gate)), server
    )
    wallet_grpc.add_WalletServiceServicer_to_server(WalletService(wallets, derivation), server)
    signing_grpc.add_SigningServiceServicer_to_server(signing, server)
    balance_grpc.add_BalanceServiceServicer_to_server(balances, server)
    distribution_grpc.add_DistributionServiceServicer_to_server(distributions, server)
    audit_grpc.add_AuditServiceServicer_to_server(AuditService(mirror), server)
    return Workers(usage, engine, AuditFollower(signer.audit_feed(), mirror, clock), wakeups)


async def serve(config: Config, *, announce: Callable[[Bound], None]) -> None:
    """Serves until SIGTERM or SIGINT, then drains. Calls `announce` once it listens and has asked
    once whether it is usable. Raises StartError.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        if config.listen.unix is not None:
            stack.callback(os.close, claim(config.listen.unix))
        metrics = Metrics()
        adapters = await stack.enter_async_context(open_adapters(config, metrics))
        interceptor = StatusInterceptor(adapters.clock)
        server = grpc.aio.server(
            interceptors=[CountingInterceptor(adapters.clock, metrics.served), interceptor],
            options=(
                *_OPTIONS,
                ("grpc.max_receive_message_length", config.limits.request_bytes_max),
            ),
            maximum_concurrent_rpcs=config.limits.requests_concurrent_max,
        )
        workers = add_services(server, config, adapters)
        stack.push_async_callback(workers.close)
        health = health_aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        names = [
            *filter(None, {*NEEDS} - {RPC_HEALTH}),
            "solward.gateway.v1.AuditService",
            "grpc.health.v1.Health",
        ]
        reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server)
        readiness = Readiness(health, adapters.clock, probes(config, adapters))
        await readiness.start()
        bound = bind(server, config.listen)
        if config.metrics is not None:
            page = Page(metrics, adapters.database, adapters.clock, adapters.chain, readiness)
            address = await stack.enter_async_context(serve_metrics(config.metrics, page.text))
            bound = replace(bound, metrics=address)
        await server.start()
        await readiness.check()
        announce(bound)
        async with beside(stop, readiness.run(), *workers.run()):
            await stop.wait()
            log.info("draining", extra={"facts": {"seconds_max": config.limits.drain_seconds}})
            await health.enter_graceful_shutdown()
            await interceptor.calls.drain(config.limits.drain_seconds)
            await server.stop(_LAST_WORDS_S)
    log.info("stopped")


async def _in_time(close: Callable[[], Awaitable[None]]) -> None:
    """Closes, and gives up on a database that does not answer: the kernel closes the rest."""
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await close()
    except TimeoutError:
        log.warning("the database's connections were cut")


def probes(config: Config, adapters: Adapters) -> dict[str, Probe]:
    """Returns how to ask whether the database (and its schema), signer and RPC node are usable."""
    migrated = False

    async def database() -> None:
        nonlocal migrated
        if not migrated:
            await check_applied(config.postgres.url)
            migrated = True
        await adapters.database.ping()

    return {DATABASE: database, SIGNER: adapters.signer.info, CHAIN: adapters.chain.get_health}
