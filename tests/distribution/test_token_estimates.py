"""Payouts of tokens before they can be paid: what they cost is told, and what is too little."""

from dataclasses import replace

import pytest

from gateway.domain.errors import PreconditionFailedError, TotalTooSmallError
from gateway.domain.orders import DistributionOrder, RecipientAddresses, TransferFee
from gateway.domain.splits import EvenSplit
from gateway.domain.token_programs import TOKEN_2022
from tests.distribution.support import Desk
from tests.distribution.tokens import FEE_CONFIG, TokenWorld, fee_config
from tests.postgres.samples import address_of


def payout(desk: Desk, world: TokenWorld, total: int) -> DistributionOrder:
    """An order to pay 12 addresses evenly; the source bears the fee."""
    to = RecipientAddresses(tuple(address_of(number, "early") for number in range(12)))
    return DistributionOrder(desk.source_id, to, total, EvenSplit(), world.mint, TransferFee.SOURCE)


async def test_an_estimate_needs_no_tokens(any_desk: Desk) -> None:
    """What a payout costs is told before the tokens are bought, or have an account: as much as when
    they are there, but for a priority fee by bounds and not by measurement. A plan is refused until
    then.
    """
    desk = any_desk
    world = TokenWorld(desk.chain, TOKEN_2022, 6, {FEE_CONFIG: fee_config(250, 10**6)})
    order = payout(desk, world, 1_200)
    without = await desk.workflows.estimate(order)
    world.open(desk.source_address, 5)
    with_few = await desk.workflows.estimate(order)
    with pytest.raises(PreconditionFailedError, match="holds 5 base units and needs 1236"):
        await desk.workflows.plan(order)
    world.open(desk.source_address, 1_236)
    planned = (await desk.workflows.plan(order)).estimate
    assert (planned.withheld_amount, planned.new_account_count) == (36, 12)
    assert without == with_few
    more = without.priority_fee_lamports - planned.priority_fee_lamports
    assert more >= 0
    assert planned == replace(
        without,
        priority_fee_lamports=without.priority_fee_lamports - more,
        required_lamports=without.required_lamports - more,
        maximum_lamports=planned.maximum_lamports,
    )
    world.open(desk.source_address, 1_236, state=2)
    with pytest.raises(PreconditionFailedError, match="account is frozen"):
        await desk.workflows.estimate(order)


async def test_totals_of_tokens_are_spoken_of_in_base_units(desk: Desk) -> None:
    """A total that is too small is `total_amount`, and no lamports are meant."""
    world = TokenWorld(desk.chain)
    world.open(desk.source_address, 10**9)
    for call in (desk.workflows.plan, desk.workflows.estimate):
        with pytest.raises(TotalTooSmallError, match="would get 0 base units") as caught:
            await call(payout(desk, world, 11))
        assert caught.value.field == "total_amount"
