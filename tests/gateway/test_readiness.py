"""Probes that fail in any way: the part is not usable, the reason is known, the gateway goes on."""

import logging
from typing import Any, cast

import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

from gateway.domain import deadline
from gateway.domain.errors import ChainUnavailableError
from gateway.readiness import CHAIN, DATABASE, SIGNER, Readiness
from tests.solana_rpc.support import ManualClock


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ChainUnavailableError("away"), "away"),
        (TimeoutError(), "timeout"),
        (UnicodeError("a defect"), "a defect: see the log"),
    ],
)
async def test_a_probe_that_raises_anything_ends_nothing(
    error: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What needs it is NOT_SERVING, what does not is SERVING; a defect is in the log as one."""

    async def fails() -> None:
        raise error

    async def works() -> None:
        return

    health = health_aio.HealthServicer()
    probes = {DATABASE: works, SIGNER: works, CHAIN: fails}
    readiness = Readiness(health, ManualClock(), probes)
    with caplog.at_level(logging.WARNING):
        assert not await readiness.check()
    assert {CHAIN: reason} == readiness.failing
    assert ("Traceback" in caplog.text) == (reason == "a defect: see the log")
    states = [
        await health.Check(health_pb2.HealthCheckRequest(service=service), cast("Any", None))
        for service in ("", "solana-rpc")
    ]
    assert [1, 2] == [state.status for state in states]


async def test_a_probe_knows_how_long_it_is_waited_for() -> None:
    """So an endpoint that stalls gets a share of it, and is not all that is asked."""
    clock, left = ManualClock(), []

    async def look() -> None:
        left.append(deadline.remaining_s(clock.monotonic_s(), 20.0))

    assert await Readiness(health_aio.HealthServicer(), clock, {CHAIN: look}).check()
    assert 0 < left[0] < 3
