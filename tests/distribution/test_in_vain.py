"""A node that drops what it is sent: nothing is signed for ever."""

import asyncio

from gateway.domain.states import BatchState, DistributionState
from gateway.workflows.distribution_run import RunConfig
from tests.distribution.checks import TOTAL, assert_paid_once, attempt_states
from tests.distribution.support import TOKEN, Desk

EXPIRIES = RunConfig().expiries_max


def drop_everything(desk: Desk) -> None:
    """Nothing that is sent ever lands, and time flies."""
    desk.chain.hold = True

    def expire() -> None:
        if desk.chain.waiting:
            desk.chain.waiting.clear()
            desk.chain.expire_blockhashes()

    desk.clock.during_sleep = expire


async def test_expiries_in_a_row_pause(desk: Desk) -> None:
    """Five proven expiries of one batch pause it, and say what may be done; executing again tries
    five times more, and pays everybody once where the node is in order by then.
    """
    drop_everything(desk)
    paused = await desk.executed(40, TOTAL)
    assert paused.state is DistributionState.PAUSED
    assert f"signed {EXPIRIES} times in a row, and expired each time" in paused.last_error
    assert "ExecuteDistribution tries again, CancelDistribution gives up" in paused.last_error
    assert paused.tally.transfers == {BatchState.PLANNED: 40}
    assert await attempt_states(desk) == {"expired": 2 * EXPIRIES}

    await desk.workflows.execute(paused.id, paused.etag, TOKEN)
    await desk.engine.wait()
    again = await desk.workflows.get(paused.id)
    assert (again.state, again.last_error) == (paused.state, paused.last_error)
    assert await attempt_states(desk) == {"expired": 4 * EXPIRIES}

    desk.clock.during_sleep = lambda: None
    desk.chain.release()
    await desk.workflows.execute(paused.id, paused.etag, TOKEN)
    await desk.engine.wait()
    done = await desk.workflows.get(paused.id)
    assert (done.state, done.last_error) == (DistributionState.COMPLETED, "")
    assert_paid_once(await desk.paid(done))


async def test_executing_while_it_executes_begins_to_count_anew(desk: Desk) -> None:
    """Somebody who looks after it, and says so, is believed."""
    planned = await desk.planned(20, TOTAL)
    drop_everything(desk)
    expire = desk.clock.during_sleep
    signed: list[int] = []

    def look_after() -> None:
        expire()
        signed.append(len(desk.signer.items))
        if len(desk.signer.items) == EXPIRIES - 1 and signed.count(EXPIRIES - 1) == 1:
            desk.engine.start(planned.id, TOKEN)

    desk.clock.during_sleep = look_after
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await desk.engine.wait()
    assert (await desk.workflows.get(planned.id)).state is DistributionState.PAUSED
    assert await attempt_states(desk) == {"expired": EXPIRIES - 2 + EXPIRIES}


async def test_a_cancelled_one_is_not_paused(desk: Desk) -> None:
    """What expires while it is being cancelled is given up, and not signed again."""
    planned = await desk.planned(20, TOTAL)
    drop_everything(desk)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    while desk.node.count("sendTransaction") < EXPIRIES - 1:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.001)
    await desk.workflows.cancel(planned.id)
    await desk.engine.wait()
    assert (await desk.workflows.get(planned.id)).state is DistributionState.CANCELLED
