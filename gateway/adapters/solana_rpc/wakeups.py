"""Wake-ups by WebSocket (signatureSubscribe): gateway.domain.wakeups, over one connection.

A node tells when a transaction is finalized, and whoever waits for it asks at once. Nothing is
believed. A connection that fails, floods, stalls or breaks the rules is closed and made again
after a wait that doubles, with jitter; meanwhile polling goes on as without it.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Collection
from typing import Final

import websockets
from websockets.asyncio.client import ClientConnection, connect

from gateway.adapters.solana_rpc.subscriptions import SUBSCRIPTIONS_MAX, Subscriptions
from gateway.adapters.solana_rpc.transport import endpoint_name
from gateway.adapters.solana_rpc.wire import WireError
from gateway.domain.ports import Clock

_MESSAGE_BYTES_MAX: Final = 16 * 1024
_MESSAGES_QUEUED_MAX: Final = 16
_OPEN_S: Final = 10.0
_DELAY_S_FIRST: Final = 1.0
_DELAY_S_MAX: Final = 60.0
# What comes at about the same time, such as a block's transactions, is asked for together.
_TOGETHER_S: Final = 0.05
_HEADERS: Final = {"User-Agent": "solward-gateway"}
log = logging.getLogger("solward.gateway.rpc")
# The library's own lines may hold the URL.
_quiet = logging.getLogger("solward.gateway.rpc.websocket")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


class _Connect(connect):
    """Goes nowhere but to its URL."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Follows no redirect."""
        return exc


class SocketListener:
    """gateway.domain.wakeups.Listener."""

    def __init__(self, hub: "SignatureWakeups") -> None:
        self._hub = hub
        self._woken = asyncio.Event()
        self.wanted: frozenset[str] = frozenset()

    def want(self, signatures: Collection[str]) -> None:
        """Says which transactions matter from now on, in place of those before."""
        wanted = frozenset(signatures)
        if wanted != self.wanted:
            self.wanted = wanted
            self._hub.changed.set()

    async def rest(self, seconds: float) -> None:
        """Returns after so many seconds, or sooner if one of them may have become final."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
                await asyncio.sleep(_TOGETHER_S)
        except TimeoutError:
            pass
        self._woken.clear()

    def wake(self) -> None:
        """Ends the present rest, or the next."""
        self._woken.set()

    def close(self) -> None:
        """Wants nothing any more."""
        self._hub.forget(self)


class SignatureWakeups:
    """Keeps the connection while anybody wants anything, and wakes who wants what it tells of."""

    def __init__(
        self, url: str, clock: Clock, *, jitter: Callable[[], float] = random.random
    ) -> None:
        """`jitter` returns a number in [0, 1)."""
        self._url = url
        self._name = endpoint_name(url)
        self._clock = clock
        self._jitter = jitter
        self._listeners: set[SocketListener] = set()
        self._told_of: set[str] = set()
        self.changed = asyncio.Event()

    def listener(self) -> SocketListener:
        """Returns an ear for one worker, to be closed by it."""
        made = SocketListener(self)
        self._listeners.add(made)
        return made

    def forget(self, listener: SocketListener) -> None:
        """Wakes a listener no more."""
        self._listeners.discard(listener)
        self.changed.set()

    async def run(self) -> None:
        """Connects whenever something is wanted, until cancelled."""
        delay_s = _DELAY_S_FIRST
        while True:
            while not self._wanted():
                await self._change()
            started_s = self._clock.monotonic_s()
            why = await self._connection()
            if not why:
                continue
            if self._clock.monotonic_s() - started_s > _DELAY_S_MAX:
                delay_s = _DELAY_S_FIRST
            if delay_s == _DELAY_S_FIRST:
                facts = {"endpoint": self._name, "why": why}
                log.warning("no wake-ups: polling alone", extra={"facts": facts})
            await self._clock.sleep(delay_s * (0.5 + self._jitter() / 2))
            delay_s = min(2 * delay_s, _DELAY_S_MAX)

    async def _connection(self) -> str:
        """Makes and uses one connection; returns why it failed, "" if there is room needed."""
        try:
            async with _Connect(
                self._url,
                additional_headers=_HEADERS,
                user_agent_header=None,
                compression=None,
                proxy=None,
                open_timeout=_OPEN_S,
                close_timeout=1,
                max_size=_MESSAGE_BYTES_MAX,
                max_queue=_MESSAGES_QUEUED_MAX,
                logger=_quiet,
            ) as connection:
                return await self._talk(connection)
        except WireError as error:
            return str(error)
        except (OSError, TimeoutError, ValueError, websockets.WebSocketException) as error:
            return f"connection failed ({type(error).__name__})"

    async def _talk(self, connection: ClientConnection) -> str:
        """Subscribes and listens; ends without reason if only others fill the connection."""
        subscriptions = Subscriptions()
        tasks = {
            asyncio.create_task(self._hear(connection, subscriptions)),
            asyncio.create_task(self._ask(connection, subscriptions)),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, connection: ClientConnection, subscriptions: Subscriptions) -> str:
        while True:
            wanted = self._wanted()
            if subscriptions.is_full_of_others(wanted):
                return ""
            for message in subscriptions.requests(wanted):
                await connection.send(message)
            await self._change()

    async def _hear(self, connection: ClientConnection, subscriptions: Subscriptions) -> str:
        async for message in connection:
            signature = subscriptions.told(message)
            if signature:
                self._told_of.add(signature)
                for listener in self._listeners:
                    if signature in listener.wanted:
                        listener.wake()
        return "the node closed the connection"

    async def _change(self) -> None:
        await self.changed.wait()
        self.changed.clear()

    def _wanted(self) -> list[str]:
        """Returns what listeners want and were not woken for yet; forgets what nobody wants."""
        wanted = set().union(*(listener.wanted for listener in self._listeners))
        self._told_of &= wanted
        return sorted(wanted - self._told_of)[:SUBSCRIPTIONS_MAX]
