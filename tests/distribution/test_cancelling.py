"""Cancelling while something is signed: it comes to an end, whatever becomes of what was signed."""

import pytest

from gateway.domain.states import BatchState, DistributionState, settled_state
from tests.distribution.checks import TOTAL, assert_paid_once, sends
from tests.distribution.support import TOKEN, Desk


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
    """What a cancel gave up before the distribution was parked and went on is not paid."""
    assert settled_state({BatchState.FINALIZED: 3, unpaid: 1}, cancelling=False) is state
