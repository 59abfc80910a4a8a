"""What the tests of the engine look at."""

import asyncio

from gateway.domain.outcomes import PaidCost
from gateway.domain.plans import Distribution, Receipts
from gateway.domain.states import DistributionState
from tests.distribution.support import Desk

TOTAL = 10**9


def assert_paid_once(pairs: list[tuple[int, int]]) -> None:
    """Every recipient holds exactly what was planned."""
    assert [planned for planned, _ in pairs] == [held for _, held in pairs]


def assert_as_estimated(done: Distribution) -> None:
    """Every transaction's record is the planned one, and what was paid is what was estimated."""
    estimate = done.estimate
    assert done.receipts == Receipts(matched=done.batch_count)
    assert done.paid == PaidCost(
        estimate.base_fee_lamports + estimate.priority_fee_lamports,
        estimate.rent_lamports,
        estimate.refund_lamports,
        estimate.transaction_count,
    )


def is_settled(distribution: Distribution) -> bool:
    """True once nothing is left to happen."""
    return distribution.state in {DistributionState.COMPLETED, DistributionState.PARTIALLY_FAILED}


async def sends(desk: Desk, count: int) -> None:
    """Returns once the node, which runs in threads and has no event, got so many."""
    while desk.node.count("sendTransaction") < count:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.001)


async def attempt_states(desk: Desk) -> dict[str, int]:
    """How many attempts are in each state."""
    async with desk.database.read() as unit:
        rows = await unit.connection.fetch("SELECT state, count(*) FROM attempts GROUP BY state")
    return {row["state"]: row["count"] for row in rows}
