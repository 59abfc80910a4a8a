"""What whoever watches is told of waiting: the signer's pace in the ETA, and nobody at work."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

from gateway.api import distribution_messages as messages
from gateway.domain.custody import SignItem, SignOutcome
from gateway.domain.outcomes import SigningPace
from gateway.domain.plans import Distribution
from gateway.domain.ports import Store
from gateway.domain.states import BatchState, DistributionState
from gateway.workflows.distribution_run import NO_SESSION
from gateway.workflows.distribution_watch import Progress, watch
from tests.distribution.checks import TOTAL, assert_paid_once
from tests.distribution.support import TOKEN, Desk, slow_down

LIMIT = 10
WINDOW_S = 60.0


def limit_signatures(desk: Desk) -> None:
    """The signer takes LIMIT signatures in any minute, as its policy would, and says when more."""
    signed_at: list[float] = []

    def script(_: SignItem) -> SignOutcome | None:
        now = desk.clock.elapsed_s
        recent = [at for at in signed_at if at > now - WINDOW_S]
        if len(recent) < LIMIT:
            signed_at.append(now)
            return None
        delay_ms = round(1000 * (recent[0] + WINDOW_S - now))
        return slow_down(delay_ms)

    desk.signer.script = script


def after_each_poll(desk: Desk, look: Callable[[], Awaitable[None]]) -> None:
    """Looks at the database after every sleep of a run, before its next step."""
    plain_sleep = desk.clock.sleep

    async def sleep(seconds: float) -> None:
        await plain_sleep(seconds)
        await look()

    desk.clock.sleep = sleep  # type: ignore[method-assign]  # a spy


async def test_the_eta_reckons_with_the_signers_limit(desk: Desk) -> None:
    """40 transactions at 10 a minute: three minutes after the first ten, and it says so."""
    limit_signatures(desk)
    planned = await desk.planned(40 * 20, TOTAL)
    seen: list[Progress] = []

    async def look() -> None:
        seen.append(await anext(watch(desk.database, desk.clock, planned.id)))

    after_each_poll(desk, look)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await desk.engine.wait()
    first = next(progress for progress in seen if progress.signing_wait_s)
    assert "the signer asks to wait" in first.last_error
    assert 40 < first.signing_wait_s <= WINDOW_S
    # 30 of 40 are not signed yet: three more minutes' worth.
    assert first.tally.batches[BatchState.PLANNED] == 30
    assert first.remaining_s is not None
    assert 170 < first.remaining_s < 240
    shown = messages.progress(first)
    assert shown.signing_wait_duration.ToMilliseconds() == round(1_000 * first.signing_wait_s)
    assert shown.remaining_duration.ToMilliseconds() == round(1_000 * first.remaining_s)
    assert not messages.progress(seen[-1]).HasField("signing_wait_duration")
    done = await desk.workflows.get(planned.id)
    assert (done.state, done.last_error) == (DistributionState.COMPLETED, "")
    assert_paid_once(await desk.paid(done))
    assert desk.clock.elapsed_s > 3 * WINDOW_S


async def test_the_wait_is_shown_until_it_is_over(desk: Desk) -> None:
    """The note stays while the signer is waited for; a cancel takes it back."""
    limit_signatures(desk)
    planned = await desk.planned(15 * 20, TOTAL)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    notes: list[str] = []

    async def look() -> None:
        notes.append((await desk.workflows.get(planned.id)).last_error)
        if len(notes) == 30:
            await desk.workflows.cancel(planned.id)

    after_each_poll(desk, look)
    await desk.engine.wait()
    waiting = [note for note in notes if "the signer asks to wait" in note]
    assert len(waiting) > 20
    assert len(set(waiting)) == 1
    done = await desk.workflows.get(planned.id)
    assert (done.state, done.last_error) == (DistributionState.CANCELLED, "")


async def test_a_wait_is_counted_down(desk: Desk) -> None:
    """While the signer is waited for nothing is paid; whoever watches sees wait and ETA go by."""
    planned = await desk.planned(40, TOTAL)
    waiting = replace(planned, state=DistributionState.EXECUTING)
    waits_s = [58.0, 57.8, 57.0, 30.0]
    answers = [replace(waiting, pace=SigningPace(1_000, wait_s)) for wait_s in waits_s]
    answers.append(replace(planned, state=DistributionState.COMPLETED))

    class Scripted:
        """Answers from the list."""

        @contextlib.asynccontextmanager
        async def read(self) -> AsyncIterator[Any]:
            """Gives a unit of work."""
            yield SimpleNamespace(distributions=self)

        async def get(self, _id: UUID) -> Distribution:
            """Returns the next."""
            return answers.pop(0)

    reports = [each async for each in watch(cast(Store, Scripted()), desk.clock, planned.id)]
    assert [58.0, 57.0, 30.0] == [each.signing_wait_s for each in reports[:-1]]
    assert [58.0, 57.0, 30.0] == [each.remaining_s for each in reports[:-1]]


async def swept(desk: Desk) -> str:
    """The note after another gateway's sweep."""
    other = desk.another_engine()
    sweeping = asyncio.create_task(other.sweep())
    await asyncio.sleep(0.1)
    sweeping.cancel()
    await other.close()
    (found,) = (await desk.workflows.list_page()).items
    return found.last_error


