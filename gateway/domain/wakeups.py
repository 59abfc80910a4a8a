"""Being woken when a transaction may have come to something, instead of asking in vain.

A wake-up tells nothing: whoever is woken asks, as it would have asked a little later. So a source
of wake-ups that is silent, slow or lies costs time, and nothing else.
"""

from collections.abc import Collection
from typing import Protocol

from gateway.domain.ports import Clock


class Listener(Protocol):
    """One worker's ear."""

    def want(self, signatures: Collection[str]) -> None:
        """Says which transactions matter from now on, in place of those before."""
        ...

    async def rest(self, seconds: float) -> None:
        """Returns after so many seconds, or sooner if one of them may have become final."""
        ...

    def close(self) -> None:
        """Wants nothing any more."""
        ...


class PatientListener:
    """A listener whom nobody wakes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def want(self, signatures: Collection[str]) -> None:
        """Does nothing."""

    async def rest(self, seconds: float) -> None:
        """Returns after so many seconds."""
        await self._clock.sleep(seconds)

    def close(self) -> None:
        """Does nothing."""
