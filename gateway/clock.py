"""The system's time, behind gateway.domain.ports.Clock. Nothing else here asks for the time."""

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """Wall clock, monotonic clock and sleep."""

    def now(self) -> datetime:
        """Returns the time of day, in UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Returns seconds from an arbitrary point, never going back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""
        await asyncio.sleep(seconds)
