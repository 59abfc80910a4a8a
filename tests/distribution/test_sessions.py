"""Sessions that end: of one gateway of several, and while another is given."""

import asyncio
from dataclasses import replace

import pytest

from gateway.domain.custody import ItemRefusal, SignOutcome
from gateway.domain.states import BatchState, DistributionState
from gateway.workflows.distribution_engine import DistributionEngine
from tests.distribution.checks import TOTAL, assert_paid_once, attempt_states
from tests.distribution.support import RUN, TOKEN, Desk

STALE = b"stale"
# Each polls often in the time that one without a session leaves the other.
LIVELY = replace(RUN, poll_s=0.05)
FROZEN = ItemRefusal("FROZEN", "signer.solward", 7, "not now")


async def both_end(desk: Desk, other: DistributionEngine) -> None:
    """Waits for the runs of two gateways."""
    await asyncio.wait_for(asyncio.gather(desk.engine.wait(), other.wait()), 60)


@pytest.mark.parametrize("transactions", [3, 40])
async def test_one_stale_session_of_two(desk: Desk, transactions: int) -> None:
    """The gateway whose session has ended leaves all to the one whose session lives: also what it
    had taken up, and even if it had taken up everything.
    """
    planned = await desk.planned(20 * transactions, TOTAL)
    desk.engine._config = LIVELY
    other = desk.another_engine(LIVELY)
    await desk.workflows.execute(planned.id, planned.etag, STALE)
    other.start(planned.id, TOKEN)
    await both_end(desk, other)
    done = await desk.workflows.get(planned.id)
    assert (done.state, done.last_error) == (DistributionState.COMPLETED, "")
    assert_paid_once(await desk.paid(done))
    assert len(desk.signer.items) == transactions
    await other.close()


async def test_two_stale_sessions(desk: Desk) -> None:
    """With no session left it is paused, with the reason, and nothing was signed."""
    planned = await desk.planned(400, TOTAL)
    other = desk.another_engine()
    await desk.workflows.execute(planned.id, planned.etag, STALE)
    other.start(planned.id, STALE)
    await both_end(desk, other)
    paused = await desk.workflows.get(planned.id)
    assert paused.state is DistributionState.PAUSED
    assert "the signer refused the session" in paused.last_error
    assert paused.tally.transfers == {BatchState.PLANNED: 400}
    assert await attempt_states(desk) == {}
    await other.close()


async def test_a_session_given_while_the_stale_one_is_refused(desk: Desk) -> None:
    """ExecuteDistribution answered EXECUTING, so the session that came with it is used."""
    planned = await desk.planned(60, TOTAL)
    real = desk.signer.sign_transactions

    async def sign(*args: object) -> list[SignOutcome]:
        outcomes = await real(*args)  # type: ignore[arg-type]  # passed through
        if args[1] == STALE:
            answer = await desk.workflows.execute(planned.id, planned.etag, TOKEN)
            assert answer.state is DistributionState.EXECUTING
        return outcomes

    desk.signer.sign_transactions = sign  # type: ignore[method-assign,assignment]  # a spy
    await desk.workflows.execute(planned.id, planned.etag, STALE)
    await desk.engine.wait()
    done = await desk.workflows.get(planned.id)
    assert (done.state, done.last_error) == (DistributionState.COMPLETED, "")
    assert_paid_once(await desk.paid(done))


async def test_a_paused_gateway_keeps_nothing_from_another(desk: Desk) -> None:
    """What the one took up and was told not to sign, the other signs at once, while the first
    still follows up what it has in flight.
    """
    planned = await desk.planned(80, TOTAL)
    refusing = [True]
    real = desk.signer.sign_transactions

    async def sign(*args: object) -> list[SignOutcome]:
        outcomes = await real(*args)  # type: ignore[arg-type]  # passed through
        if refusing:
            refusing.clear()
            return [*outcomes[:1], *(FROZEN for _ in outcomes[1:])]
        return outcomes

    async def stand_still(seconds: float) -> None:
        desk.clock.elapsed_s += seconds
        await asyncio.sleep(0)

    desk.signer.sign_transactions = sign  # type: ignore[method-assign,assignment]  # a spy
    make_blocks, desk.clock.sleep = desk.clock.sleep, stand_still  # type: ignore[method-assign]  # no block, no end
    desk.chain.hold = True
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    while (await desk.workflows.get(planned.id)).state is not DistributionState.PAUSED:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.001)
    async with desk.database.transaction() as unit:
        await unit.distributions.set_state(planned.id, DistributionState.EXECUTING)
    other = desk.another_engine()
    other.start(planned.id, TOKEN)
    async with asyncio.timeout(20):
        while sum((await attempt_states(desk)).values()) < 4:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.001)
    desk.clock.sleep = make_blocks  # type: ignore[method-assign]  # as it was
    desk.chain.release()
    await both_end(desk, other)
    done = await desk.workflows.get(planned.id)
    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))
    await other.close()
