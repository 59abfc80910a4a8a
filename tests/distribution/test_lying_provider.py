"""Two providers, and one lies about the blockhashes that it gives out: nobody is paid twice."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from gateway.adapters.postgres import Database
from gateway.adapters.solana_rpc import Agreement, Endpoint, EndpointPool, SolanaRpc
from gateway.domain.plans import Distribution
from gateway.domain.states import BatchState, DistributionState
from tests.distribution.checks import TOTAL, assert_paid_once, attempt_states
from tests.distribution.support import TOKEN, Desk, open_desk
from tests.distribution.test_pace import after_each_poll
from tests.support.fixtures import MakeSvmRpc
from tests.support.svm_rpc import SvmRpc

Lie = Callable[[Any], Any]


def ends(last_valid_block_height: int) -> Lie:
    """The blockhash is good until this height."""

    def lie(result: Any) -> Any:
        return result | {
            "value": result["value"] | {"lastValidBlockHeight": last_valid_block_height}
        }

    return lie


def begins(slots: int) -> Lie:
    """The blockhash was given out so many slots later than it was."""

    def lie(result: Any) -> Any:
        return result | {"context": {"slot": result["context"]["slot"] + slots}}

    return lie


def both(result: Any) -> Any:
    """It ended long ago, and began before that."""
    return begins(-400)(ends(1)(result))


LIES: dict[str, Lie] = {
    "ends at once": ends(1),
    "never ends": ends(2**62),
    "began earlier": begins(-400),
    "begins later": begins(100),
    "ended long ago": both,
}


@pytest_asyncio.fixture
async def liar(make_svm_rpc: MakeSvmRpc, svm_rpc: SvmRpc) -> SvmRpc:
    """The other node on the same chain."""
    node: SvmRpc = make_svm_rpc(svm_rpc.chain)
    return node


@pytest_asyncio.fixture
async def desk(database: Database, svm_rpc: SvmRpc, liar: SvmRpc) -> AsyncIterator[Desk]:
    """A desk that asks the liar first and needs both to prove an expiry."""
    opened = await open_desk(database, svm_rpc)
    endpoints = [Endpoint(liar.url), Endpoint(svm_rpc.url)]
    pool = EndpointPool(endpoints, opened.clock, jitter=lambda: 0.5)
    rpc = SolanaRpc(pool, agreement=Agreement(2, 2))
    opened.engine._chain = opened.engine._batch_signer._chain = rpc
    yield opened
    await rpc.close()
    await opened.close()


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_about_a_blockhash_pays_nobody_twice(
    desk: Desk, liar: SvmRpc, lie: str
) -> None:
    """What was sent is held back until something else is signed for it, and then all of it lands.

    The honest node says of the first, truthfully, that it is past the height that the liar gave,
    and knows nothing of it. With the lie believed there would be two payments in no time; now the
    first has ended by then, and the second pays.
    """
    liar.faults.alter("getLatestBlockhash", LIES[lie])
    desk.chain.hold = True

    def land() -> None:
        if len({str(one.signatures[0]) for one in desk.chain.waiting}) > 1:
            desk.chain.release()

    desk.clock.during_sleep = land
    done = await desk.executed(5, TOTAL)
    assert DistributionState.COMPLETED is done.state
    assert_paid_once(await desk.paid(done))
    assert 1 == len(desk.chain.landed)
    assert {"expired": 1, "finalized": 1} == await attempt_states(desk)


async def test_signing_waits_for_as_many_as_are_wanted(desk: Desk, liar: SvmRpc) -> None:
    """While one does not vouch nothing more is signed, and it says so; what is signed goes on."""
    planned = await desk.planned(120, TOTAL)
    seen: list[Distribution] = []

    async def look() -> None:
        if len(desk.signer.items) == 4 and not seen:
            liar.faults.drop("isBlockhashValid", times=None)
        seen.append(await desk.workflows.get(planned.id))
        if seen[-1].tally.batches.get(BatchState.FINALIZED) == 4 or len(seen) > 100:
            liar.faults.clear()

    after_each_poll(desk, look)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await desk.engine.wait()
    waiting = next(one for one in seen if BatchState.FINALIZED in one.tally.batches)
    assert {BatchState.FINALIZED: 4, BatchState.PLANNED: 2} == waiting.tally.batches
    assert "1 of 2 RPC providers vouch for the blockhash" in waiting.last_error
    done = await desk.workflows.get(planned.id)
    assert (DistributionState.COMPLETED, "") == (done.state, done.last_error)
    assert_paid_once(await desk.paid(done))
