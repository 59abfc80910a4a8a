"""Copying the signer's audit log into the database, by as many gateways as there are."""

import logging
from contextlib import aclosing
from typing import Final

from gateway.domain.audit import AuditFeed, AuditMirror, AuditRecord, Mirrored
from gateway.domain.errors import GatewayError, PreconditionFailedError
from gateway.domain.ports import Clock

RETRY_S: Final = 5.0
_CHAIN_ID_CHARACTERS: Final = 16
log = logging.getLogger("solward.gateway")


class AuditFollower:
    """Follows the signer's log from where the copy ends."""

    def __init__(self, feed: AuditFeed, mirror: AuditMirror, clock: Clock) -> None:
        self._feed = feed
        self._mirror = mirror
        self._clock = clock

    async def run(self) -> None:
        """Copies until cancelled; begins again when the signer or the database went away."""
        while True:
            try:
                await self._follow()
            except PreconditionFailedError as error:
                # Cut, or replaced by another one: nothing may cover that up.
                log.error(error.message)  # noqa: TRY400 - expected and told whole; no trace
            except GatewayError as error:
                log.info("the audit log is not followed", extra={"facts": {"why": error.reason}})
            await self._clock.sleep(RETRY_S)

    async def _follow(self) -> None:
        oldest = await self._one(0)
        if oldest is None:
            return
        # A chain is known by a record that is stored already, or is new and named by its first.
        stored = await self._mirror.find(oldest)
        chain_id = oldest.mac[:_CHAIN_ID_CHARACTERS] if stored is None else stored.chain_id
        if stored is not None:
            await self._require_same(stored)
        begin = oldest.sequence if stored is None else stored.sequence + 1
        async with aclosing(self._feed.records(begin, follow=True)) as chunks:
            async for chunk in chunks:
                await self._mirror.store(chain_id, chunk)

    async def _require_same(self, stored: Mirrored) -> None:
        found = await self._one(stored.sequence)
        if found is None or (found.sequence, found.mac) != (stored.sequence, stored.mac):
            raise PreconditionFailedError(
                f"the signer's audit log is not the one that was copied: record {stored.sequence} "
                "was removed or replaced"
            )

    async def _one(self, sequence: int) -> AuditRecord | None:
        async with aclosing(self._feed.records(sequence, follow=False)) as chunks:
            async for chunk in chunks:
                return chunk[0]
        return None
