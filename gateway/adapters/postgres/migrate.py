"""Migrations: numbered SQL files applied in order, each once, never altered afterwards.

`migrate` applies what is missing in one transaction under an advisory lock, so gateways that start
together neither collide nor leave half a schema. `check_applied` is what a gateway does at start.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from gateway.adapters.postgres.connection import Connection, translate_errors
from gateway.domain.errors import PreconditionFailedError

MIGRATIONS_DIRECTORY: Final = Path(__file__).resolve().parents[3] / "migrations"
_FILE_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_LOCK: Final = int.from_bytes(
    hashlib.sha256(b"solward/migrations").digest()[:8], "big", signed=True
)
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number (from 1, without gaps), name, text and SHA-256 in hex."""

    number: int
    name: str
    script: str
    sha256: str


def load_migrations(directory: Path = MIGRATIONS_DIRECTORY) -> list[Migration]:
    """Reads the files of a directory in order.

    Raises PreconditionFailedError if there is none, a name is odd or out of sequence.
    """
    migrations: list[Migration] = []
    for path in sorted(directory.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None or int(match[1]) != len(migrations) + 1:
            raise _broken(f"{path.name} is out of sequence")
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        migrations.append(Migration(int(match[1]), path.name, data.decode(), digest))
    if not migrations:
        raise _broken(f"no migrations in {directory.name}")
    return migrations


async def migrate(dsn: str, directory: Path = MIGRATIONS_DIRECTORY) -> list[str]:
    """Applies the files that are missing; returns their names.

    Raises PreconditionFailedError if a file that was applied has since been altered or removed,
    StoreUnavailableError if the database cannot be reached, GatewayError if a script fails: then
    nothing is applied.
    """
    migrations = load_migrations(directory)
    with translate_errors():
        raw = await asyncpg.connect(dsn, timeout=10, command_timeout=600)
    try:
        connection = Connection(raw)
        async with connection.transaction():
            await connection.fetchval("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.run_script(_TABLE)
            pending = await _pending(connection, migrations)
            for migration in pending:
                await connection.run_script(migration.script)
                await connection.execute(
                    "INSERT INTO schema_migrations (number, name, sha256) VALUES ($1, $2, $3)",
                    migration.number,
                    migration.name,
                    migration.sha256,
                )
    finally:
        await raw.close()
    return [migration.name for migration in pending]


async def check_applied(dsn: str, directory: Path = MIGRATIONS_DIRECTORY) -> None:
    """Returns if the schema is exactly that of the files.

    Raises PreconditionFailedError (MIGRATIONS_PENDING, MIGRATION_ALTERED) or StoreUnavailableError.
    """
    migrations = load_migrations(directory)
    with translate_errors():
        raw = await asyncpg.connect(dsn, timeout=10, command_timeout=10)
    try:
        connection = Connection(raw)
        exists = await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL")
        pending = await _pending(connection, migrations) if exists else migrations
    finally:
        await raw.close()
    if pending:
        raise PreconditionFailedError(
            "the database lacks " + ", ".join(migration.name for migration in pending),
            reason="MIGRATIONS_PENDING",
        )


async def _pending(connection: Connection, migrations: list[Migration]) -> list[Migration]:
    rows = await connection.fetch("SELECT number, name, sha256 FROM schema_migrations ORDER BY 1")
    applied = {row["number"]: row for row in rows}
    known = {migration.number: migration for migration in migrations}
    for number, row in applied.items():
        if number not in known:
            raise _broken(f"{row['name']} was applied but its file is gone")
        if row["sha256"] != known[number].sha256:
            raise _broken(f"{row['name']} was altered after it had been applied")
    return [migration for migration in migrations if migration.number not in applied]


def _broken(message: str) -> PreconditionFailedError:
    return PreconditionFailedError(message, reason="MIGRATION_ALTERED")
