"""Several endpoints: which is asked, when, and what an operator sees of them."""

import asyncio
import time
from collections.abc import Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.solana_rpc import Endpoint, EndpointPool, Rates, RpcError, SolanaRpc
from gateway.adapters.solana_rpc.budgets import Budget
from gateway.clock import SystemClock
from gateway.domain import deadline
from gateway.domain.chain import Blockhash
from gateway.domain.errors import TransactionRejectedError
from gateway.domain.ports import Clock
from tests.solana_rpc.support import FakeNode, ManualClock, Reply, in_context, result
from tests.solana_rpc.test_sending import signed

GENESIS = "G" * 43


def node(reply: Reply, genesis: str = GENESIS) -> FakeNode:
    """A node of a cluster."""
    return FakeNode(lambda i, m, p: result(i, genesis) if m == "getGenesisHash" else reply(i, m, p))


def failing(status: int = 503, headers: dict[str, str] | None = None) -> FakeNode:
    """A node that answers nothing but an HTTP error."""
    return node(lambda _i, _m, _p: httpx.Response(status, headers=headers))


def pool_of(
    *nodes: FakeNode,
    clock: Clock | None = None,
    rates: Rates | None = None,
    jitter: float = 0.5,
    genesis_hash: str = "",
) -> EndpointPool:
    """A pool over nodes in this order."""
    endpoints = [
        Endpoint(f"https://n{place}/key", transport=httpx.MockTransport(one.handle))
        for place, one in enumerate(nodes)
    ]
    return EndpointPool(
        endpoints,
        clock or ManualClock(),
        rates=rates,
        jitter=lambda: jitter,
        genesis_hash=genesis_hash,
    )


class Stalls(httpx.AsyncBaseTransport):
    """Takes a call and says nothing, for ever."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Waits."""
        await asyncio.Event().wait()
        raise AssertionError(request.method)


def calls(one: FakeNode) -> int:
    """How many calls a node got, but for the question which cluster it is of."""
    return sum(1 for method, _ in one.requests if method != "getGenesisHash")


async def test_a_read_fails_over_at_once() -> None:
    """The second endpoint answers in the first one's place, without a wait."""
    clock, down, good = ManualClock(), failing(), node(lambda i, _m, _p: result(i, 5))
    assert 5 == await SolanaRpc(pool_of(down, good, clock=clock)).get_slot()
    assert (1, 1, []) == (calls(down), calls(good), clock.naps)


async def test_any_failure_of_one_endpoint_is_mended_by_another() -> None:
    """Whatever a node answers that is no slot, the next one is asked."""
    bad: list[httpx.Response] = [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"jsonrpc": "2.0", "id": 0, "result": 5}),
        httpx.Response(200, json=[]),
        httpx.Response(302),
        httpx.Response(429),
    ]
    for answer in bad:
        lying = node(lambda _i, _m, _p, answer=answer: answer)  # type: ignore[misc]  # default binds
        good = node(lambda i, _m, _p: result(i, 6))
        assert 6 == await SolanaRpc(pool_of(lying, good)).get_slot()


@pytest.mark.parametrize(("slot", "height"), [(7, 0), (7, 2**63), (2**63, 350)])
async def test_a_blockhash_that_cannot_be_stored_is_mended_by_another(
    slot: int, height: int
) -> None:
    """A height of 0, or a number that no bigint holds, is no answer: the next one is asked."""

    def gives(slot: int, height: int) -> FakeNode:
        value = {"blockhash": "1" * 32, "lastValidBlockHeight": height}
        return node(lambda i, _m, _p: result(i, in_context(value, slot)))

    rpc = SolanaRpc(pool_of(gives(slot, height), gives(8, 2**63 - 1)))
    assert Blockhash("1" * 32, 2**63 - 1, 8) == await rpc.get_latest_blockhash()