async def age(desk: Desk, seconds: int) -> None:
    """Makes the distribution's last change so old."""
    async with desk.database.transaction() as unit:
        await unit.connection.execute(
            "UPDATE distributions SET updated_at = now() - make_interval(secs => $1)",
            float(seconds),
        )


async def test_nobody_at_work_is_noted(desk: Desk) -> None:
    """Killed before anything was signed: any gateway's sweep says what it waits for."""
    planned = await desk.planned(40, TOTAL)
    async with desk.database.transaction() as unit:
        await unit.distributions.set_state(planned.id, DistributionState.EXECUTING)
    assert await swept(desk) == ""  # it may have begun just now
    await age(desk, 60)
    assert await swept(desk) == NO_SESSION
    reports = watch(desk.database, desk.clock, planned.id)
    assert (await anext(reports)).last_error == NO_SESSION

    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await desk.engine.wait()
    done = await desk.workflows.get(planned.id)
    assert (done.state, done.last_error) == (DistributionState.COMPLETED, "")


async def test_a_dead_gateways_note_is_kept_behind(desk: Desk) -> None:
    """What it said last is not lost, and not taken for what holds now."""
    planned = await desk.planned(40, TOTAL)
    async with desk.database.transaction() as unit:
        await unit.distributions.set_state(planned.id, DistributionState.EXECUTING)
        await unit.distributions.note_error(planned.id, "the RPC node is away")
    await age(desk, 60)
    assert await swept(desk) == f"{NO_SESSION}; before that: the RPC node is away"
    await age(desk, 60)
    assert await swept(desk) == f"{NO_SESSION}; before that: the RPC node is away"


async def test_a_working_gateways_note_stays(desk: Desk) -> None:
    """Whoever holds a live lease is at work, however long ago it noted something."""
    planned = await desk.planned(40, TOTAL)
    async with desk.database.transaction() as unit:
        await unit.distributions.set_state(planned.id, DistributionState.EXECUTING)
        await unit.distributions.note_error(planned.id, "the RPC node is away")
        await unit.distributions.claim(planned.id, uuid4(), 30, 1)
    await age(desk, 600)
    assert await swept(desk) == "the RPC node is away"


async def test_a_run_of_ones_own_is_at_work(desk: Desk) -> None:
    """The database was away for longer than leases live: whoever still has the session works."""
    planned = await desk.planned(40, TOTAL)
    desk.node.faults.drop("getLatestBlockhash", times=8)
    notes: list[str] = []

    async def look() -> None:
        if notes:
            return
        notes.append("")
        async with desk.database.transaction() as unit:
            await unit.connection.execute(
                "UPDATE distribution_batches SET lease_expires_at = now() - interval '1 s' "
                "WHERE lease_owner IS NOT NULL"
            )
        await age(desk, 600)
        sweeping = asyncio.create_task(desk.engine.sweep())
        await asyncio.sleep(0.1)
        sweeping.cancel()
        notes.append((await desk.workflows.get(planned.id)).last_error)

    after_each_poll(desk, look)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await desk.engine.wait()
    assert not notes[1].startswith(NO_SESSION)
    assert (await desk.workflows.get(planned.id)).state is DistributionState.COMPLETED
