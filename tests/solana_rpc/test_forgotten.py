"""Nodes that forgot what landed, under a whole distribution: nobody is paid twice."""

from collections.abc import AsyncIterator

import pytest_asyncio

from gateway.adapters.postgres import Database
from gateway.adapters.solana_rpc import Agreement, Endpoint, EndpointPool, SolanaRpc
from gateway.domain.states import BatchState, DistributionState
from tests.distribution.support import Desk, open_desk
from tests.support.fixtures import MakeSvmRpc
from tests.support.svm_chain import SvmChain


@pytest_asyncio.fixture
async def desk(database_url: str, make_svm_rpc: MakeSvmRpc) -> AsyncIterator[Desk]:
    """A distribution desk on a scripted node."""
    database = await Database.open(database_url)
    opened = await open_desk(database, make_svm_rpc())
    yield opened
    await opened.close()
    await database.close()


async def test_a_node_that_forgets_makes_nobody_pay_twice(desk: Desk) -> None:
    """A node restarted from a snapshot denies a payment that landed: parked, not signed again."""

    def forget() -> None:
        if desk.chain.landed:
            desk.chain.landed.clear()
            desk.chain.first_available_slot = desk.chain.slot
            desk.chain.expire_blockhashes()

    desk.clock.during_sleep = forget
    done = await desk.executed(20, 10**9)
    assert DistributionState.PARKED is done.state
    assert {BatchState.UNKNOWN: 20} == done.tally.transfers
    assert 1 == len(desk.signer.items)
    assert [planned for planned, _ in await desk.paid(done)] == [
        held for _, held in await desk.paid(done)
    ]


async def test_a_second_node_remembers_what_the_first_forgot(
    database_url: str, make_svm_rpc: MakeSvmRpc
) -> None:
    """With two nodes the payment is found finalized at the other one; nothing is signed again."""
    database = await Database.open(database_url)
    remembers = make_svm_rpc()
    forgets = make_svm_rpc(ForgetfulChain(remembers.chain))
    desk = await open_desk(database, remembers)
    endpoints = [Endpoint(forgets.url), Endpoint(remembers.url)]
    pool = EndpointPool(endpoints, desk.clock, jitter=lambda: 0.5)
    desk.engine._chain = SolanaRpc(pool, agreement=Agreement(2))

    def lapse() -> None:
        if desk.chain.landed and desk.chain.height < 300:
            desk.chain.expire_blockhashes()

    desk.clock.during_sleep = lapse
    done = await desk.executed(20, 10**9)
    assert DistributionState.COMPLETED is done.state
    assert 1 == len(desk.signer.items)
    await desk.engine._chain.close()
    await desk.close()
    await database.close()


class ForgetfulChain(SvmChain):
    """The same chain, seen by a node that knows of no transaction at all."""

    def __init__(self, real: SvmChain) -> None:
        """Look through to the real chain for time and accounts."""
        super().__init__()
        self.svm = real.svm
        self._real = real

    def height_at(self, commitment: str) -> int:
        """Return the real chain's height."""
        self.height = self._real.height
        return super().height_at(commitment)
