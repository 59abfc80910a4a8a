"""Mints that change between the plan and its execution: nobody is paid short, no fee is burnt."""

from dataclasses import replace
from uuid import UUID

import pytest
from solders.account import Account
from solders.pubkey import Pubkey

from gateway.domain.errors import InvalidArgumentError
from gateway.domain.orders import (
    ConsolidationOrder,
    DistributionOrder,
    RecipientAddresses,
    TransferFee,
)
from gateway.domain.plans import Distribution
from gateway.domain.splits import EvenSplit
from gateway.domain.states import BatchState, DistributionState
from gateway.domain.token_programs import TOKEN_2022
from tests.distribution.checks import assert_as_estimated, sends
from tests.distribution.support import TOKEN, Desk
from tests.distribution.tokens import (
    DEFAULT_STATE,
    FEE_CONFIG,
    PAUSABLE,
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


async def executed(desk: Desk, planned: Distribution) -> Distribution:
    """Executes it to its run's end."""
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await desk.engine.wait()
    return await desk.workflows.get(planned.id)


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
    """What was signed for a fee of nil fails on chain: nobody is paid short. The rest, halves of
    what failed included, is not signed.
    """
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
    assert found.state is DistributionState.PAUSED
    assert "a transfer fee of 250 basis points now" in found.last_error
    assert len(desk.signer.items) == planned.batch_count
    assert found.tally.transfers == {BatchState.PLANNED: COUNT}


CHANGES = {
    "250 basis points": ({FEE_CONFIG: fee_config(250, 10**6, since=1, before=100)}, {}),
    "0 basis points": ({FEE_CONFIG: fee_config(0, 10**6, since=1, before=100)}, {}),
    "is paused": ({PAUSABLE: bytes(33)}, {PAUSABLE: bytes(32) + b"\1"}),
    "freezes new accounts now": ({DEFAULT_STATE: b"\1"}, {DEFAULT_STATE: b"\2"}),
}


@pytest.mark.parametrize("why", CHANGES)
async def test_a_mint_that_changed_pauses_before_anything_is_signed(desk: Desk, why: str) -> None:
    """Another fee or a mint that does not move costs nothing but a pause with the reason; once it
    is again as it was planned, everybody is paid.
    """
    before, after = CHANGES[why]
    world = TokenWorld(desk.chain, TOKEN_2022, 6, dict(before))
    held = desk.balance(desk.source_address)
    order = payout(desk, world, TransferFee.SOURCE)
    planned = await desk.workflows.create(str(UUID(int=1)), order)
    world.extensions = before | after
    world.write_mint()
    begin_epoch(desk, 1)
    found = await executed(desk, planned)
    assert found.state is DistributionState.PAUSED
    assert world.mint in found.last_error
    assert why in found.last_error
    assert (desk.signer.items, desk.balance(desk.source_address)) == ([], held)

    world.extensions = dict(before)
    world.write_mint()
    begin_epoch(desk, 0)
    done = await executed(desk, found)
    assert (done.state, done.last_error) == (DistributionState.COMPLETED, "")
    assert received(world) == {EACH}
    assert_as_estimated(done)


async def test_a_mint_that_is_gone_pauses(desk: Desk) -> None:
    """So does whatever is no mint any more."""
    world = TokenWorld(desk.chain)
    planned = await desk.workflows.create(str(UUID(int=1)), payout(desk, world))
    desk.chain.svm.set_account(Pubkey.from_string(world.mint), Account(0, b"", Pubkey.default()))
    found = await executed(desk, planned)
    assert found.state is DistributionState.PAUSED
    assert (f"{world.mint}: no such mint", []) == (found.last_error, desk.signer.items)


async def test_a_consolidation_is_paused_likewise(desk: Desk) -> None:
    """Its receiving account cannot be made of a mint that freezes new ones; one that is there by
    then needs not to be. Its fee is compared, too.
    """
    extensions = {DEFAULT_STATE: b"\1", FEE_CONFIG: fee_config(250, 10**6, since=1, before=100)}
    world = TokenWorld(desk.chain, TOKEN_2022, 6, extensions)
    sources = await desk.wallets(3, 0)
    for _, address in sources:
        world.open(address, EACH)
    (destination,) = await desk.wallets(1, 0, salt=1)
    ids = tuple(wallet_id for wallet_id, _ in sources)
    order = ConsolidationOrder(ids, destination[0], desk.source_id, mint=world.mint)
    planned = await desk.workflows.create(str(UUID(int=1)), order)
    world.extensions = extensions | {DEFAULT_STATE: b"\2"}
    world.write_mint()
    found = await executed(desk, planned)
    assert "freezes new accounts now" in found.last_error
    world.open(destination[1])
    begin_epoch(desk, 1)
    found = await executed(desk, found)
    assert "250 basis points now: 25 of 1000 base units, planned were 10" in found.last_error
    assert (found.state, desk.signer.items) == (DistributionState.PAUSED, [])
    begin_epoch(desk, 0)
    done = await executed(desk, found)
    assert done.state is DistributionState.COMPLETED
    assert world.amount(destination[1]) == 3 * (EACH - 10)


async def test_a_token_costs_one_read_more_a_round(desk: Desk) -> None:
    """The mint is one getMultipleAccounts besides the one that weighs."""
    world = TokenWorld(desk.chain)
    planned = await desk.workflows.create(str(UUID(int=1)), payout(desk, world))
    before = desk.node.count("getMultipleAccounts")
    desk.engine._config = replace(desk.engine._config, batches_per_round=planned.batch_count)
    assert (await executed(desk, planned)).state is DistributionState.COMPLETED
    assert desk.node.count("getMultipleAccounts") - before == 2
