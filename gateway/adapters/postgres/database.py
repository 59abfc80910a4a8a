"""The pool, and units of work on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from gateway.adapters.postgres.connection import Connection, Row, translate_errors
from gateway.adapters.postgres.distributions import PostgresDistributions
from gateway.adapters.postgres.idempotency import PostgresIdempotency
from gateway.adapters.postgres.masters import PostgresMasterWallets
from gateway.adapters.postgres.wallets import PostgresWallets


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """Limits of the pool, in seconds where not said otherwise.

    `idle_in_transaction_s` is long because a derivation holds its transaction open while the signer
    works; `lock_timeout_s` bounds how long a second derivation of the same master waits for it.
    """

    connections_max: int = 10
    connect_timeout_s: float = 5.0
    acquire_timeout_s: float = 5.0
    statement_timeout_s: float = 30.0
    lock_timeout_s: float = 10.0
    idle_in_transaction_s: float = 120.0


class PostgresUnit:
    """The repositories on one connection: gateway.domain.ports.UnitOfWork."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.masters = PostgresMasterWallets(connection)
        self.wallets = PostgresWallets(connection)
        self.distributions = PostgresDistributions(connection)
        self.idempotency = PostgresIdempotency(connection)


class Database:
    """A pool of connections: gateway.domain.ports.Store.

    Opening it does not connect: a gateway starts, and says that it is not ready, while its database
    is down. Every failure to reach it is StoreUnavailableError.
    """

    def __init__(self, pool: "asyncpg.Pool[Row]", config: PoolConfig) -> None:
        self._pool = pool
        self._config = config

    @classmethod
    async def open(cls, dsn: str, config: PoolConfig | None = None) -> "Database":
        """Makes the pool for a postgresql:// URL."""
        config = config or PoolConfig()
        with translate_errors():
            pool = await asyncpg.create_pool(
                dsn,
                reset=_leave,
                min_size=0,
                max_size=config.connections_max,
                timeout=config.connect_timeout_s,
                command_timeout=config.statement_timeout_s + 1,
                server_settings={
                    "application_name": "solward-gateway",
                    # See wallet_rows: filters rely on it, and planning costs microseconds here.
                    "plan_cache_mode": "force_custom_plan",
                    "statement_timeout": _milliseconds(config.statement_timeout_s),
                    "lock_timeout": _milliseconds(config.lock_timeout_s),
                    "idle_in_transaction_session_timeout": _milliseconds(
                        config.idle_in_transaction_s
                    ),
                },
            )
        return cls(pool, config)

    async def close(self) -> None:
        """Waits for connections in use, then closes all."""
        with translate_errors():
            await self._pool.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with translate_errors():
            raw = await self._pool.acquire(timeout=self._config.acquire_timeout_s)
        try:
            yield Connection(raw)
        finally:
            with translate_errors():
                await self._pool.release(raw)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[PostgresUnit]:
        """Repositories without a transaction: every statement stands alone. For reads."""
        async with self._connection() as connection:
            yield PostgresUnit(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresUnit]:
        """Repositories in one transaction: committed when the block ends, undone when it raises."""
        async with self._connection() as connection, connection.transaction():
            yield PostgresUnit(connection)

    async def ping(self) -> None:
        """Returns if the database answers; raises StoreUnavailableError otherwise."""
        async with self._connection() as connection:
            await connection.fetchval("SELECT 1")


async def _leave(_connection: object) -> None:
    """Does nothing where the driver, by default, resets the session at each release: one round trip
    more for every call. An open transaction it rolls back all the same, and nothing here sets
    anything that outlives one (test_sessions checks that).
    """


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))
