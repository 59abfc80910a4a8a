"""Sessions: wallet keys kept open for a time, so that signing needs no password.

A session holds record keys of kind wallet and nothing else: by what it holds it cannot open a
mnemonic, rotate, export or delete. It is named by a token that only its owner has; the table knows
the token's hash.
"""

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from signer_daemon.vault.derivation import IMPORTED, INDEX_MAX
from signer_daemon.vault.errors import (
    MemoryUnavailable,
    SessionInvalid,
    SessionLacksKey,
    SessionLimit,
)
from signer_daemon.vault.memory import Page, PagePool
from signer_daemon.vault.records import RecordKeys

SESSIONS_MAX = 256
_TOKEN_BYTES = 32


class Scope(NamedTuple):
    """What a session may do, inside what the policy allows. Kept here, judged by elsewhere."""

    index_first: int
    index_last: int
    transactions: bool
    messages: bool
    lamports_max: int


UNSCOPED = Scope(IMPORTED, INDEX_MAX, transactions=True, messages=True, lamports_max=0)
"""All that the policy allows; 0 lamports stand for no cap of the session's own."""


class _Session:
    __slots__ = (
        "deadline",
        "idle_seconds",
        "is_closed",
        "keys",
        "last_use",
        "page",
        "scope",
        "users",
    )

    def __init__(self, page: Page) -> None:
        self.page = page
        self.keys: dict[str, memoryview] = {}
        self.scope: Scope = UNSCOPED
        self.deadline = 0.0
        self.idle_seconds = 0.0
        self.last_use = 0.0
        self.users = 0
        self.is_closed = False

    @property
    def ends_at(self) -> float:
        """The end of its time to live, or of its patience if nobody uses it."""
        idle_end = self.last_use + self.idle_seconds if self.users == 0 else self.deadline
        return min(self.deadline, idle_end)


class SessionTable:
    """The open sessions. Safe between threads.

    Its pages are its own, one for each possible session: sessions cannot starve requests of locked
    memory.
    """

    def __init__(
        self, monotonic_clock: Callable[[], float], *, sessions_max: int = SESSIONS_MAX
    ) -> None:
        """`monotonic_clock` gives seconds. Raises MemoryUnavailable if pages cannot be locked."""
        self._clock = monotonic_clock
        self._pool = PagePool(sessions_max)
        self._sessions: dict[bytes, _Session] = {}
        self._lock = threading.Lock()

    def open(
        self,
        unlocked: Iterable[RecordKeys],
        ttl_seconds: float,
        *,
        idle_seconds: float = 0,
        scope: Scope = UNSCOPED,
    ) -> bytes:
        """Copies the wallet key of each group and returns the token (32 random bytes) that names
        them.

        `unlocked` is consumed one by one, so it may run scrypt and prove the password as it goes;
        what it raises goes through, and nothing is kept. The time to live begins when all are in.
        Raises SessionLimit.
        """
        self.sweep()
        session = _Session(self._lease())
        try:
            for keys in unlocked:
                try:
                    key = session.page.take(len(keys.wallet))
                except MemoryUnavailable:
                    raise SessionLimit("too many key groups for one session") from None
                key[:] = keys.wallet
                session.keys[keys.group.name] = key
        except BaseException:
            self._pool.give_back(session.page)
            raise
        token = secrets.token_bytes(_TOKEN_BYTES)
        with self._lock:
            session.scope = scope
            session.last_use = self._clock()
            session.idle_seconds = idle_seconds or ttl_seconds
            session.deadline = session.last_use + ttl_seconds
            self._sessions[_name(token)] = session
        return token

    @contextmanager
    def key(self, token: bytes, group_name: str) -> Iterator[memoryview]:
        """Lends the wallet key (32) of a key group for a block.

        A session that is closed or expires meanwhile takes no new user and is wiped when the last
        one leaves: never under a signer's hands, never later. Raises SessionInvalid or
        SessionLacksKey.
        """
        self.sweep()
        with self._lock:
            session = self._sessions.get(_name(token))
            if session is None:
                raise SessionInvalid("the session is unknown, closed or expired")
            key = session.keys.get(group_name)
            if key is None:
                raise SessionLacksKey("the session does not unlock this wallet")
            session.users += 1
            session.last_use = self._clock()
        try:
            yield key
        finally:
            with self._lock:
                session.users -= 1
                self._release_if_idle(session)

    def scope(self, token: bytes) -> tuple[str, Scope]:
        """Returns a session's public name (32 hex digits) and its scope. Raises SessionInvalid."""
        self.sweep()
        with self._lock:
            session = self._sessions.get(_name(token))
            if session is None:
                raise SessionInvalid("the session is unknown, closed or expired")
            return _name(token).hex()[:32], session.scope

    def close(self, token: bytes) -> None:
        """Ends a session. Ending one that does not exist succeeds: it is what was asked for."""
        with self._lock:
            self._end(_name(token))
        self.sweep()

    def revoke_all(self) -> int:
        """Ends every session and returns how many there were."""
        with self._lock:
            names = list(self._sessions)
            for name in names:
                self._end(name)
        return len(names)

    def sweep(self) -> None:
        """Ends what has expired. Every call here does so; a timer should, when none come."""
        with self._lock:
            now = self._clock()
            for name in [n for n, session in self._sessions.items() if session.ends_at <= now]:
                self._end(name)

    def __len__(self) -> int:
        self.sweep()
        return len(self._sessions)

    def _lease(self) -> Page:
        try:
            return self._pool.lease()
        except MemoryUnavailable:
            raise SessionLimit("too many sessions") from None

    def _end(self, name: bytes) -> None:
        session = self._sessions.pop(name, None)
        if session is not None:
            session.is_closed = True
            self._release_if_idle(session)

    def _release_if_idle(self, session: _Session) -> None:
        # Under the lock: exactly one of `_end` and the last user gets here with both conditions
        # true.
        if session.is_closed and session.users == 0:
            self._pool.give_back(session.page)


def _name(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
