"""The page's own little server, against visitors of every kind."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway import metrics_server
from gateway.config import MetricsListen
from gateway.listening import StartError
from gateway.metrics_server import serve_metrics

PAGE = b"solward_up 1\n"


async def page() -> bytes:
    """A page."""
    return PAGE


@pytest_asyncio.fixture
async def address() -> AsyncIterator[tuple[str, int]]:
    """Where it is served."""
    async with serve_metrics(MetricsListen(host="127.0.0.1"), page) as text:
        host, _, port = text.rpartition(":")
        yield host, int(port)


async def ask(address: tuple[str, int], request: bytes) -> bytes:
    """Sends bytes and reads all that comes."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"200 OK"),
        (b"GET /metrics?a=b HTTP/1.0\r\n\r\n", b"200 OK"),
        (b"GET / HTTP/1.1\r\n\r\n", b"404 "),
        (b"GET /metrics/../x HTTP/1.1\r\n\r\n", b"404 "),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"405 "),
        (b"GET /metrics HTTP/2\r\n\r\n", b"400 "),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"400 "),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", b""),
    ],
)
async def test_requests(address: tuple[str, int], request_bytes: bytes, status: bytes) -> None:
    """One page for one kind of request; a status, or the end of the connection, for the others."""
    answer = await ask(address, request_bytes)
    if status:
        assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.endswith(PAGE) == (status == b"200 OK")


async def test_the_slow_are_cut_off_and_the_many_turned_away(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 who say nothing keep others out for as long as they may be slow, and no longer."""
    monkeypatch.setattr(metrics_server, "_REQUEST_S", 0.5)
    silent = [await asyncio.open_connection(*address) for _ in range(16)]
    assert b"" == await ask(address, b"GET /metrics HTTP/1.1\r\n\r\n")
    for reader, writer in silent:
        assert b"" == await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert PAGE in await ask(address, b"GET /metrics HTTP/1.1\r\n\r\n")


async def test_a_socket_of_its_own(short_dir: Path) -> None:
    """On a Unix socket: mode 0660, one server, no traces but its lock."""
    path = short_dir / "m" / "metrics.sock"
    async with serve_metrics(MetricsListen(unix=path), page) as text:
        assert (str(path), 0o660) == (text, path.stat().st_mode & 0o777)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert PAGE in await reader.read()
        writer.close()
        with pytest.raises(StartError, match="another gateway holds"):
            async with serve_metrics(MetricsListen(unix=path), page):
                raise AssertionError


async def test_a_port_that_is_taken(address: tuple[str, int]) -> None:
    """The gateway does not start, and says why."""
    with pytest.raises(StartError, match=r"metrics\.listen"):
        async with serve_metrics(MetricsListen(host=address[0], port=address[1]), page):
            raise AssertionError
