"""Engines that die, share, pause and watch: the work is finished once, whoever does it."""

import asyncio

import pytest

from gateway.adapters.postgres import Database
from gateway.domain import deadline
from gateway.domain.custody import SignItem, SignOutcome
from gateway.domain.errors import EtagMismatchError, PreconditionFailedError
from gateway.domain.states import BatchState, DistributionState
from gateway.workflows.distribution_run import BROKE_OFF, RunConfig
from gateway.workflows.distribution_watch import Progress, watch
from tests.distribution.checks import TOTAL, assert_paid_once, is_settled, sends
from tests.distribution.support import TOKEN, Desk, open_desk
from tests.support.svm_rpc import SvmRpc


async def test_a_dead_gateway_is_replaced(desk: Desk) -> None:
    """Cancelled in the middle, the work is finished by another engine, and nobody is paid twice."""
    planned = await desk.planned(200, TOTAL)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await sends(desk, 3)
    await desk.engine.close()

    other = desk.another_engine()
    sweeping = asyncio.create_task(other.sweep())
    for _ in range(100):
        await asyncio.sleep(0.005)
        found = await desk.workflows.get(planned.id)
        if found.tally.batches.get(BatchState.IN_FLIGHT, 0) == 0:
            break
    sweeping.cancel()
    found = await desk.workflows.get(planned.id)
    assert BatchState.IN_FLIGHT not in found.tally.batches
    assert found.state is DistributionState.EXECUTING

    other.start(planned.id, TOKEN)
    await other.wait()
    done = await desk.workflows.get(planned.id)
    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))
    await other.close()


async def test_two_gateways_share_the_work(desk: Desk) -> None:
    """Two engines on one database each sign part of it; every batch is paid by one of them."""
    planned = await desk.planned(400, TOTAL)
    other = desk.another_engine()
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    other.start(planned.id, TOKEN)
    await asyncio.gather(desk.engine.wait(), other.wait())

    done = await desk.workflows.get(planned.id)
    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))
    assert len(desk.chain.landed) == 20
    await other.close()


async def test_pause_and_cancel(desk: Desk) -> None:
    """A pause lets what is signed finish; a cancel after it gives up the rest for good."""
    planned = await desk.planned(400, TOTAL)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await sends(desk, 2)
    await desk.workflows.pause(planned.id)
    await desk.engine.wait()

    paused = await desk.workflows.get(planned.id)
    assert paused.state is DistributionState.PAUSED
    assert set(paused.tally.batches) == {BatchState.FINALIZED, BatchState.PLANNED}

    await desk.workflows.cancel(planned.id)
    await desk.engine.wait()
    done = await desk.workflows.get(planned.id)
    assert done.state is DistributionState.CANCELLED
    assert set(done.tally.batches) == {BatchState.FINALIZED, BatchState.CANCELLED}
    held = sum(held for _, held in await desk.paid(done))
    assert held == done.tally.finalized_amount > 0
    with pytest.raises(PreconditionFailedError):
        await desk.workflows.execute(planned.id, planned.etag, TOKEN)


async def test_execution_is_approved_by_etag(desk: Desk) -> None:
    """Another etag executes nothing; a finished distribution does not execute again."""
    planned = await desk.planned(5, TOTAL)
    with pytest.raises(EtagMismatchError):
        await desk.workflows.execute(planned.id, "other", TOKEN)
    assert (await desk.workflows.get(planned.id)).state is DistributionState.PLANNED
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await desk.engine.wait()
    with pytest.raises(PreconditionFailedError):
        await desk.workflows.execute(planned.id, planned.etag, TOKEN)


async def test_insufficient_funds(database: Database, svm_rpc: SvmRpc) -> None:
    """A source that cannot pay the plan and its fees is refused before anything is signed."""
    desk = await open_desk(database, svm_rpc, lamports=TOTAL)
    planned = await desk.planned(5, TOTAL)
    with pytest.raises(PreconditionFailedError) as caught:
        await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    assert caught.value.reason == "INSUFFICIENT_FUNDS"
    assert (await desk.workflows.get(planned.id)).state is DistributionState.PLANNED
    await desk.close()


async def test_an_rpc_node_that_dies_for_a_while(desk: Desk) -> None:
    """Errors of every kind delay the work and are shown; nothing is lost and nothing doubled."""
    planned = await desk.planned(60, TOTAL)
    for method in ("getBlockHeight", "getSignatureStatuses", "getLatestBlockhash"):
        desk.node.faults.http_error(method, 503, times=6)
        desk.node.faults.body(method, b'{"jsonrpc":"2.0","id":1,"result":{"value":', times=6)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    seen = [progress.last_error async for progress in watch(desk.database, desk.clock, planned.id)]
    await desk.engine.wait()
    done = await desk.workflows.get(planned.id)
    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))
    assert any("RPC node" in error for error in seen)
    assert done.last_error == ""


async def test_watching(desk: Desk) -> None:
    """The stream shows states, counts and lamports, and ends with the final state."""
    planned = await desk.planned(120, TOTAL)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    seen: list[Progress] = [
        progress async for progress in watch(desk.database, desk.clock, planned.id)
    ]
    await desk.engine.wait()
    assert seen[-1].state is DistributionState.COMPLETED
    assert seen[-1].tally.finalized_amount == TOTAL
    assert seen[-1].remaining_s == 0
    assert seen[-1].transfers_per_s > 0
    for progress in seen:
        assert sum(progress.tally.transfers.values()) == 120


async def test_a_thousand_recipients(desk: Desk) -> None:
    """1,000 recipients take 50 transactions and receive the total to the lamport."""
    engine = desk.another_engine(RunConfig(poll_s=0.1))
    planned = await desk.planned(1000, 10**11)
    async with desk.database.transaction() as unit:
        await unit.distributions.set_state(planned.id, DistributionState.EXECUTING)
    engine.start(planned.id, TOKEN)
    await engine.wait()
    done = await desk.workflows.get(planned.id)
    assert is_settled(done)
    assert len(desk.chain.landed) == 50
    pairs = await desk.paid(done)
    assert_paid_once(pairs)
    assert sum(held for _, held in pairs) == 10**11
    await engine.close()


async def test_a_run_that_breaks_off_says_so(desk: Desk) -> None:
    """After an error that nobody foresaw no session is left, and whoever watches is told.

    Nothing of the error itself is shown. Another session goes on, and takes the note back.
    """

    def script(_: SignItem) -> SignOutcome | None:
        raise ZeroDivisionError("secret internals")

    desk.signer.script = script
    left = await desk.executed(60, TOTAL)
    assert (DistributionState.EXECUTING, BROKE_OFF) == (left.state, left.last_error)
    desk.signer.script = lambda _: None
    await desk.workflows.execute(left.id, left.etag, TOKEN)
    await desk.engine.wait()
    done = await desk.workflows.get(left.id)
    assert (DistributionState.COMPLETED, "") == (done.state, done.last_error)
    assert_paid_once(await desk.paid(done))


async def test_a_run_outlives_its_callers_patience(desk: Desk) -> None:
    """Whoever executes waits for an answer, not for the run: its reads are not bound by that."""
    planned = await desk.planned(5, TOTAL)
    with deadline.within(1, desk.clock.monotonic_s()):
        await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await desk.clock.sleep(2)
    await asyncio.wait_for(desk.engine.wait(), 60)
    assert DistributionState.COMPLETED is (await desk.workflows.get(planned.id)).state
