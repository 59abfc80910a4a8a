"""What an operator can measure, as Prometheus metrics. Labels are few and name no wallet.

    solward_rpc_requests_total{endpoint,method,outcome}  "ok" or an error; 429: rate_limited
    solward_rpc_request_seconds{endpoint,method}         without the wait for a budget
    solward_rpc_retries_total{method}
    solward_rpc_budget_waits_total{endpoint,method}, solward_rpc_budget_wait_seconds_total{...}
    solward_rpc_circuit_open{endpoint}                   1: asked after all others
    solward_rpc_rest_seconds{endpoint}                   how long it asked to be left alone
    solward_rpc_lag_slots{endpoint}                      how far it is behind the others
    solward_grpc_requests_total{method,code}, solward_grpc_request_seconds{method}
    solward_up{part}                                     database, signer, rpc
    solward_service_ready{service}                       as health says; "" is the gateway
    solward_distributions{state}                         all
    solward_transactions{state}, solward_transfers{state}    of unfinished distributions
    solward_tallies_age_seconds                          of the last three

An endpoint's label is its host, and its port if it has one: the rest of a URL is often a key.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.adapters.postgres import Database
from gateway.adapters.postgres.tallies import Tallies, read_tallies
from gateway.adapters.solana_rpc import Observer, SolanaRpc
from gateway.domain.errors import StoreUnavailableError
from gateway.domain.ports import Clock
from gateway.readiness import NEEDS, Readiness

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_TALLIES_S: Final = 5.0
_TALLIES_TIMEOUT_S: Final = 2.0


class Metrics(Observer):
    """Counters that the gateway's parts feed, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._rpc_requests = self._counter(
            "rpc_requests", "Calls to RPC endpoints", "endpoint", "method", "outcome"
        )
        self._rpc_seconds = self._histogram(
            "rpc_request_seconds", "Time of calls to RPC endpoints", "endpoint", "method"
        )
        self._rpc_retries = self._counter("rpc_retries", "Reads tried once more", "method")
        self._budget_waits = self._counter(
            "rpc_budget_waits", "Calls that had to wait for a budget", "endpoint", "method"
        )
        self._budget_seconds = self._counter(
            "rpc_budget_wait_seconds", "Time waited for budgets", "endpoint", "method"
        )
        self._grpc_requests = self._counter("grpc_requests", "Calls served", "method", "code")
        self._grpc_seconds = self._histogram("grpc_request_seconds", "Time of calls", "method")

    def call_ended(self, endpoint: str, method: str, outcome: str, seconds: float) -> None:
        """Counts a call to an endpoint."""
        self._rpc_requests.labels(endpoint, method, outcome).inc()
        self._rpc_seconds.labels(endpoint, method).observe(seconds)

    def budget_waited(self, endpoint: str, method: str, seconds: float) -> None:
        """Counts a wait."""
        self._budget_waits.labels(endpoint, method).inc()
        self._budget_seconds.labels(endpoint, method).inc(seconds)

    def retried(self, method: str) -> None:
        """Counts a retry."""
        self._rpc_retries.labels(method).inc()

    def served(self, method: str, code: str, seconds: float) -> None:
        """Counts a call that was served."""
        name = method.removeprefix("/")
        self._grpc_requests.labels(name, code).inc()
        self._grpc_seconds.labels(name).observe(seconds)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"solward_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"solward_{name}", text, labels, registry=self.registry, buckets=_SECONDS)


class Page:
    """Makes the text of a scrape: what was counted, and how things stand."""

    def __init__(
        self,
        metrics: Metrics,
        database: Database,
        clock: Clock,
        chain: SolanaRpc,
        readiness: Readiness,
    ) -> None:
        self._metrics = metrics
        self._database = database
        self._clock = clock
        self._chain = chain
        self._readiness = readiness
        self._tallies: Tallies | None = None
        self._tallies_at_s = float("-inf")
        self._counting = asyncio.Lock()
        metrics.registry.register(_Standing(self._standing))

    async def text(self) -> bytes:
        """Returns the present state in Prometheus' text format. Does not raise."""
        async with self._counting:
            if self._clock.monotonic_s() - self._tallies_at_s >= _TALLIES_S:
                await self._count()
        return generate_latest(self._metrics.registry)

    async def _count(self) -> None:
        """Counts what the database holds; if it is away the last count stands, with its age."""
        try:
            async with asyncio.timeout(_TALLIES_TIMEOUT_S):
                self._tallies = await read_tallies(self._database)
        except (StoreUnavailableError, TimeoutError):
            return
        self._tallies_at_s = self._clock.monotonic_s()

    def _standing(self) -> Iterable[GaugeMetricFamily]:
        snapshots = self._chain.snapshot()
        yield _gauge(
            "rpc_circuit_open",
            "1 if an endpoint is asked after all others",
            "endpoint",
            {one.name: one.state == "open" for one in snapshots},
        )
        yield _gauge(
            "rpc_rest_seconds",
            "How long an endpoint asked to be left alone",
            "endpoint",
            {one.name: one.rests_s for one in snapshots},
        )
        yield _gauge(
            "rpc_lag_slots",
            "How many slots an endpoint was behind the others when they were compared last",
            "endpoint",
            {one.name: one.lag_slots for one in snapshots},
        )
        failing = set(self._readiness.failing)
        parts = sorted(frozenset().union(*NEEDS.values()))
        up = {part: part not in failing for part in parts}
        yield _gauge("up", "1 if a part answers", "part", up)
        ready = {name: failing.isdisjoint(needs) for name, needs in NEEDS.items()}
        yield _gauge("service_ready", "1 if a service can work", "service", ready)
        if self._tallies is not None:
            yield from self._tally(self._tallies)

    def _tally(self, tallies: Tallies) -> Iterable[GaugeMetricFamily]:
        yield _gauge("distributions", "Distributions", "state", tallies.distributions)
        yield _gauge(
            "transactions",
            "Transactions of unfinished distributions",
            "state",
            tallies.transactions,
        )
        yield _gauge(
            "transfers", "Transfers of unfinished distributions", "state", tallies.transfers
        )
        age_s = self._clock.monotonic_s() - self._tallies_at_s
        yield GaugeMetricFamily(
            "solward_tallies_age_seconds", "Age of the counts by state", value=age_s
        )


class _Standing(Collector):
    """Gauges that are read when they are asked for."""

    def __init__(self, collect: Callable[[], Iterable[GaugeMetricFamily]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Returns the gauges."""
        return self._collect()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Returns nothing: otherwise they would be read once at the registration."""
        return ()


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"solward_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], float(value))
    return family
