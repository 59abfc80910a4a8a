"""When wallets were last used, written now and then: a signature does not wait for an UPDATE."""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from gateway.domain.errors import GatewayError
from gateway.domain.ports import Clock

FLUSH_INTERVAL_S: Final = 2.0
# Beyond this, times are dropped: they are a convenience, and memory is not.
_WALLETS_MAX: Final = 200_000
log = logging.getLogger("solward.gateway")


class UsageStore(Protocol):
    """Where the times go."""

    async def mark_used(self, used_at: Mapping[UUID, datetime]) -> None:
        """Sets `last_used_at` unless it is later already; unknown ids are no error."""
        ...


class UsageLog:
    """Collects times of use and stores them together."""

    def __init__(self, store: UsageStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._used_at: dict[UUID, datetime] = {}

    def used(self, wallet_ids: Iterable[UUID]) -> None:
        """Notes that wallets were used now."""
        if len(self._used_at) < _WALLETS_MAX:
            self._used_at.update(dict.fromkeys(wallet_ids, self._clock.now()))

    async def flush(self) -> None:
        """Stores what was noted; keeps it for the next time if the database does not answer."""
        if not self._used_at:
            return
        pending, self._used_at = self._used_at, {}
        try:
            await self._store.mark_used(pending)
        except GatewayError as error:
            self._used_at = {**pending, **self._used_at}
            log.warning("times of use are kept", extra={"facts": {"reason": error.reason}})

    async def run(self) -> None:
        """Flushes every few seconds until cancelled."""
        while True:
            await self._clock.sleep(FLUSH_INTERVAL_S)
            await self.flush()
