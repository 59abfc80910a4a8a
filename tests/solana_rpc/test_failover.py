"""Endpoints that stand still, stall, rest or are tried again: the others answer in their place."""

import asyncio
import time

import httpx

from gateway.adapters.solana_rpc import Endpoint, EndpointPool, SolanaRpc
from gateway.clock import SystemClock
from gateway.domain import deadline
from tests.solana_rpc.support import ManualClock, result
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


async def test_one_call_tries_an_endpoint_again() -> None:
    """When an open circuit's time is over, one caller of many tries; it fails, and rests longer."""
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
