"""One RPC endpoint over HTTP: bounded in time, in size and in how much happens at once."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import httpx

from gateway.adapters.solana_rpc.errors import RpcError

_HEADERS: Final = {
    "Content-Type": "application/json",
    # Uncompressed, so that the size cap is a cap on work as well.
    "Accept-Encoding": "identity",
    "User-Agent": "solward-gateway",
}


def endpoint_name(url: str) -> str:
    """Returns host and port, if it names one: path, query and user are often keys."""
    parts = urlsplit(url)
    host = parts.hostname or "node"
    try:
        return f"{host}:{parts.port}" if parts.port else host
    except ValueError:
        return host


@dataclass(frozen=True, slots=True)
class EndpointLimits:
    """Bounds of one endpoint. 100 accounts without data are 20 kB; blocks are not read here."""

    timeout_s: float = 10.0
    response_bytes_max: int = 8 * 1024 * 1024
    concurrency_max: int = 8
    retry_after_s_max: float = 30.0


_PIECE_BYTES_MIN: Final = 512
_PIECES_MIN: Final = 64


class Endpoint:
    """Posts bodies to a URL. Every failure is an RpcError that names the host, never the path.

    It speaks to the transport, not through a client: what a client does by itself with an answer
    (cookies, redirects, decompression) is all work that a hostile node can ask for.
    """

    def __init__(
        self,
        url: str,
        limits: EndpointLimits | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`transport` is for tests. Proxies and .netrc of the environment are not looked at."""
        self._limits = limits or EndpointLimits()
        self._url = url
        self.name = endpoint_name(url)
        self._slots = asyncio.Semaphore(self._limits.concurrency_max)
        self._exchanges: set[asyncio.Task[bytes]] = set()
        self._transport = transport or httpx.AsyncHTTPTransport(
            trust_env=False,
            limits=httpx.Limits(
                max_connections=self._limits.concurrency_max,
                max_keepalive_connections=self._limits.concurrency_max,
            ),
        )

    async def close(self) -> None:
        """Ends what is under way and closes the connections."""
        exchanges = list(self._exchanges)
        for exchange in exchanges:
            exchange.cancel()
        await asyncio.gather(*exchanges, return_exceptions=True)
        await self._transport.aclose()

    async def post(
        self,
        body: bytes,
        bytes_max: int | None = None,
        require: Callable[[], None] = lambda: None,
    ) -> bytes:
        """Sends a request's body and returns the answer's, within the limits; raises RpcError.

        `bytes_max` bounds the answer further than the endpoint's limit does; `require` is asked,
        once it is this call's turn, and raises if it is not to be made any more.

        A caller that is cancelled, or out of patience, leaves the exchange to end by itself, as
        httpx bounds its connect, its writes and its reads: cancelled at the wrong moment it would
        keep its place in httpx's pool for ever, and after `concurrency_max` of those nobody reached
        this endpoint again.
        """
        size_max = self._limits.response_bytes_max
        await self._slots.acquire()
        try:
            require()
        except RpcError:
            self._slots.release()
            raise
        exchange = asyncio.create_task(self._exchange(body, min(bytes_max or size_max, size_max)))
        self._exchanges.add(exchange)
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                return await asyncio.shield(exchange)
        except (TimeoutError, httpx.TimeoutException):
            raise RpcError(self.name, "timeout", "did not answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            # The text of these may hold the URL. ValueError: a header that is no text, and such.
            name = type(error).__name__
            raise RpcError(self.name, "transport", f"connection failed ({name})") from None
        finally:
            # Mostly it has ended, and its caller is told before whoever waits for the place goes.
            if exchange.done():
                self._ended(exchange)
            else:
                exchange.add_done_callback(self._ended)

    def _ended(self, exchange: asyncio.Task[bytes]) -> None:
        self._exchanges.discard(exchange)
        self._slots.release()
        if not exchange.cancelled():
            exchange.exception()  # nobody may be left to be told

    async def _exchange(self, body: bytes, bytes_max: int) -> bytes:
        # As long as connecting, writing and reading may take. A head that comes later than that is
        # dripped, and would keep its place for days.
        async with asyncio.timeout(3 * self._limits.timeout_s):
            response = await self._transport.handle_async_request(self._request(body))
        try:
            self._require_readable(response)
            # httpx bounds single reads; a node that drips bytes is bounded here.
            async with asyncio.timeout(self._limits.timeout_s):
                return await self._read(response, bytes_max)
        finally:
            await response.aclose()

    def _request(self, body: bytes) -> httpx.Request:
        url = httpx.URL(self._url)
        limit_s = self._limits.timeout_s
        # There are as many connections as slots: none is waited for in the pool.
        timeout = {"connect": limit_s, "read": limit_s, "write": limit_s, "pool": None}
        request = httpx.Request(
            "POST", url, headers=_HEADERS, content=body, extensions={"timeout": timeout}
        )
        if url.username or url.password:
            request = next(httpx.BasicAuth(url.username, url.password).auth_flow(request))
        return request

    def _require_readable(self, response: httpx.Response) -> None:
        if response.status_code == 429:
            raise RpcError(
                self.name,
                "rate_limited",
                "asked to be called less often",
                retry_after_s=self._retry_after_s(response),
            )
        if response.status_code != 200:
            raise RpcError(
                self.name,
                "http",
                f"answered HTTP {response.status_code}",
                retry_after_s=self._retry_after_s(response),
            )
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise RpcError(self.name, "malformed", "sent a compressed answer unasked")

    async def _read(self, response: httpx.Response, bytes_max: int) -> bytes:
        # Every piece costs the same, so that millions of tiny ones are work without end.
        pieces_max = _PIECES_MIN + bytes_max // _PIECE_BYTES_MIN
        pieces: list[bytes] = []
        size = 0
        async for piece in response.aiter_raw():
            size += len(piece)
            pieces.append(piece)
            if size > bytes_max:
                raise RpcError(self.name, "oversized", f"sent more than {bytes_max} bytes")
            if len(pieces) > pieces_max:
                raise RpcError(self.name, "oversized", f"sent more than {pieces_max} pieces")
            if len(pieces) % _PIECES_MIN == 0:
                # Those that came together are read without a pause: the others have a turn.
                await asyncio.sleep(0)
        return b"".join(pieces)

    def _retry_after_s(self, response: httpx.Response) -> float:
        """Returns the Retry-After header in seconds, bounded; 0 if it is absent or unreadable.

        A date counts from the answer's own: the node's clock may be any.
        """
        value = response.headers.get("Retry-After", "")
        if value.isascii() and value.isdigit() and len(value) <= 9:
            return min(float(value), self._limits.retry_after_s_max)
        try:
            then = parsedate_to_datetime(value)
            seconds = (then - parsedate_to_datetime(response.headers["Date"])).total_seconds()
        except (KeyError, ValueError, TypeError, OverflowError):
            return 0.0
        return min(max(seconds, 0.0), self._limits.retry_after_s_max)
