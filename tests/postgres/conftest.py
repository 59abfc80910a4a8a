"""A pool on a migrated database."""

from collections.abc import AsyncIterator

import pytest_asyncio

from gateway.adapters.postgres import Database


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open pool on a migrated database of this test's own."""
    opened = await Database.open(database_url)
    yield opened
    await opened.close()
