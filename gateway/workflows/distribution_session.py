"""A run's session, and what becomes of the distribution when no more can be signed with it."""

import logging
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from gateway.domain.errors import PreconditionFailedError
from gateway.domain.ports import Clock, Store
from gateway.domain.states import DistributionState

log = logging.getLogger("solward.gateway.distribution")

# Some polls of another gateway's run: time to take up what one without a session leaves.
_LOOKS_AFTER_S: Final = 2.0


@dataclass(slots=True)
class RunSession:
    """The session, as long as there is one. It never leaves this process's memory.

    `stopped` says why nothing more is signed; it is shown until there is another session.
    """

    store: Store
    clock: Clock
    distribution_id: UUID
    worker: UUID
    token: bytes = field(default=b"", repr=False)
    stopped: str = ""
    # Why it has ended, while it is to be seen whether other gateways go on, and until when.
    ended: str = ""
    _look_at_s: float = 0.0

    def renew(self, token: bytes) -> None:
        """Takes a new one."""
        self.token = token
        self.stopped = self.ended = ""

    def forget(self) -> None:
        """Gives it up."""
        self.token = b""

    def end(self, token: bytes, why: str) -> None:
        """Takes in that the signer knows it no more, unless there is a newer one by now."""
        if self.token == token:
            self.token = b""
            self.ended = why
            self._look_at_s = self.clock.monotonic_s() + _LOOKS_AFTER_S

    async def pause(self, token: bytes, why: str) -> None:
        """Pauses, and gives up the session that came to this; a newer one is tried first.

        The next ExecuteDistribution, at whichever gateway, finds nothing leased that is planned.
        """
        is_paused = True
        try:
            async with self.store.transaction() as unit:
                await unit.distributions.lock(self.distribution_id)
                if self.token != token:
                    return
                await unit.distributions.release(
                    self.distribution_id, self.worker, planned_only=True
                )
                await unit.distributions.set_state(self.distribution_id, DistributionState.PAUSED)
                await unit.distributions.note_error(self.distribution_id, why)
        except PreconditionFailedError:
            is_paused = False  # somebody paused, cancelled or finished it first
        if self.token == token:
            self.token = b""
            self.stopped = why if is_paused else ""

    async def leave(self) -> None:
        """Leaves what is planned to gateways whose session lives; without any, it is paused.

        They are given time to take it up.
        """
        why = self.ended
        async with self.store.transaction() as unit:
            state = await unit.distributions.lock(self.distribution_id)
            await unit.distributions.release(self.distribution_id, self.worker, planned_only=True)
            if self.clock.monotonic_s() < self._look_at_s:
                return
            others = await unit.distributions.others_at_work(self.distribution_id, self.worker)
            pauses = state is DistributionState.EXECUTING and not others and bool(self.ended)
            if pauses:
                await unit.distributions.set_state(self.distribution_id, DistributionState.PAUSED)
                await unit.distributions.note_error(self.distribution_id, why)
        if not self.ended:
            return  # another session was given meanwhile
        self.ended = ""
        if pauses:
            self.stopped = why
        else:
            facts = {"distribution": str(self.distribution_id), "state": state.value, "why": why}
            log.warning("a session has ended, and others go on", extra={"facts": facts})
