"""Endpoints that stand still, stall, rest or are tried again: the others answer in their place."""

import asyncio
import time

import httpx
import pytest

from gateway.adapters.solana_rpc import (
    Endpoint,
    EndpointLimits,
    EndpointPool,
    ReadRetries,
    RpcError,
    SingleEndpoint,
    SolanaRpc,
    member,
)
from gateway.adapters.solana_rpc.circuit import Circuit
from gateway.clock import SystemClock
from gateway.domain import deadline
from tests.solana_rpc.support import FakeNode, ManualClock, in_context, result
from tests.solana_rpc.test_client import ADDRESSES
from tests.solana_rpc.test_pool import GENESIS, Stalls, calls, failing, node, pool_of


async def test_an_endpoint_that_stands_still_is_asked_last() -> None:
    """It answers, and its slot is 151 behind: the other is asked until it has caught up."""
    height = 100
    first = node(lambda i, m, _p: result(i, "ok" if m == "getHealth" else height))
    second = node(lambda i, m, _p: result(i, "ok" if m == "getHealth" else 251))
    pool = pool_of(first, second)
    rpc = SolanaRpc(pool)
    assert 100 == await rpc.get_block_height()
    await rpc.get_health()
    assert [151, 0] == [one.lag_slots for one in pool.snapshot()]
    assert 251 == await rpc.get_block_height()
    height = 101
    await rpc.get_health()
    assert 101 == await rpc.get_block_height()


def at_slot(slot: int, genesis: str = GENESIS) -> FakeNode:
    """A healthy node at a slot."""
    return node(lambda i, m, _p: result(i, "ok" if m == "getHealth" else slot), genesis)


async def test_a_slot_that_one_of_three_tells_of_puts_nobody_last() -> None:
    """A liar is not believed against two others; one that stands still is found all the same."""
    for slots, lags in (
        ((1000, 1010, 10**15), [10, 0, 0]),
        ((100, 1010, 1000), [900, 0, 0]),
        ((100, 1010, 10**15), [910, 0, 0]),
    ):
        pool = pool_of(*map(at_slot, slots))
        await SolanaRpc(pool).get_health()
        assert lags == [one.lag_slots for one in pool.snapshot()]


async def test_a_liar_of_two_is_asked_first_and_not_only() -> None:
    """Who is right of two nobody can say: the one that is called behind still answers."""
    slots = {"liar": 10**15}
    honest = at_slot(1000)
    liar = node(lambda i, _m, _p: result(i, slots["liar"]) if slots else httpx.Response(503))
    pool = pool_of(honest, liar)
    await SolanaRpc(pool).get_health()
    slots.clear()
    assert 1000 == await SolanaRpc(pool).get_slot()


async def test_another_clusters_slot_is_compared_with_nothing() -> None:
    """What is not of this cluster makes nobody of it late."""
    pool = pool_of(at_slot(1000), at_slot(10**9, "F" * 43))
    await SolanaRpc(pool).get_health()
    assert [0, 0] == [one.lag_slots for one in pool.snapshot()]


async def test_endpoints_are_compared_within_the_callers_time() -> None:
    """Whoever asks for health has the answer in time, though the first one stalls twice."""
    endpoints = [
        Endpoint("http://n0", transport=Stalls()),
        Endpoint("http://n1", transport=httpx.MockTransport(at_slot(5).handle)),
    ]
    rpc = SolanaRpc(EndpointPool(endpoints, SystemClock()))
    async with asyncio.timeout(1.4):
        with deadline.within(0.6, time.monotonic()):
            await rpc.get_health()


async def test_asking_for_the_cluster_is_part_of_an_endpoints_share() -> None:
    """Of its ten seconds the first uses up all but a moment to say where it belongs."""
    clock, first = ManualClock(), at_slot(4)

    class Slow(Stalls):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if b"getGenesisHash" not in request.content:
                return await super().handle_async_request(request)
            clock.elapsed_s += 9.99
            return first.handle(request)

    endpoints = [
        Endpoint("http://n0", transport=Slow()),
        Endpoint("http://n1", transport=httpx.MockTransport(at_slot(5).handle)),
    ]
    async with asyncio.timeout(2):
        assert 5 == await SolanaRpc(EndpointPool(endpoints, clock)).get_slot()
    assert [("getGenesisHash", [])] == first.requests


