"""Cancelling while something is signed: it comes to an end, whatever becomes of what was signed."""

import asyncio
import dataclasses

import pytest
from solders.transaction_status import TransactionErrorFieldless

from gateway.domain.attempts import NewAttempt
from gateway.domain.errors import GatewayError, PreconditionFailedError
from gateway.domain.states import BatchState, DistributionState, settled_state
from tests.distribution.checks import TOTAL, assert_paid_once, attempt_states, sends
from tests.distribution.support import TOKEN, Desk
from tests.distribution.unknowns import hide, parked


async def test_what_expires_while_cancelling_is_given_up(desk: Desk) -> None:
    """A signed transaction that provably expired is not signed again: CANCELLED, nobody paid."""
    planned = await desk.planned(60, TOTAL)
    desk.chain.hold = True
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await sends(desk, 3)
    await desk.workflows.cancel(planned.id)
    desk.chain.waiting.clear()
    desk.chain.hold = False
    desk.chain.expire_blockhashes()
    await desk.engine.wait()

    done = await desk.workflows.get(planned.id)
    assert done.state is DistributionState.CANCELLED
    assert done.tally.transfers == {BatchState.CANCELLED: 60}
    assert [held for _, held in await desk.paid(done)] == [0] * 60
    assert len(desk.signer.items) == 3


async def test_what_lands_while_cancelling_is_paid(desk: Desk) -> None:
    """A signed transaction that lands after the cancel counts as paid, once."""
    planned = await desk.planned(20, TOTAL)
    desk.chain.hold = True
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await sends(desk, 1)
    await desk.workflows.cancel(planned.id)
    desk.chain.release()
    await desk.engine.wait()
    done = await desk.workflows.get(planned.id)
    assert done.state is DistributionState.CANCELLED
    assert done.tally.transfers == {BatchState.FINALIZED: 20}
    assert_paid_once(await desk.paid(done))


@pytest.mark.parametrize(
    ("unpaid", "state"),
    [
        (BatchState.CANCELLED, DistributionState.PARTIALLY_FAILED),
        (BatchState.FAILED, DistributionState.PARTIALLY_FAILED),
        (BatchState.SPLIT, DistributionState.COMPLETED),
    ],
)
def test_completed_means_that_all_are_paid(unpaid: BatchState, state: DistributionState) -> None:
    """What was given up, or failed, is not paid; what was split counts by its halves."""
    assert settled_state({BatchState.FINALIZED: 3, unpaid: 1}, cancelled=False) is state


async def test_a_cancel_beside_an_execute_wins(desk: Desk) -> None:
    """Whichever comes first, a cancel that is not refused ends in CANCELLED, and nobody is paid."""
    desk.chain.hold = True
    for number in range(1, 9):
        planned = await desk.planned(20, TOTAL, number)
        calls = [
            desk.workflows.execute(planned.id, planned.etag, TOKEN),
            desk.workflows.cancel(planned.id),
        ]
        await asyncio.gather(*(calls if number % 2 else reversed(calls)), return_exceptions=True)
        assert (await desk.workflows.get(planned.id)).is_cancelled
        desk.chain.waiting.clear()
        desk.chain.expire_blockhashes()
        await desk.engine.wait()
        done = await desk.workflows.get(planned.id)
        assert done.state is DistributionState.CANCELLED
        assert {BatchState.CANCELLED: 20} == done.tally.transfers


async def lock_waits(desk: Desk, count: int) -> None:
    """Returns once so many statements wait for a lock."""
    query = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(10):
        while True:
            async with desk.database.read() as unit:
                if await unit.connection.fetchval(query) == count:
                    return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("is_refused", [True, False])
