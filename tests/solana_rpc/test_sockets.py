"""The RPC client against real sockets that stall, babble or are closed."""

import asyncio

import pytest

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


async def test_nobody_listens() -> None:
    """A closed port is RpcError, not an exception of the HTTP library."""
    server, url = await serve(b"", asyncio.Event())
    server.close()
    await server.wait_closed()
    rpc = SolanaRpc(SingleEndpoint(Endpoint(url), ManualClock()))
    with pytest.raises(RpcError, match="connection failed"):
        await rpc.get_slot()
    await rpc.close()
