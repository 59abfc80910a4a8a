"""Mints that change between the plan and its execution: nobody is paid short."""

from uuid import UUID

import pytest

from gateway.domain.errors import InvalidArgumentError
from gateway.domain.orders import (
    DistributionOrder,
    RecipientAddresses,
    TransferFee,
)
from gateway.domain.splits import EvenSplit
from gateway.domain.states import BatchState, DistributionState
from gateway.domain.token_programs import TOKEN_2022
from tests.distribution.checks import assert_as_estimated, sends
from tests.distribution.support import TOKEN, Desk
from tests.distribution.tokens import (
    FEE_CONFIG,
    TokenWorld,
    fee_config,
)
from tests.postgres.samples import address_of

COUNT = 20
EACH = 1_000
PAID = [address_of(number, "changes") for number in range(COUNT)]


def begin_epoch(desk: Desk, epoch: int) -> None:
    """Sets the epoch of the chain's clock."""
    clock = desk.chain.svm.get_clock()
    clock.epoch = epoch
    desk.chain.svm.set_clock(clock)


def payout(
    desk: Desk, world: TokenWorld, fee: TransferFee = TransferFee.UNSTATED
) -> DistributionOrder:
    """An order to pay everybody the same, from a source that has enough."""
    world.open(desk.source_address, 10**9)
    to = RecipientAddresses(tuple(PAID))
    return DistributionOrder(desk.source_id, to, COUNT * EACH, EvenSplit(), world.mint, fee)


def received(world: TokenWorld) -> set[int]:
    """What recipients hold, each amount once."""
    return {world.amount(address) for address in PAID}


@pytest.mark.parametrize("fee", [TransferFee.SOURCE, TransferFee.RECIPIENT])
async def test_a_fee_that_is_nil_for_now(desk: Desk, fee: TransferFee) -> None:
    """While the announced fee does not hold yet, the total leaves and arrives."""
    rates = fee_config(250, 10**6, since=1)
    world = TokenWorld(desk.chain, TOKEN_2022, 6, {FEE_CONFIG: rates})
    done = await desk.done(payout(desk, world, fee))
    assert done.state is DistributionState.COMPLETED
    assert received(world) == {EACH}
    assert (done.total_amount, done.estimate.withheld_amount) == (COUNT * EACH, 0)
    assert_as_estimated(done)


async def test_who_bears_a_fee_that_is_announced_must_be_said(desk: Desk) -> None:
    """A fee that begins later may hold when it lands; one that never withholds needs no answer."""
    world = TokenWorld(desk.chain, TOKEN_2022, 6, {FEE_CONFIG: fee_config(250, 10**6, since=1)})
    with pytest.raises(
        InvalidArgumentError, match=r"later epoch .* 250 .*: say who bears it"
    ) as no:
        await desk.workflows.plan(payout(desk, world))
    assert no.value.field == "transfer_fee"
    world.extensions = {FEE_CONFIG: fee_config(250, 0, since=1)}
    world.write_mint()
    assert (await desk.workflows.plan(payout(desk, world))).estimate.withheld_amount == 0


@pytest.mark.parametrize("fee", [TransferFee.SOURCE, TransferFee.RECIPIENT])
async def test_a_fee_that_begins_after_signing(desk: Desk, fee: TransferFee) -> None:
    """What was signed for a fee of nil fails on chain: nobody is paid short."""
    world = TokenWorld(desk.chain, TOKEN_2022, 6, {FEE_CONFIG: fee_config(250, 10**6, since=1)})
    planned = await desk.workflows.create(str(UUID(int=1)), payout(desk, world, fee))
    desk.chain.hold = True
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await sends(desk, planned.batch_count)
    begin_epoch(desk, 1)
    desk.chain.release()
    await desk.engine.wait()
    found = await desk.workflows.get(planned.id)
    assert received(world) == {0}
    assert world.amount(desk.source_address) == 10**9
    assert found.tally.transfers == {BatchState.FAILED: COUNT}
