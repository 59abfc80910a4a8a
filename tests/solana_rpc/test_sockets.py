"""The RPC client against real sockets that stall, babble or are closed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.solana_rpc import (
    Endpoint,
    EndpointLimits,
    ReadRetries,
    RpcError,
    SingleEndpoint,
    SolanaRpc,
)
from tests.solana_rpc.support import ManualClock


async def serve(payload: bytes, stop: asyncio.Event) -> tuple[asyncio.Server, str]:
    """A socket that writes `payload`, then stays silent until told to stop."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(payload)
        await writer.drain()
        await stop.wait()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    "payload",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", b"SSH-2.0\r\n", b"HTTP/1.1 200"],
)
async def test_nodes_that_stall_or_speak_something_else(payload: bytes) -> None:
    """A real socket that is silent, stops in the middle or speaks no HTTP is RpcError, in time."""
    stop = asyncio.Event()
    server, url = await serve(payload, stop)
    endpoint = Endpoint(url, EndpointLimits(timeout_s=0.2))
    rpc = SolanaRpc(SingleEndpoint(endpoint, ManualClock(), retries=ReadRetries(attempts_max=1)))
    with pytest.raises(RpcError):
        await rpc.get_slot()
    stop.set()
    await rpc.close()
    server.close()
    await server.wait_closed()


ANSWER = b'{"jsonrpc":"2.0","id":1,"result":5}'
STATUSES = st.sampled_from([b"200 OK", b"302 Found", b"301", b"429 \xff", b"500", b"204", b"999 ?"])
HEADERS = st.sampled_from(
    [
        b"Location: http://xn--/",
        b"Location: http://[::1",
        b"Location: \xff\xfe",
        b"Set-Cookie: a=b; Max-Age=9999999999999999999999; Domain=.",
        b"Set-Cookie: \xf0",
        b"Content-Length: -5",
        b"Content-Length: 5, 6",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Content-Encoding: gzip",
        b"Content-Encoding: \xff",
        b"Content-Type: text/html; charset=\xff\xfe",
        b"Retry-After: \xb2",
        b"Retry-After: Sun, 99 Foo 99999 99:99:99 +9999",
        b"Connection: upgrade",
        b"Upgrade: websocket",
        b"no colon",
        b": no name",
        b"X-Long: " + b"x" * 20_000,
    ]
)


@settings(max_examples=80, deadline=None)
@given(STATUSES, st.lists(HEADERS | st.binary(max_size=40), max_size=6), st.booleans())
def test_any_head_is_a_value_or_an_rpc_error(
    status: bytes, headers: list[bytes], is_sized: bool
) -> None:
    """Whatever a node writes before its body, the call has a value or an RpcError, and no other."""
    size = [b"Content-Length: %d" % len(ANSWER)] if is_sized else []
    head = b"\r\n".join([b"HTTP/1.1 " + status, *headers, *size])

    async def ask() -> int | None:
        stop = asyncio.Event()
        stop.set()  # closes after the answer
        server, url = await serve(head + b"\r\n\r\n" + ANSWER, stop)
        rpc = SolanaRpc(
            SingleEndpoint(
                # Reading the system's certificates anew would be most of the work.
                Endpoint(
                    url,
                    EndpointLimits(timeout_s=0.5),
                    transport=httpx.AsyncHTTPTransport(verify=False, trust_env=False),
                ),
                ManualClock(),
                retries=ReadRetries(attempts_max=1),
            )
        )
        try:
            return await rpc.get_slot()
        except RpcError:
            return None
        finally:
            await rpc.close()
            server.close()
            await server.wait_closed()

    assert asyncio.run(ask()) in {5, None}


async def test_a_redirect_is_no_answer_and_a_cookie_is_not_kept() -> None:
    """Neither is looked at: the client that would build on them is not there."""
    stop = asyncio.Event()
    stop.set()
    server, url = await serve(
        b"HTTP/1.1 302 Found\r\nLocation: http://xn--/\r\nSet-Cookie: a=b\r\n\r\n", stop
    )
    rpc = SolanaRpc(SingleEndpoint(Endpoint(url), ManualClock()))
    with pytest.raises(RpcError, match="HTTP 302"):
        await rpc.get_slot()
    await rpc.close()
    server.close()
    await server.wait_closed()


async def test_an_answer_in_crumbs_is_given_up_and_holds_up_nobody() -> None:
    """A million pieces of one byte would be work for seconds; meanwhile others have a turn."""
    turns, turns_seen = 0, []

    class Crumbs(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                turns_seen.append(turns)
                yield b" "

    endpoint = Endpoint(
        "http://node", transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Crumbs()))
    )

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    with pytest.raises(RpcError, match="pieces"):
        await endpoint.post(b"{}")
    counting.cancel()
    assert 20_000 > len(turns_seen)
    assert turns_seen[-1] - turns_seen[0] > len(turns_seen) // 100


async def test_nobody_listens() -> None:
    """A closed port is RpcError, not an exception of the HTTP library."""
    server, url = await serve(b"", asyncio.Event())
    server.close()
    await server.wait_closed()
    rpc = SolanaRpc(SingleEndpoint(Endpoint(url), ManualClock()))
    with pytest.raises(RpcError, match="connection failed"):
        await rpc.get_slot()
    await rpc.close()


async def test_a_dripped_head_keeps_no_place() -> None:
    """A node that never ends its head holds all places for a while; then others have them."""
    talks: list[asyncio.Task[None] | None] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.current_task())
        drips = len(talks) <= 2
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"{}")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n")
            while drips:
                writer.write(b"A: b\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)
            writer.write(b"\r\n{}")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    endpoint = Endpoint(url, EndpointLimits(timeout_s=0.1, concurrency_max=2))
    for _ in range(2):
        with pytest.raises(RpcError, match="in time"):
            await endpoint.post(b"{}")
    answer = b""
    async with asyncio.timeout(10):
        while not answer:
            with contextlib.suppress(RpcError):
                answer = await endpoint.post(b"{}")
    await endpoint.close()
    await asyncio.gather(*(task for task in talks if task))
    server.close()
    await server.wait_closed()


async def test_calls_that_are_cancelled_take_no_connection_with_them() -> None:
    """Cancelled at every moment that there is, calls leave all of the endpoint's places free."""
    talks: list[asyncio.Task[None] | None] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"{}"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    endpoint = Endpoint(url, EndpointLimits(timeout_s=5, concurrency_max=2))
    for turns in range(60):
        call = asyncio.create_task(endpoint.post(b"{}"))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    assert await asyncio.gather(*(endpoint.post(b"{}") for _ in range(4))) == [b"{}"] * 4
    await endpoint.close()
    await asyncio.gather(*(task for task in talks if task))
    server.close()
    await server.wait_closed()