async def test_three_failures_put_an_endpoint_last_and_time_brings_it_back() -> None:
    """An open circuit costs no call; when its time is over the endpoint is tried, and closes."""
    healthy = False
    clock = ManualClock()
    first = node(lambda i, _m, _p: result(i, 1) if healthy else httpx.Response(503))
    second = node(lambda i, _m, _p: result(i, 2))
    pool = pool_of(first, second, clock=clock)
    rpc = SolanaRpc(pool)
    for _ in range(5):
        assert 2 == await rpc.get_slot()
    assert 3 == calls(first)
    snapshot = pool.snapshot()
    assert ("open", {"http": 3}) == (snapshot[0].state, snapshot[0].failures)
    assert {"n0": "open", "n1": "closed"} == rpc.describe()
    assert "key" not in snapshot[0].last_error

    healthy = True
    await clock.sleep(1.1)
    assert 1 == await rpc.get_slot()
    assert {"n0": "closed", "n1": "closed"} == rpc.describe()


async def test_the_last_endpoint_is_tried_even_with_its_circuit_open() -> None:
    """If no other answers, an open circuit keeps nobody from an answer."""
    healthy = False
    pool = pool_of(node(lambda i, _m, _p: result(i, 1) if healthy else httpx.Response(503)))
    with pytest.raises(RpcError):
        await SolanaRpc(pool).get_slot()
    assert "open" == pool.snapshot()[0].state
    healthy = True
    assert 1 == await SolanaRpc(pool).get_slot()


async def test_who_asked_for_rest_is_left_alone() -> None:
    """Until its Retry-After is over an endpoint gets no call, not even as the last one."""
    clock, busy = ManualClock(), failing(429, {"Retry-After": "9"})
    good = node(lambda i, _m, _p: result(i, 5))
    rpc = SolanaRpc(pool_of(busy, good, clock=clock))
    for _ in range(4):
        await rpc.get_slot()
    assert (1, []) == (calls(busy), clock.naps)

    alone = SolanaRpc(pool_of(failing(429, {"Retry-After": "9"}), clock=clock))
    with pytest.raises(RpcError, match="less often"):
        await alone.get_slot()
    # Three tries and two rests of nine seconds and a bit: a third would end after the read's 20 s.
    assert [9.1, 9.2] == [round(nap, 3) for nap in clock.naps]


def refusing(code: int) -> FakeNode:
    """A node that refuses everything."""
    fault = {"code": code, "message": "refused"}
    return node(
        lambda i, _m, _p: httpx.Response(200, json={"jsonrpc": "2.0", "id": i, "error": fault})
    )


@pytest.mark.parametrize("first", [failing, lambda: refusing(-32002), lambda: refusing(-32601)])
async def test_sends_go_on_with_the_same_bytes(first: Callable[[], FakeNode]) -> None:
    """What one endpoint lost or refuses, the next gets: identical bytes, to each once."""
    transaction = signed("legacy")
    bad = first()
    good = node(lambda i, _m, _p: result(i, str(transaction.signatures[0])))
    rpc = SolanaRpc(pool_of(bad, good, jitter=0.0))
    await rpc.send_transaction(bytes(transaction), skip_preflight=True)
    assert (1, 1) == (calls(bad), calls(good))
    assert bad.requests[-1] == good.requests[-1]


async def test_a_send_is_refused_only_if_all_refuse() -> None:
    """One that could not be reached may have passed it on: then nobody knows."""
    wire_bytes = bytes(signed("legacy"))
    for nodes, kind in (
        ((refusing(-32002), refusing(-32003)), TransactionRejectedError),
        ((refusing(-32002), failing()), RpcError),
        ((failing(), refusing(-32002)), RpcError),
    ):
        with pytest.raises(kind):
            await SolanaRpc(pool_of(*nodes)).send_transaction(wire_bytes, skip_preflight=True)
        assert [1, 1] == [calls(one) for one in nodes]


