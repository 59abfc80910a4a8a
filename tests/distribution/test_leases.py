"""Leases: who lost one stores nothing, and who is only slow loses nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from gateway.domain.custody import SignOutcome
from gateway.domain.states import DistributionState
from gateway.workflows.distribution_run import RunConfig
from tests.distribution.checks import TOTAL, assert_paid_once, attempt_states
from tests.distribution.support import TOKEN, Desk

LEASE_S = 0.05


async def steal(desk: Desk, distribution_id: UUID, position: int = 0) -> None:
    """Another gateway takes a batch, for an hour."""
    async with desk.database.transaction() as unit:
        await unit.connection.execute(
            "UPDATE distribution_batches SET lease_owner = gen_random_uuid(), "
            "lease_expires_at = now() + interval '1 hour' "
            "WHERE distribution_id = $1 AND position = $2",
            distribution_id,
            position,
        )


def after_signing(desk: Desk, act: Callable[[], Awaitable[object]]) -> None:
    """Does something between the signer's work and its answer."""
    real = desk.signer.sign_transactions

    async def sign(*args: object) -> list[SignOutcome]:
        outcomes = await real(*args)  # type: ignore[arg-type]  # passed through
        await act()
        return outcomes

    desk.signer.sign_transactions = sign  # type: ignore[method-assign,assignment]  # a spy


async def test_a_lost_lease_is_a_fence(desk: Desk) -> None:
    """Bytes signed under a lease that was lost meanwhile are neither stored nor sent."""
    planned = await desk.planned(20, TOTAL)
    stolen = asyncio.Event()

    async def act() -> None:
        await steal(desk, planned.id)
        stolen.set()

    after_signing(desk, act)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await asyncio.wait_for(stolen.wait(), 5)
    await asyncio.sleep(0.05)
    assert desk.node.count("sendTransaction") == 0
    assert await attempt_states(desk) == {}
    await desk.engine.close()


async def test_a_signer_slower_than_the_lease(desk: Desk) -> None:
    """A lease that expired while the signer worked, and that nobody took, still holds: what was
    signed is sent, and nothing is signed twice.
    """
    planned = await desk.planned(60, TOTAL)
    async with desk.database.transaction() as unit:
        await unit.distributions.set_state(planned.id, DistributionState.EXECUTING)
    after_signing(desk, lambda: asyncio.sleep(LEASE_S + 0.01))
    engine = desk.another_engine(RunConfig(poll_s=0.01, lease_s=LEASE_S))
    engine.start(planned.id, TOKEN)
    await asyncio.wait_for(engine.wait(), 10)
    done = await desk.workflows.get(planned.id)
    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))
    assert len(desk.signer.items) == 3


async def test_what_was_taken_meanwhile_is_not_signed(desk: Desk) -> None:
    """Reads that outlast the lease cost no signature of a batch that another gateway took."""
    planned = await desk.planned(60, TOTAL)
    real = desk.rpc.get_latest_blockhash

    async def slow(commitment: str = "confirmed") -> object:
        await steal(desk, planned.id, position=1)
        return await real(commitment)  # type: ignore[arg-type]  # passed through

    desk.rpc.get_latest_blockhash = slow  # type: ignore[method-assign,assignment]  # a spy
    signed = asyncio.Event()

    async def act() -> None:
        signed.set()

    after_signing(desk, act)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await asyncio.wait_for(signed.wait(), 5)
    await desk.engine.close()
    references = [item.reference for item in desk.signer.items]
    assert references == [f"{planned.id}/0", f"{planned.id}/2"]


async def test_storing_renews_the_lease(desk: Desk) -> None:
    """What is in flight is as long its signer's as if it had been claimed right then."""
    planned = await desk.planned(20, TOTAL)
    async with desk.database.transaction() as unit:
        await unit.distributions.set_state(planned.id, DistributionState.EXECUTING)
    after_signing(desk, lambda: _expire(desk))
    engine = desk.another_engine(RunConfig(lease_s=3600))
    desk.chain.hold = True
    engine.start(planned.id, TOKEN)
    while not await attempt_states(desk):  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.001)
    async with desk.database.read() as unit:
        left_s = await unit.connection.fetchval(
            "SELECT min(extract(epoch FROM lease_expires_at - clock_timestamp())) "
            "FROM distribution_batches WHERE state = 'in_flight'"
        )
    await engine.close()
    assert left_s > 0


async def _expire(desk: Desk) -> None:
    async with desk.database.transaction() as unit:
        await unit.connection.execute(
            "UPDATE distribution_batches SET lease_expires_at = now() - interval '1 s' "
            "WHERE lease_owner IS NOT NULL"
        )
