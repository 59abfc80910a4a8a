"""Serves one page over HTTP, on a loopback address or a Unix socket: the metrics, to a scraper.

It reads one short request on a connection, answers and closes it. Whoever can connect may read.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from gateway import sockets
from gateway.config import MetricsListen
from gateway.listening import StartError, claim

CONTENT_TYPE: Final = "text/plain; version=1.0.0; charset=utf-8"
_HEAD_BYTES_MAX: Final = 8 * 1024
_REQUEST_S: Final = 5.0
_CONNECTIONS_MAX: Final = 16


@asynccontextmanager
async def serve_metrics(
    listen: MetricsListen, page: Callable[[], Awaitable[bytes]]
) -> AsyncIterator[str]:
    """Serves the page while it lasts; gives the address. Raises StartError."""
    visitors = _Visitors(page)
    async with AsyncExitStack() as stack:
        if listen.unix is not None:
            stack.callback(os.close, claim(listen.unix))
        try:
            server = await _start(listen, visitors)
        except OSError as error:
            raise StartError(f"metrics.listen: {error.strerror or 'cannot be bound'}") from error
        stack.push_async_callback(visitors.end)
        stack.callback(server.close)
        if listen.unix is not None:
            yield str(listen.unix)
        else:
            host, port = server.sockets[0].getsockname()[:2]
            yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _start(listen: MetricsListen, visitors: "_Visitors") -> asyncio.Server:
    if listen.unix is None:
        return await asyncio.start_server(
            visitors.meet, listen.host, listen.port, limit=_HEAD_BYTES_MAX
        )
    with sockets.socket_umask():
        return await asyncio.start_unix_server(
            visitors.meet, str(listen.unix), limit=_HEAD_BYTES_MAX
        )


class _Visitors:
    """The connections: few at once, each for a short time."""

    def __init__(self, page: Callable[[], Awaitable[bytes]]) -> None:
        self._page = page
        self._tasks: set[asyncio.Task[None]] = set()

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one request, and closes."""
        task = asyncio.current_task()
        try:
            if task is None or len(self._tasks) >= _CONNECTIONS_MAX:
                return
            self._tasks.add(task)
            async with asyncio.timeout(_REQUEST_S):
                writer.write(await self._answer(reader))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass  # slow, or gone
        finally:
            if task is not None:
                self._tasks.discard(task)
            writer.close()

    async def end(self) -> None:
        """Cuts off whoever is still connected."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _response("431 Request Header Fields Too Large", b"")
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _response("400 Bad Request", b"")
        if words[0] != b"GET":
            return _response("405 Method Not Allowed", b"")
        if words[1].partition(b"?")[0] != b"/metrics":
            return _response("404 Not Found", b"")
        return _response("200 OK", await self._page())


def _response(status: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
