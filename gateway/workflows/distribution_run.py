"""One gateway's run on one distribution: sign, send, follow up, until there is nothing to do."""

import logging
from dataclasses import InitVar, dataclass, field
from typing import Final
from uuid import UUID, uuid4

from gateway.domain.chain import Chain
from gateway.domain.clusters import ELSEWHERE, elsewhere
from gateway.domain.errors import (
    ChainUnavailableError,
    GatewayError,
    SignerUnavailableError,
    StoreUnavailableError,
)
from gateway.domain.plans import Distribution
from gateway.domain.ports import Clock, Store, TransactionCompiler
from gateway.domain.states import BatchState, DistributionState
from gateway.domain.wakeups import Listener
from gateway.workflows.distribution_followup import Followup
from gateway.workflows.distribution_pace import Pace
from gateway.workflows.distribution_receipts import Reconciliation
from gateway.workflows.distribution_session import RunSession
from gateway.workflows.distribution_signing import BatchSigner, Turn

log = logging.getLogger("solward.gateway.distribution")

NO_SESSION: Final = "it waits for ExecuteDistribution with a session"
BROKE_OFF: Final = (
    "an internal error ended the work on it, the gateway's log says which: what is signed is "
    "followed up, the rest waits for ExecuteDistribution"
)
# What a run that has a session takes back: it does not wait any more. Any takes ELSEWHERE back.
_WAITS: Final = (NO_SESSION, BROKE_OFF)
_IN_VAIN: Final = (
    "batch {position} was signed {times} times in a row, and expired each time without ever being "
    "in a block: does the RPC node pass on what it is sent, is the price of a compute unit enough? "
    "ExecuteDistribution tries again, CancelDistribution gives up what is left"
)


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The pace of runs.

    `lease_s` is how long a gateway that dies is waited for. It is longer than the signer may take
    for a call, and is renewed right before one, so that no gateway takes what another is signing.
    The reads before may take longer; a lease that expired and that nobody took still holds.
    `expiries_max` is how often in a row one batch is signed and expires before it all is paused.
    """

    batches_per_round: int = 50
    in_flight_max: int = 150
    poll_s: float = 0.5
    resend_s: float = 2.0
    lease_s: float = 60.0
    sweep_s: float = 15.0
    expiries_max: int = 5


@dataclass(slots=True)
class DistributionRun:
    """The run. Killing it at any point loses nothing: all that counts is in the database."""

    distribution_id: UUID
    store: Store
    chain: Chain
    clock: Clock
    signer: BatchSigner
    compiler: TransactionCompiler
    config: RunConfig
    listener: Listener
    token: InitVar[bytes]
    worker: UUID = field(default_factory=uuid4)
    # Set in the same breath as the decision to end, so that a session given later starts another.
    is_ending: bool = False
    _session: RunSession = field(init=False)
    _followup: Followup = field(init=False)
    _pace: Pace = field(init=False)
    _receipts: Reconciliation = field(init=False)
    # Whether the plan was made for the cluster that is served here.
    _is_here: bool = False
    _leased_at_s: float = float("-inf")
    _noted: str = ""

    def __post_init__(self, token: bytes) -> None:
        """Prepares the parts; an empty token is no session."""
        self._session = RunSession(self.store, self.clock, self.distribution_id, self.worker, token)
        self._followup = Followup(
            self.store,
            self.chain,
            self.clock,
            self.distribution_id,
            self.config.resend_s,
            self.listener,
        )
        self._receipts = Reconciliation(self.store, self.chain, self.compiler, self.distribution_id)
        self._pace = Pace(self.clock, self.config.lease_s)

    def resume(self, token: bytes) -> None:
        """Takes a new session, with which all is tried anew; an empty one changes nothing."""
        if token:
            self._session.renew(token)
            self._pace.clear()
            self._followup.expiries.clear()

    @property
    def has_session(self) -> bool:
        """True while it may sign."""
        return bool(self._session.token)

    async def run(self) -> None:
        """Works until the distribution is settled, or needs a session that nobody has given."""
        try:
            while not await self._step_safely():
                await self.listener.rest(self.config.poll_s)
        finally:
            self.is_ending = True
            self.listener.close()
            self._session.forget()
            await self._release()

    async def _step_safely(self) -> bool:
        """Takes a step; what is unavailable is noted and tried again at the next."""
        self._followup.last_error = ""
        try:
            ended = await self._step()
        except (ChainUnavailableError, SignerUnavailableError) as error:
            await self._note(error.message)
            return False
        except StoreUnavailableError as error:
            log.warning("the database is away", extra={"facts": {"error": error.message}})
            return False
        is_paced = not ended and self._pace.rests
        waits_for = self._session.stopped or (self._pace.note if is_paced else "")
        await self._note(self._followup.last_error or waits_for)
        return ended

    async def _step(self) -> bool:
        if not self._is_here and await self._is_elsewhere():
            self.is_ending = True
            return True
        await self._keep_leases()
        async with self.store.read() as unit:
            found = await unit.distributions.get(self.distribution_id)
            live = await unit.distributions.live_attempts(self.distribution_id, self.worker)
        if found.last_error.startswith((ELSEWHERE, *(_WAITS if self.has_session else ()))):
            self._noted = found.last_error
        if self._may_sign(found, len(live)):
            await self._sign_safely(found)
            async with self.store.read() as unit:
                live = await unit.distributions.live_attempts(self.distribution_id, self.worker)
        await self._followup.follow(live)
        await self._end_in_vain(found)
        if self._session.ended:
            await self._session.leave()
        return await self._is_over(compared=await self._receipts.step())

    async def _is_elsewhere(self) -> bool:
        """True, and noted, on another cluster than the plan's: whoever serves that goes on.

        Asked before anything is leased, so that nobody is kept from it.
        """
        async with self.store.read() as unit:
            found = await unit.distributions.get(self.distribution_id)
        why = elsewhere(found, await self.chain.get_genesis_hash())
        self._is_here = not why
        if why not in found.last_error:
            self._followup.last_error = why
        return not self._is_here

    def _may_sign(self, found: Distribution, in_flight: int) -> bool:
        return (
            self.has_session
            and found.state is DistributionState.EXECUTING
            and found.tally.batches.get(BatchState.PLANNED, 0) > 0
            and in_flight + self.config.batches_per_round <= self.config.in_flight_max
            and not self._pace.rests
        )

    async def _sign_safely(self, found: Distribution) -> None:
        """Signs; what is in the way of that is noted, and what is signed is followed up anyway."""
        try:
            await self._sign(found)
        except (ChainUnavailableError, SignerUnavailableError) as error:
            self._followup.last_error = error.message

    async def _sign(self, found: Distribution) -> None:
        token = self._session.token
        turn = Turn(
            self.worker,
            token,
            self.config.lease_s,
            self.config.batches_per_round,
            self._pace.passed_over(),
        )
        signed = await self.signer.sign_more(found, turn)
        if signed.attempts:
            await self._followup.send((item.signature, item.wire) for item in signed.attempts)
        if wait_s := self._pace.after(signed):
            async with self.store.transaction() as unit:
                await unit.distributions.note_pace(self.distribution_id, wait_s)
        if signed.refusals.stop:
            await self._session.pause(token, signed.refusals.stop)
        elif signed.refusals.session:
            self._session.end(token, signed.refusals.session)

    async def _end_in_vain(self, found: Distribution) -> None:
        """Pauses what is signed again and again, and never gets into a block."""
        if found.state is not DistributionState.EXECUTING:
            self._followup.expiries.clear()
        for position, times in self._followup.expiries.most_common(1):
            if self.has_session and times >= self.config.expiries_max:
                why = _IN_VAIN.format(position=position, times=times)
                await self._session.pause(self._session.token, why)

    async def _is_over(self, *, compared: bool) -> bool:
        async with self.store.transaction() as unit:
            settled = await unit.distributions.settle(self.distribution_id)
            found = await unit.distributions.get(self.distribution_id)
            live = await unit.distributions.live_attempts(self.distribution_id, self.worker)
        if settled is not None:
            # What was finalized in this very step is compared in the next.
            self.is_ending = compared and not found.receipts.pending
            return self.is_ending
        signs = self.has_session and found.state is DistributionState.EXECUTING
        if live or signs or self._session.ended or not compared:
            return False
        self.is_ending = True
        if found.state is DistributionState.EXECUTING and not found.last_error:
            async with self.store.read() as unit:
                others = await unit.distributions.others_at_work(self.distribution_id, self.worker)
            self._followup.last_error = "" if others else NO_SESSION
        return True

    async def _keep_leases(self) -> None:
        """Renews what this run holds and takes up what others left, three times in a lease."""
        now = self.clock.monotonic_s()
        if now - self._leased_at_s < self.config.lease_s / 3:
            return
        async with self.store.transaction() as unit:
            await unit.distributions.renew(self.distribution_id, self.worker, self.config.lease_s)
            await unit.distributions.adopt(self.distribution_id, self.worker, self.config.lease_s)
        self._leased_at_s = now

    async def _note(self, error: str) -> None:
        """Shows an error to whoever watches; "" takes back one that this run has shown."""
        if error == self._noted:
            return
        self._noted = error
        try:
            async with self.store.transaction() as unit:
                await unit.distributions.note_error(self.distribution_id, error)
        except StoreUnavailableError:
            self._noted = ""

    async def _release(self) -> None:
        try:
            async with self.store.transaction() as unit:
                await unit.distributions.release(self.distribution_id, self.worker)
        except GatewayError as error:
            # The leases expire by themselves.
            log.warning("leases were not released", extra={"facts": {"error": error.message}})