async def test_sends_begin_at_any_endpoint() -> None:
    """One that accepts and drops gets only its share of them, by chance."""
    transaction = signed("legacy")
    for jitter, share in ((0.0, (1, 0)), (0.49, (1, 0)), (0.5, (0, 1)), (0.99, (0, 1))):
        nodes = [node(lambda i, _m, _p: result(i, str(transaction.signatures[0]))) for _ in "ab"]
        rpc = SolanaRpc(pool_of(*nodes, jitter=jitter))
        await rpc.send_transaction(bytes(transaction), skip_preflight=True)
        assert share == (calls(nodes[0]), calls(nodes[1]))


async def test_a_refusal_to_simulate_counts_only_if_nobody_may_yet() -> None:
    """One that knows no such method, or no such bytes, refuses; one away leaves it open."""
    fault: dict[str, object] = {"message": "refused"}
    refuses = node(lambda i, _m, _p: httpx.Response(200, json={"jsonrpc": "2.0", "id": i,
                   "error": fault}))  # fmt: skip
    for fault["code"] in (-32601, -32602):
        with pytest.raises(TransactionRejectedError):
            await SolanaRpc(pool_of(refuses)).simulate_transaction(b"t")
        for pool in (pool_of(refuses, failing()), pool_of(failing(), refuses)):
            with pytest.raises(RpcError):
                await SolanaRpc(pool).simulate_transaction(b"t")


async def test_budgets_make_calls_wait_or_go_elsewhere() -> None:
    """Of 5 calls at 2 a second two go at once, and then two more; another endpoint takes more."""
    clock, one = ManualClock(), node(lambda i, _m, _p: result(i, 5))
    rates = Rates(by_method={"getSlot": 2})
    rpc = SolanaRpc(pool_of(one, clock=clock, rates=rates))
    for _ in range(5):
        await rpc.get_slot()
    await rpc.get_block_height()
    assert [1.0, 1.0] == clock.naps

    first, second = (node(lambda i, _m, _p: result(i, 5)) for _ in range(2))
    clock = ManualClock()
    both = SolanaRpc(pool_of(first, second, clock=clock, rates=rates))
    for _ in range(4):
        await both.get_slot()
    assert (2, 2, []) == (calls(first), calls(second), clock.naps)


@given(st.lists(st.floats(0, 3), max_size=60), st.integers(1, 20))
def test_a_budget_keeps_its_rate(pauses: list[float], rate: int) -> None:
    """However calls come, no second's window holds more of them than the rate."""
    budget, now, made = Budget(rate), 0.0, []
    for pause in pauses:
        now += pause / 10
        wait = budget.wait_s(now)
        budget.take(now)
        made.append(now + wait)
    for start in made:
        assert sum(1 for at in made if start <= at < start + 0.999) <= rate


async def test_a_deadline_bounds_a_read() -> None:
    """With 0.2 s left a stalled node costs no more than that, and no retry is begun."""
    pool = EndpointPool([Endpoint("http://node", transport=Stalls())], SystemClock())
    started = time.monotonic()
    with deadline.within(0.2, started), pytest.raises(RpcError, match="in time"):
        await SolanaRpc(pool).get_slot()
    assert time.monotonic() - started < 1
    with deadline.within(-1, started), pytest.raises(RpcError, match="time is up"):
        await SolanaRpc(pool).get_slot()
    # The caller's haste is not held against the node.
    assert "closed" == pool.snapshot()[0].state


def test_names_say_where_and_never_what() -> None:
    """Host and port, numbered where they are the same: path, query and user may be keys."""
    urls = [
        "https://u:pw@a.example/key-1?k=2",
        "https://a.example/key-2",
        "http://127.0.0.1:8899",
        "http://127.0.0.1:8898/key",
        "http://[::1]:8899/key",
        "http://a.example:99999/key",
    ]
    pool = EndpointPool([Endpoint(url) for url in urls], ManualClock())
    assert ["a.example", "a.example#2", "127.0.0.1:8899", "127.0.0.1:8898", "::1:8899",
            "a.example#3"] == list(pool.describe())  # fmt: skip
