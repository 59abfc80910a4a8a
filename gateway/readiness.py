"""Health that means usable: a service is SERVING only while what it needs answers.

    MasterWalletService, WalletService, SigningService    database (migrated) and signer
    BalanceService                                        database and RPC node
    DistributionService                                   all three
    solana-rpc (no service: a name to ask health for)     RPC node: at least one endpoint answers
    "" (the whole gateway)                                database and signer

The gateway itself runs without any of them: it answers what it can, refuses the rest with the
reason, and is SERVING again within seconds of their return.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

from gateway.domain import deadline
from gateway.domain.errors import GatewayError
from gateway.domain.ports import Clock

DATABASE: Final = "database"
SIGNER: Final = "signer"
CHAIN: Final = "rpc"
RPC_HEALTH: Final = "solana-rpc"
_PACKAGE: Final = "solward.gateway.v1"
NEEDS: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({DATABASE, SIGNER}),
    f"{_PACKAGE}.MasterWalletService": frozenset({DATABASE, SIGNER}),
    f"{_PACKAGE}.WalletService": frozenset({DATABASE, SIGNER}),
    f"{_PACKAGE}.SigningService": frozenset({DATABASE, SIGNER}),
    f"{_PACKAGE}.BalanceService": frozenset({DATABASE, CHAIN}),
    f"{_PACKAGE}.DistributionService": frozenset({DATABASE, SIGNER, CHAIN}),
    RPC_HEALTH: frozenset({CHAIN}),
}
_PROBE_TIMEOUT_S: Final = 3.0
_READY_INTERVAL_S: Final = 5.0
_UNREADY_INTERVAL_S: Final = 0.5
log = logging.getLogger("solward.gateway")

Probe = Callable[[], Awaitable[object]]


class Readiness:
    """Probes what the gateway needs and tells the health service."""

    def __init__(
        self, health: health_aio.HealthServicer, clock: Clock, probes: Mapping[str, Probe]
    ) -> None:
        self._health = health
        self._clock = clock
        self._probes = probes
        self._failing: dict[str, str] = dict.fromkeys(probes, "not asked yet")

    @property
    def failing(self) -> Mapping[str, str]:
        """What did not answer when it was asked last, and why."""
        return self._failing

    async def start(self) -> None:
        """Says NOT_SERVING of everything: the health service's own beginning is SERVING."""
        for service in NEEDS:
            await self._health.set(service, health_pb2.HealthCheckResponse.NOT_SERVING)

    async def check(self) -> bool:
        """Probes everything at once and sets every service's state; true if all is well."""
        names = list(self._probes)
        reasons = await asyncio.gather(*(self._probe(name) for name in names))
        failing = {name: reason for name, reason in zip(names, reasons, strict=True) if reason}
        self._log_changes(failing)
        self._failing = failing
        for service, needs in NEEDS.items():
            usable = needs.isdisjoint(failing)
            state = health_pb2.HealthCheckResponse.ServingStatus.Value(
                "SERVING" if usable else "NOT_SERVING"
            )
            await self._health.set(service, state)
        return not failing

    async def run(self) -> None:
        """Checks until cancelled: seldom while all is well, often while something is missing."""
        while True:
            await self._clock.sleep(_UNREADY_INTERVAL_S if self._failing else _READY_INTERVAL_S)
            await self.check()

    async def _probe(self, name: str) -> str:
        try:
            with deadline.within(_PROBE_TIMEOUT_S, self._clock.monotonic_s()):
                async with asyncio.timeout(_PROBE_TIMEOUT_S):
                    await self._probes[name]()
        except TimeoutError:
            return "timeout"
        except GatewayError as error:
            return error.message
        except Exception:
            # A defect in a probe must not end the gateway.
            log.exception("a probe failed", extra={"facts": {"what": name}})
            return "a defect: see the log"
        return ""

    def _log_changes(self, failing: Mapping[str, str]) -> None:
        for name in self._probes:
            before, now = self._failing.get(name), failing.get(name)
            if now and now != before:
                log.warning("not usable", extra={"facts": {"what": name, "why": now}})
            elif before is not None and not now:
                log.info("usable", extra={"facts": {"what": name}})
