"""Work beside the server."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

log = logging.getLogger("solward.gateway")


@asynccontextmanager
async def beside(stop: asyncio.Event, *work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs work beside the server; if some fails, stops the gateway: its health would be a lie."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.error("background work failed", exc_info=task.exception())
            stop.set()

    tasks = [asyncio.create_task(item) for item in work]
    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
