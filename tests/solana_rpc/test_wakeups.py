"""Wake-ups by WebSocket: sooner with a good node; with any other, nothing but slower."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve

from gateway.adapters.solana_rpc.subscriptions import SUBSCRIPTIONS_MAX, Subscriptions
from gateway.adapters.solana_rpc.wakeups import SignatureWakeups, SocketListener
from gateway.adapters.solana_rpc.wire import WireError
from gateway.clock import SystemClock
from tests.solana_rpc.test_wire import json_values

Serve = Callable[[ServerConnection], Awaitable[None]]
A, B = "a" * 88, "b" * 88


def answer(request: str | bytes, subscription: int) -> str:
    """The answer to a subscription."""
    return json.dumps({"jsonrpc": "2.0", "id": json.loads(request)["id"], "result": subscription})


def notice(subscription: int) -> str:
    """A notification, as a node writes it."""
    value = {"context": {"slot": 5}, "value": {"err": None}}
    params = {"result": value, "subscription": subscription}
    return json.dumps({"jsonrpc": "2.0", "method": "signatureNotification", "params": params})


@asynccontextmanager
async def connected(handler: Serve, jitter: float = 0) -> AsyncIterator[SocketListener]:
    """A listener of a server that does as `handler` does."""
    async with serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with running(f"ws://127.0.0.1:{port}/secret-key", jitter) as listener:
            yield listener


@asynccontextmanager
async def running(url: str, jitter: float = 0) -> AsyncIterator[SocketListener]:
    """A listener of whatever is at a URL."""
    wakeups = SignatureWakeups(url, SystemClock(), jitter=lambda: jitter)
    task = asyncio.create_task(wakeups.run())
    listener = wakeups.listener()
    yield listener
    assert not task.done()
    listener.close()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def rested(listener: SocketListener, seconds: float) -> float:
    """How long a rest lasted."""
    started = time.monotonic()
    await listener.rest(seconds)
    return time.monotonic() - started


async def test_a_notification_ends_the_rest() -> None:
    """Who wants a signature is woken when it is told of, once; who wants another rests on."""
    asked: list[object] = []

    async def good(connection: ServerConnection) -> None:
        async for message in connection:
            request = json.loads(message)
            asked.append([request["method"], *request["params"]])
            number = len(asked)
            await connection.send(answer(message, number))
            if request["params"][0] == A:
                await connection.send(notice(number))

    async with connected(good) as listener:
        other = listener._hub.listener()
        listener.want([A])
        other.want([B])
        long, short = await asyncio.gather(rested(other, 1.0), rested(listener, 10))
        assert short < 2 < 2 * long
        assert await rested(listener, 0.3) >= 0.3
        finalized = {"commitment": "finalized"}
        assert ["signatureSubscribe", A, finalized] in asked
        assert ["signatureSubscribe", B, finalized] in asked
        assert 2 == len(asked)
        other.close()


async def test_a_lost_connection_is_made_again() -> None:
    """A node that hangs up is called again after a wait, with what is still wanted."""
    calls = 0

    async def hangs_up_first(connection: ServerConnection) -> None:
        nonlocal calls
        calls += 1
        message = await connection.recv()
        if calls > 1:
            await connection.send(answer(message, 7))
            await connection.send(notice(7))
            await connection.wait_closed()

    async with connected(hangs_up_first) as listener:
        listener.want([A])
        assert await rested(listener, 20) < 10
    assert 2 == calls


async def says_nothing(connection: ServerConnection) -> None:
    """Never answers."""
    await connection.wait_closed()


async def garbage(connection: ServerConnection) -> None:
    """Answers what is no JSON."""
    await connection.recv()
    await connection.send(b"\xff\x00{{{")
    await connection.wait_closed()


async def huge(connection: ServerConnection) -> None:
    """Sends a message of 10 MB."""
    await connection.send("[" * 10_000_000)
    await connection.wait_closed()


async def flood(connection: ServerConnection) -> None:
    """Sends notifications without end."""
    message = await connection.recv()
    await connection.send(answer(message, 1))
    while True:
        await connection.send(notice(1))


async def strangers(connection: ServerConnection) -> None:
    """Notifies of what nobody asked for."""
    while True:
        await connection.send(notice(99))


async def hangs_up(connection: ServerConnection) -> None:
    """Closes at once."""
    await connection.close()


@pytest.mark.parametrize("handler", [says_nothing, garbage, huge, flood, strangers, hangs_up])
async def test_a_hostile_node(handler: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it sends: at most one wake-up a signature, no more than a connection a second."""
    calls = 0

    async def counted(connection: ServerConnection) -> None:
        nonlocal calls
        calls += 1
        await handler(connection)

    with caplog.at_level(logging.INFO):
        async with connected(counted, jitter=0.99) as listener:
            listener.want([A, B])
            rests = [await rested(listener, 0.2) for _ in range(6)]
    assert sum(1 for rest in rests if rest < 0.19) <= 2
    assert 1 <= calls <= 2
    assert "secret-key" not in caplog.text


async def test_what_is_no_websocket() -> None:
    """A redirect, an HTTP page, a closed port and a name that is none: polling alone."""
    elsewhere = asyncio.Event()

    async def visited(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        elsewhere.set()
        writer.close()

    trap = await asyncio.start_server(visited, "127.0.0.1", 0)
    target = f"http://127.0.0.1:{trap.sockets[0].getsockname()[1]}/"

    async def redirects(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(redirects, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for url in (f"ws://127.0.0.1:{port}/", "ws://127.0.0.1:1/", "ws://no.such.host.invalid/"):
        async with running(url) as listener:
            listener.want([A])
            assert await rested(listener, 0.3) >= 0.3
    assert not elsewhere.is_set()
    server.close()
    trap.close()


@given(json_values.map(json.dumps) | st.text() | st.binary())
def test_any_message(message: str | bytes) -> None:
    """Any message is read, or WireError; without a subscription none tells of a signature."""
    try:
        assert "" == Subscriptions().told(message)
    except WireError:
        return


def test_subscriptions_are_bounded() -> None:
    """1,000 in all, each once; others make room by a new connection; a refusal is no harm."""
    subscriptions = Subscriptions()
    names = [f"{number}" for number in range(SUBSCRIPTIONS_MAX + 50)]
    assert SUBSCRIPTIONS_MAX == len(subscriptions.requests(names))
    assert [] == subscriptions.requests(names)
    assert not subscriptions.is_full_of_others(names)
    assert subscriptions.is_full_of_others(["new"])
    refused = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "no"}}
    assert "" == subscriptions.told(json.dumps(refused))
    subscriptions.told(json.dumps({"jsonrpc": "2.0", "id": 2, "result": 5}))
    for again in ({"id": 2, "result": 5}, {"id": 3, "result": 5}, {"id": 4, "method": "x"}):
        with pytest.raises(WireError):
            subscriptions.told(json.dumps(again))
    assert "1" == subscriptions.told(notice(5))
    with pytest.raises(WireError):
        subscriptions.told(notice(5))
