"""Every kind of order: shown before it is stored, paused, resumed, cancelled, exported."""

import csv
import io
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from gateway.api import distribution_messages as messages
from gateway.domain.errors import EtagMismatchError
from gateway.domain.orders import (
    ClosingMode,
    ClosingOrder,
    ConsolidationOrder,
    DistributionOrder,
    FeePayment,
    Order,
    RecipientAddresses,
)
from gateway.domain.plans import Distribution
from gateway.domain.splits import RandomSplit, WeightedSplit
from gateway.domain.states import BatchState, DistributionState
from gateway.workflows.distribution_run import RunConfig
from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client.cli import distributions as cli
from tests.distribution.checks import assert_as_estimated
from tests.distribution.support import SEED, TOKEN, Desk
from tests.distribution.tokens import TokenWorld
from tests.postgres.samples import address_of

HELD = 10**7
Make = Callable[[Desk], Awaitable[Order]]


def to(count: int) -> RecipientAddresses:
    """So many new recipients."""
    return RecipientAddresses(tuple(address_of(n, "every") for n in range(count)))


async def payout(desk: Desk) -> Order:
    """SOL to many, at random."""
    return DistributionOrder(desk.source_id, to(130), 10**9, RandomSplit(SEED))


async def token_payout(desk: Desk) -> Order:
    """A token to many, by weight, accounts made on the way."""
    world = TokenWorld(desk.chain)
    world.open(desk.source_address, 10**6)
    split = WeightedSplit(tuple(range(1, 26)))
    return DistributionOrder(desk.source_id, to(25), 10**6, split, world.mint)


def consolidation(payment: FeePayment | None) -> Make:
    """SOL of many to one; None lets an external payer pay."""

    async def make(desk: Desk) -> Order:
        sources = await desk.wallets(25, HELD)
        ids = tuple(wallet_id for wallet_id, _ in sources)
        if payment is None:
            return ConsolidationOrder(ids, desk.source_id, desk.source_id)
        return ConsolidationOrder(ids, desk.source_id, None, payment)

    return make


async def token_consolidation(desk: Desk) -> Order:
    """A token of many to one; their accounts are closed."""
    world = TokenWorld(desk.chain)
    sources = await desk.wallets(25, 0)
    for number, (_, address) in enumerate(sources):
        world.open(address, 1 + number)
    (destination,) = await desk.wallets(1, 0, salt=1)
    ids = tuple(wallet_id for wallet_id, _ in sources)
    return ConsolidationOrder(ids, destination[0], desk.source_id, mint=world.mint)


def closing(mode: ClosingMode) -> Make:
    """Empty accounts of many owners, with excess rent."""

    async def make(desk: Desk) -> Order:
        world = TokenWorld(desk.chain)
        owners = await desk.wallets(25, 0)
        for _, address in owners:
            world.open(address, excess_lamports=550_840)
        return ClosingOrder(tuple(wallet_id for wallet_id, _ in owners), desk.source_id, mode)

    return make


ORDERS: dict[str, Make] = {
    "payout": payout,
    "token payout": token_payout,
    "consolidation, external payer": consolidation(None),
    "consolidation, each pays": consolidation(FeePayment.EACH_SOURCE),
    "consolidation, the first pays": consolidation(FeePayment.FIRST_SOURCE),
    "token consolidation": token_consolidation,
    "closing": closing(ClosingMode.CLOSE),
    "reclaim": closing(ClosingMode.RECLAIM),
}


async def paused(desk: Desk, order: Order) -> Distribution:
    """Plans and approves it, and pauses it once one transaction is signed."""
    desk.engine._config = RunConfig(batches_per_round=1, in_flight_max=12)
    planned = await desk.workflows.create(str(UUID(int=1)), order)
    with pytest.raises(EtagMismatchError):
        await desk.workflows.execute(planned.id, planned.etag[::-1], TOKEN)
    plain_sleep = desk.clock.sleep

    async def sleep(seconds: float) -> None:
        await plain_sleep(seconds)
        await desk.workflows.pause(planned.id)
        desk.clock.sleep = plain_sleep  # type: ignore[method-assign]  # once

    desk.clock.sleep = sleep  # type: ignore[method-assign]  # a spy
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await desk.engine.wait()
    found = await desk.workflows.get(planned.id)
    assert found.state is DistributionState.PAUSED
    assert found.tally.batches[BatchState.FINALIZED] == 1 < found.batch_count
    return found


@pytest.mark.parametrize("name", ORDERS)
async def test_it_is_shown_paused_resumed_and_exported(desk: Desk, name: str) -> None:
    """The dry plan is the stored one; a pause loses nothing; the export has every transfer."""
    order = await ORDERS[name](desk)
    dry = messages.plan(await desk.workflows.plan(order))
    assert (await desk.workflows.list_page()).items == []
    found = await paused(desk, order)
    stored = messages.distribution(found)
    for field in ("kind", "asset", "etag", "total_amount", "transfer_count", "transaction_count"):
        assert getattr(dry, field) == getattr(stored, field)
    for field in ("estimate", "split", "source_wallet_id", "destination_address", "skipped"):
        assert getattr(dry, field) == getattr(stored, field)
    assert (dry.id, dry.transfer_counts.planned_count) == ("", found.transfer_count)

    await desk.workflows.execute(found.id, found.etag, TOKEN)
    await desk.engine.wait()
    done = await desk.workflows.get(found.id)
    assert (done.state, done.last_error) == (DistributionState.COMPLETED, "")
    assert_as_estimated(done)
    await assert_exported(desk, done)


@pytest.mark.parametrize("name", ORDERS)
async def test_it_is_cancelled(desk: Desk, name: str) -> None:
    """What was signed is carried out, the rest is given up for good, and the export says which."""
    found = await paused(desk, await ORDERS[name](desk))
    await desk.workflows.cancel(found.id)
    await desk.engine.wait()
    done = await desk.workflows.get(found.id)
    assert done.state is DistributionState.CANCELLED
    assert set(done.tally.batches) == {BatchState.FINALIZED, BatchState.CANCELLED}
    assert done.paid.transaction_count == 1
    await assert_exported(desk, done)


async def assert_exported(desk: Desk, done: Distribution) -> None:
    """CSV and JSON have the same transfers, all of them, and their amounts are the total."""
    page, asset = await desk.workflows.list_transfers(done.id, 1_000)
    shown = [messages.transfer(item, asset) for item in page.items]
    sheet = io.StringIO()
    cli.write_csv(shown, messages.distribution(done).asset, sheet)
    rows = list(csv.DictReader(io.StringIO(sheet.getvalue())))
    as_json = [cli.transfer_row(item) for item in shown]
    for row, item in zip(rows, as_json, strict=True):
        assert (row.pop("mint"), row.pop("decimals")) == (asset.mint, str(asset.decimals))
        assert row == {name: str(item[name]) for name in row}
    assert [item["position"] for item in as_json] == list(range(done.transfer_count))
    assert sum(item["amount"] for item in as_json) == done.total_amount
    paid = [item for item in shown if item.state == pb.Transfer.STATE_FINALIZED]
    assert sum(item.amount for item in paid) == done.tally.finalized_amount
    assert all(item.receipt == "matched" and item.slot and item.fee_lamports for item in paid)
    given_up = [item for item in shown if item.state == pb.Transfer.STATE_CANCELLED]
    assert len(paid) + len(given_up) == done.transfer_count
    assert not any(item.transaction_signature or item.receipt for item in given_up)