def test_a_trial_decides_and_nothing_else_does() -> None:
    """Calls as a last resort prolong nothing; a trial that came to nothing is due once more."""
    circuit, error = Circuit("n0"), RpcError("n0", "http", "answered HTTP 503")
    for _ in range(5):
        circuit.failed(error, 0.0)
    assert (True, False) == (circuit.is_open(0.9), circuit.is_open(1.0))
    assert [True, False] == [circuit.called(1.0), circuit.called(60.0)]
    circuit.failed(error, 61.0)
    circuit.tried(62.0)
    assert (True, False) == (circuit.is_open(63.9), circuit.is_open(64.0))
    assert circuit.called(64.0)
    circuit.failed(error, 65.0, is_trial=True)
    circuit.tried(65.0)
    assert (True, False) == (circuit.is_open(66.9), circuit.is_open(69.1))


async def test_our_own_queue_is_not_held_against_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waited long, and not at the node, has seen nothing of it; who waited there has."""
    monkeypatch.setattr(member, "_PATIENCE_S", 0.05)
    good, gates = at_slot(5), [asyncio.Event(), asyncio.Event()]
    waiting = iter(gates)

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await next(waiting).wait()
            return good.handle(request)

    endpoint = Endpoint("http://n0", EndpointLimits(concurrency_max=1), transport=Slow())
    pool = SingleEndpoint(endpoint, SystemClock())
    rpc = SolanaRpc(pool)
    first = asyncio.create_task(rpc.get_slot())
    await asyncio.sleep(0)
    for failures in ({}, {"timeout": 1}):
        with deadline.within(0.2, time.monotonic()), pytest.raises(RpcError, match="in time"):
            await rpc.get_slot()
        assert failures == pool.snapshot()[0].failures
        gates[0].set()
        assert 5 == await first
    await pool.close()


async def test_many_balances_are_read_past_a_stalled_endpoint() -> None:
    """Those in its queue go on, too, when its half of the time is over."""
    good = node(lambda i, _m, _p: result(i, in_context([None] * 10)))
    limits = EndpointLimits(timeout_s=0.5)
    endpoints = [
        Endpoint("http://n0", limits, transport=Stalls()),
        Endpoint("http://n1", limits, transport=httpx.MockTransport(good.handle)),
    ]
    pool = EndpointPool(endpoints, SystemClock(), retries=ReadRetries(total_s=1))
    rpc = SolanaRpc(pool)
    pool._members[0].genesis_hash = GENESIS
    readings = await asyncio.gather(*(rpc.get_accounts(ADDRESSES[:10]) for _ in range(20)))
    assert 20 == len(readings) == calls(good)


async def test_one_call_tries_an_endpoint_again() -> None:
    """When an open circuit's time is over, one caller tries, however long; it then rests longer."""
    clock = ManualClock()
    gate = asyncio.Event()

    class Slow(httpx.AsyncBaseTransport):
        asked = 0

        async def handle_async_request(self, _: httpx.Request) -> httpx.Response:
            self.asked += 1
            await gate.wait()
            return httpx.Response(503)

    slow, good = Slow(), node(lambda i, _m, _p: result(i, 5))
    endpoints = [
        Endpoint("https://n0", transport=slow),
        Endpoint("https://n1", transport=httpx.MockTransport(good.handle)),
    ]
    pool = EndpointPool(endpoints, clock, jitter=lambda: 0.5)
    rpc = SolanaRpc(pool)
    pool._members[0].genesis_hash = GENESIS
    gate.set()
    for _ in range(3):
        await rpc.get_slot()
    assert 3 == slow.asked
    gate.clear()
    await clock.sleep(1.1)
    calls_made = [asyncio.create_task(rpc.get_slot()) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.wait(calls_made[1:])
    await clock.sleep(5)
    await rpc.get_slot()
    assert 4 == slow.asked
    gate.set()
    assert [5] * 20 == await asyncio.gather(*calls_made)
    await clock.sleep(1.1)
    assert "open" == pool.snapshot()[0].state


async def test_who_queued_asks_once_more() -> None:
    """Of a hundred calls at once the first is told to wait: those that queued are not made."""
    busy = failing(429, {"Retry-After": "9"})
    good = node(lambda i, _m, _p: result(i, 5))
    rpc = SolanaRpc(pool_of(busy, good))
    assert [5] * 100 == await asyncio.gather(*(rpc.get_slot() for _ in range(100)))
    # As many as are made at once before the first answer is there.
    assert 8 >= calls(busy)


async def test_a_stalled_endpoint_costs_half_of_the_time() -> None:
    """The next one answers within the caller's deadline, and what stalled a second is noted."""
    good = node(lambda i, _m, _p: result(i, 5))
    endpoints = [
        Endpoint("http://n0", transport=Stalls()),
        Endpoint("http://n1", transport=httpx.MockTransport(good.handle)),
    ]
    pool = EndpointPool(endpoints, SystemClock())
    pool._members[0].genesis_hash = GENESIS
    with deadline.within(2.2, time.monotonic()):
        assert 5 == await SolanaRpc(pool).get_slot()
    assert {"timeout": 1} == pool.snapshot()[0].failures
