"""Databases for tests: one embedded server for the run, a fresh database for whoever asks.

A migrated database is a copy of a template, which costs 30 ms where migrating costs more.
"""

import asyncio
import itertools
import tempfile
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import asyncpg

from gateway.adapters.postgres import Database
from solward_client.devstack.postgres import EmbeddedPostgres, PostgresPaths

T = TypeVar("T")

# Whatever outlives a transaction: settings, advisory locks, cursors, listeners, temporary tables.
_LEFT = """
SELECT coalesce((SELECT string_agg(name, ' ') FROM pg_settings
                 WHERE source = 'session' AND setting <> reset_val), ''),
       (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
       (SELECT count(*) FROM pg_cursors WHERE name <> ''),
       (SELECT count(*) FROM pg_listening_channels()),
       (SELECT count(*) FROM pg_class WHERE relpersistence = 't')
"""


async def left_in_sessions(database: Database) -> list[tuple[Any, ...]]:
    """What work has left in the idle connections of a pool: nothing, if it is to be reused."""
    pool = database._pool
    idle = [await pool.acquire() for _ in range(pool.get_idle_size())]
    try:
        found = [tuple(await connection.fetchrow(_LEFT) or ()) for connection in idle]
    finally:
        for connection in idle:
            await pool.release(connection)
    return [left for left in found if any(left)]


class Databases:
    """An embedded server and the databases that tests make on it."""

    def __init__(self) -> None:
        """Start the server in a temporary directory."""
        self._directory = tempfile.TemporaryDirectory(prefix="sw-pg-")
        root = Path(self._directory.name)
        paths = PostgresPaths(root / "data", root / "run", root / "log")
        try:
            self.server = EmbeddedPostgres(paths, durable=False)
        except BaseException:
            self._directory.cleanup()
            raise
        self._numbers = itertools.count(1)
        self._templates: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Return the running server."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Stop the server and forget its data."""
        self.server.stop()
        self._directory.cleanup()

    def create(self, template: str = "template0") -> str:
        """Create a database and return its name."""
        name = f"t{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever is still connected."""
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def template(self, key: str, prepare: Callable[[str], Coroutine[Any, Any, Any]]) -> str:
        """Return the template called `key`, made on first use by awaiting `prepare(url)`."""
        if key not in self._templates:
            name = self.create()
            run(prepare(self.server.url(name)))
            self._templates[key] = name
        return self._templates[key]

    def execute(self, statement: str) -> None:
        """Run one statement on the server's own database."""
        run(_execute(self.server.url(), statement))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread of its own, whatever loop the caller is in."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
