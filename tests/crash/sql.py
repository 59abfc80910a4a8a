"""One statement on a connection of its own: what a test knows apart from the gateway."""

from typing import Any

import asyncpg


async def execute(url: str, statement: str) -> None:
    """Runs a statement."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def fetch(url: str, query: str, *parameters: object) -> list[Any]:
    """Returns a query's rows."""
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query, *parameters))
    finally:
        await connection.close()