async def test_a_cancel_and_what_a_worker_stores_lock_in_one_order(
    desk: Desk, is_refused: bool
) -> None:
    """What is refused or signed while a cancel waits holds no batch that the cancel needs."""
    planned = await desk.planned(40, TOTAL)
    worker = planned.id
    attempt = NewAttempt(0, "1" * 64, b"wire", "1" * 32, 350, 200)
    async with desk.database.transaction() as unit:
        await unit.distributions.set_state(planned.id, DistributionState.EXECUTING)
        await unit.distributions.claim(planned.id, worker, 30.0, 2)

    async def work() -> None:
        async with desk.database.transaction() as unit:
            if is_refused:
                await unit.distributions.refuse(planned.id, worker, {0: "refused"}, {0})
            else:
                await unit.distributions.store_attempts(planned.id, worker, [attempt], 30.0)

    async with asyncio.TaskGroup() as tasks, desk.database.transaction() as unit:
        await unit.distributions.lock(planned.id)
        # The cancel is first in the queue. A worker that took its batch before that is waited
        # for by the cancel, while it waits for the cancel.
        tasks.create_task(desk.workflows.cancel(planned.id))
        await lock_waits(desk, 1)
        tasks.create_task(work())
        await lock_waits(desk, 2)
    await desk.engine.wait()
    done = await desk.workflows.get(planned.id)
    assert (DistributionState.CANCELLED, {BatchState.CANCELLED: 40}) == (
        done.state,
        done.tally.transfers,
    )


FORBIDDEN = [
    *(
        f"UPDATE distributions SET state = '{state}'"
        for state in ("executing", "paused", "completed", "partially_failed")
    ),
    "UPDATE distribution_batches SET state = 'in_flight' WHERE state = 'planned'",
]


async def test_a_cancel_is_for_ever(desk: Desk) -> None:
    """Whoever writes to the tables, what was cancelled is not executed and signs nothing."""
    planned = await desk.planned(20, TOTAL)
    async with desk.database.transaction() as unit:
        for state in ("executing", "cancelling", "parked"):
            await unit.connection.execute("UPDATE distributions SET state = $1", state)
        await unit.connection.execute("UPDATE distributions SET is_cancelled = false")
    # A batch that a cancel gave up does not come back; this one was missed by the hand above.
    assert {BatchState.PLANNED: 20} == (await desk.workflows.get(planned.id)).tally.transfers
    for statement in FORBIDDEN:
        with pytest.raises(GatewayError):
            async with desk.database.transaction() as unit:
                await unit.connection.execute(statement)
    async with desk.database.transaction() as unit:
        assert await unit.distributions.settle(planned.id) is DistributionState.CANCELLED
    assert await attempt_states(desk) == {}


async def test_what_was_not_cancelled_is_not_cancelled_by_a_settling(desk: Desk) -> None:
    """PARKED goes to CANCELLED only after a cancel."""
    await desk.planned(20, TOTAL)
    statement = "UPDATE distributions SET state = $1"
    async with desk.database.transaction() as unit:
        for state in ("executing", "parked"):
            await unit.connection.execute(statement, state)
        with pytest.raises(GatewayError):
            await unit.connection.execute(statement, "cancelled")


async def test_a_finished_one_is_not_cancelled(desk: Desk) -> None:
    """What is COMPLETED stays so."""
    done = await desk.executed(5, TOTAL)
    with pytest.raises(PreconditionFailedError):
        await desk.workflows.cancel(done.id)
    assert not (await desk.workflows.get(done.id)).is_cancelled


async def test_a_cancelled_one_that_is_executed_signs_nothing(desk: Desk) -> None:
    """What was unknown turns out as failed on chain; its halves are given up, for ever."""
    remembered = dict(desk.chain.landed)

    def forget(desk: Desk) -> None:
        (signature,) = desk.chain.landed
        landed = desk.chain.landed[signature]
        failed = dataclasses.replace(landed.outcome, error=TransactionErrorFieldless.AccountInUse)
        remembered[signature] = dataclasses.replace(landed, outcome=failed)
        hide(desk)

    found = await parked(desk, forget)
    signed = len(desk.signer.items)
    await desk.workflows.cancel(found.id)
    await desk.engine.wait()
    desk.chain.landed.update(remembered)
    started = await desk.workflows.execute(found.id, found.etag, TOKEN)
    assert started.state is DistributionState.CANCELLING
    await desk.engine.wait()
    done = await desk.workflows.get(found.id)
    assert (DistributionState.CANCELLED, {BatchState.CANCELLED: 20}) == (
        done.state,
        done.tally.transfers,
    )
    assert signed == len(desk.signer.items)
    with pytest.raises(PreconditionFailedError):
        await desk.workflows.execute(found.id, found.etag, TOKEN)
