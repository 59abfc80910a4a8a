"""The engine: keeps one run for each distribution that this gateway works on.

A run signs what is planned while it has a session, and follows up what is signed with or without
one. A gateway that dies leaves both to the others: its leases expire, and `sweep` finds signed
transactions that nobody follows.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from uuid import UUID

from gateway.domain import deadline
from gateway.domain.chain import Chain
from gateway.domain.errors import GatewayError
from gateway.domain.ports import Clock, Store, TransactionCompiler
from gateway.domain.wakeups import Listener, PatientListener
from gateway.workflows.distribution_run import BROKE_OFF, NO_SESSION, DistributionRun, RunConfig
from gateway.workflows.distribution_signing import BatchSigner, TransactionSigner

log = logging.getLogger("solward.gateway.distribution")


class DistributionEngine:
    """Starts runs and ends them."""

    def __init__(
        self,
        store: Store,
        chain: Chain,
        signer: TransactionSigner,
        compiler: TransactionCompiler,
        clock: Clock,
        config: RunConfig | None = None,
        *,
        listeners: Callable[[], Listener] | None = None,
    ) -> None:
        """`listeners` makes ears for runs, that are to be woken before their next poll."""
        self._listeners = listeners or partial(PatientListener, clock)
        self._store = store
        self._chain = chain
        self._clock = clock
        self._config = config or RunConfig()
        self._compiler = compiler
        self._batch_signer = BatchSigner(store, chain, signer, compiler)
        self._runs: dict[UUID, DistributionRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, distribution_id: UUID, session_token: bytes) -> None:
        """Runs a distribution, or gives the run that there is a new session.

        An empty token follows up what is signed and signs nothing.
        """
        present = self._runs.get(distribution_id)
        if present is not None and not present.is_ending:
            present.resume(session_token)
            return
        run = DistributionRun(
            distribution_id,
            self._store,
            self._chain,
            self._clock,
            self._batch_signer,
            self._compiler,
            self._config,
            self._listeners(),
            session_token,
        )
        self._runs[distribution_id] = run
        # Whoever starts it may wait for the answer only so long; the run goes on.
        with deadline.within(None, self._clock.monotonic_s()):
            task = asyncio.create_task(self._guard(run), name=f"distribution {distribution_id}")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(run, done))

    async def sweep(self) -> None:
        """Takes up what is signed and followed by nobody: at once, and then for ever.

        What nobody signs for, because its gateway died with the session, is noted as waiting. This
        gateway's own runs are known to be at work, even if their leases expired while the database
        was away.
        """
        while True:
            try:
                # First what may hold money up, in a read that waits for nobody's lock.
                async with self._store.read() as unit:
                    found = await unit.distributions.unsettled()
                for distribution_id in found:
                    self.start(distribution_id, b"")
                at_work = [key for key, run in self._runs.items() if run.has_session]
                async with self._store.transaction() as unit:
                    await unit.distributions.note_waiting(NO_SESSION, self._config.sweep_s, at_work)
            except GatewayError as error:
                log.warning("sweep failed", extra={"facts": {"error": error.message}})
            await self._clock.sleep(self._config.sweep_s)

    async def wait(self) -> None:
        """Returns when no run is left: for tests, and for nothing else."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Ends all runs where they stand and gives up their leases; sessions are forgotten."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _guard(self, run: DistributionRun) -> None:
        """Runs, and says so where everybody sees it if that ends by what nobody foresaw."""
        try:
            await run.run()
        except asyncio.CancelledError:
            raise
        except BaseException:  # a defect, or a Rust panic, must not take the gateway down
            log.exception("a run failed")
            try:
                async with self._store.transaction() as unit:
                    await unit.distributions.note_error(run.distribution_id, BROKE_OFF)
            except GatewayError as failure:
                log.warning("nor was it noted", extra={"facts": {"error": failure.message}})

    def _ended(self, run: DistributionRun, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._runs.get(run.distribution_id) is run:
            del self._runs[run.distribution_id]
