"""Engines that die at random moments, without a word: everybody is still paid exactly once."""

import asyncio
import random

from gateway.domain.states import DistributionState
from gateway.workflows.distribution_engine import DistributionEngine
from gateway.workflows.distribution_run import DistributionRun, RunConfig
from tests.distribution.support import TOKEN, Desk

TOTAL = 10**9
# Leases so short that a successor takes over at once, and now and then from one that still lives.
HASTY = RunConfig(
    batches_per_round=1, in_flight_max=4, poll_s=0.01, resend_s=0.05, lease_s=0.05, sweep_s=0.01
)


async def die(engine: DistributionEngine) -> None:
    """Ends an engine as kill -9 would: nothing is released, nothing is said."""
    for task in engine._tasks:
        task.cancel()
    await asyncio.gather(*engine._tasks, return_exceptions=True)


async def work(desk: Desk, engine: DistributionEngine, calls: int) -> None:
    """Returns once the node got so many more calls, or the engine has nothing left to do."""
    until = len(desk.node.calls) + calls
    while len(desk.node.calls) < until and engine._tasks:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.001)


async def no_release(self: DistributionRun) -> None:
    """What a dead process does about its leases."""


async def test_forty_deaths(desk: Desk) -> None:
    """40 engines die within a few calls, each soon after its successor began, and some sends are
    lost; one finishes the rest.
    """
    chance = random.Random(7)
    planned = await desk.planned(240, TOTAL)
    async with desk.database.transaction() as unit:
        await unit.distributions.set_state(planned.id, DistributionState.EXECUTING)
    original = DistributionRun._release
    DistributionRun._release = no_release  # type: ignore[method-assign]  # dies without it
    living = desk.another_engine(HASTY)
    living.start(planned.id, TOKEN)
    try:
        for _ in range(40):
            spoil = chance.choice((desk.node.faults.lose_reply, desk.node.faults.drop))
            spoil("sendTransaction")
            await work(desk, living, chance.randrange(8))
            successor = desk.another_engine(HASTY)
            successor.start(planned.id, TOKEN)
            await work(desk, successor, chance.randrange(3))
            await die(living)
            living = successor
            desk.chain.advance(chance.choice((0, 1, 5, 200)))
        await die(living)
    finally:
        DistributionRun._release = original  # type: ignore[method-assign]  # dies without it
    desk.node.faults.clear()
    last = desk.another_engine(HASTY)
    last.start(planned.id, TOKEN)
    await last.wait()

    done = await desk.workflows.get(planned.id)
    assert done.state in {DistributionState.COMPLETED, DistributionState.PARKED}
    pairs = await desk.paid(done)
    assert [planned for planned, _ in pairs] == [held for _, held in pairs]
    async with desk.database.read() as unit:
        doubles = await unit.connection.fetch(
            "SELECT batch_position FROM attempts WHERE state = 'finalized' "
            "GROUP BY batch_position HAVING count(*) > 1"
        )
    assert doubles == []
