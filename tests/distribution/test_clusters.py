"""A distribution stays on the cluster that it was planned for."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from gateway.adapters.solana_rpc import Endpoint, SingleEndpoint, SolanaRpc
from gateway.domain.clusters import ELSEWHERE, elsewhere
from gateway.domain.errors import PreconditionFailedError
from gateway.domain.states import BatchState, DistributionState
from gateway.workflows.distribution import DistributionWorkflows
from gateway.workflows.distribution_resolutions import ResolutionWorkflows
from tests.distribution.checks import TOTAL, assert_paid_once, attempt_states, sends
from tests.distribution.support import TOKEN, Desk
from tests.distribution.unknowns import declares, parked, signatures
from tests.support.fixtures import MakeSvmRpc
from tests.support.svm_chain import SvmChain
from tests.support.svm_rpc import SvmRpc

OTHER = "F" * 43


@pytest_asyncio.fixture
async def other(desk: Desk, make_svm_rpc: MakeSvmRpc) -> AsyncIterator[Desk]:
    """The same gateway, pointed to another cluster on which every height is past long ago."""
    node: SvmRpc = make_svm_rpc(SvmChain(height=100_000))
    node.faults.result("getGenesisHash", OTHER, times=None)
    rpc = SolanaRpc(SingleEndpoint(Endpoint(node.url), desk.clock, jitter=lambda: 0.5))
    there = replace(desk, node=node, rpc=rpc)
    there.engine = there.another_engine()
    there.workflows = DistributionWorkflows(
        desk.database, rpc, desk.workflows._planning, there.engine
    )
    yield there
    await there.close()


async def test_another_cluster_moves_nothing(desk: Desk, other: Desk) -> None:
    """What is signed here would look as if it had expired there: it is neither judged, nor sent,
    nor leased, and nothing is signed. Back here it goes on, and the note is taken back.
    """
    desk.chain.hold = True
    planned = await desk.planned(200, TOTAL)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await sends(desk, 3)
    await desk.engine.close()
    before, signed = await attempt_states(desk), len(desk.signer.items)

    await other.workflows.execute(planned.id, planned.etag, TOKEN)
    await other.engine.wait()
    noted = await desk.workflows.get(planned.id)
    assert noted.last_error == f"{ELSEWHERE}: {planned.genesis_hash}, not {OTHER}"
    assert (before, signed) == (await attempt_states(desk), len(desk.signer.items))
    assert {"getGenesisHash"} == {method for method, _ in other.node.calls}
    assert 1 == other.node.count("getGenesisHash")

    desk.chain.release()
    back = desk.another_engine()
    back.start(planned.id, TOKEN)
    await back.wait()
    done = await desk.workflows.get(planned.id)
    assert (DistributionState.COMPLETED, "") == (done.state, done.last_error)
    assert_paid_once(await desk.paid(done))
    await back.close()


async def test_nothing_is_executed_on_another_cluster(desk: Desk, other: Desk) -> None:
    """A plan is refused before its state changes, although the wallet may hold money there, too."""
    planned = await desk.planned(5, TOTAL)
    assert "1" * 32 == planned.genesis_hash
    with pytest.raises(PreconditionFailedError, match=ELSEWHERE):
        await other.workflows.execute(planned.id, planned.etag, TOKEN)
    assert DistributionState.PLANNED is (await desk.workflows.get(planned.id)).state


async def test_nothing_is_resolved_by_another_cluster(desk: Desk, other: Desk) -> None:
    """It knows no signature of ours, and proves nothing by that."""
    found = await parked(desk)
    (signature,) = await signatures(desk, found)
    workflows = ResolutionWorkflows(desk.database, other.rpc)
    with pytest.raises(PreconditionFailedError, match=ELSEWHERE):
        await workflows.resolve(found.id, found.etag, declares(signature), signature)
    assert {BatchState.UNKNOWN: 1} == (await desk.workflows.get(found.id)).tally.batches


async def test_the_cluster_is_approved_with_the_plan(desk: Desk) -> None:
    """The etag tells plans for two clusters apart; one that was made before has none to compare."""
    order = desk.order(5, TOTAL)
    plan = await desk.workflows.plan(order)
    assert plan.etag == plan.digest() != replace(plan, genesis_hash=OTHER).digest()
    made = await desk.planned(5, TOTAL)
    assert plan.etag == made.etag
    assert "" == elsewhere(replace(made, genesis_hash=""), OTHER)
