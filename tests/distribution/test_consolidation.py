"""Consolidations of SOL on the SVM: sources end at exactly zero, whoever pays the fees."""

from uuid import UUID

import pytest

from gateway.domain.errors import GatewayError, PreconditionFailedError, RequestIdConflictError
from gateway.domain.orders import ConsolidationOrder, FeePayment
from gateway.domain.packing import TransactionVersion
from gateway.domain.plans import Kind, Receipts
from gateway.domain.states import BatchState, DistributionState
from tests.distribution.support import Desk

HELD = 10**8


def ids(wallets: list[tuple[UUID, str]]) -> tuple[UUID, ...]:
    """Their ids."""
    return tuple(wallet_id for wallet_id, _ in wallets)


async def test_an_external_payer_empties_the_sources(any_desk: Desk) -> None:
    """25 sources end at zero, the destination has all, and the payer paid the estimate exactly."""
    desk = any_desk
    sources = await desk.wallets(25, HELD)
    (destination,) = await desk.wallets(1, 0, salt=1)
    before = desk.balance(desk.source_address)
    done = await desk.done(ConsolidationOrder(ids(sources), destination[0], desk.source_id))

    assert (done.kind, done.state) == (Kind.CONSOLIDATION, DistributionState.COMPLETED)
    per_transaction = 8 if done.version is TransactionVersion.LEGACY else 11
    assert done.batch_count == -(-25 // per_transaction)
    assert [desk.balance(address) for _, address in sources] == [0] * 25
    assert desk.balance(destination[1]) == 25 * HELD == done.tally.finalized_amount
    paid = before - desk.balance(desk.source_address)
    assert paid == done.estimate.required_lamports == done.fees_paid_lamports
    assert done.receipts == Receipts(matched=done.batch_count)
    assert len(desk.signer.items[0].wallets) == per_transaction + 1


async def test_sources_pay_for_each_other(any_desk: Desk) -> None:
    """The first source of each transaction pays for all in it, and it, too, ends at zero."""
    desk = any_desk
    sources = await desk.wallets(24, HELD)
    (destination,) = await desk.wallets(1, 0, salt=1)
    order = ConsolidationOrder(ids(sources), destination[0], fee_payment=FeePayment.FIRST_SOURCE)
    done = await desk.done(order)

    per_transaction = 9 if done.version is TransactionVersion.LEGACY else 12
    assert done.state is DistributionState.COMPLETED
    assert done.batch_count == -(-24 // per_transaction)
    assert [desk.balance(address) for _, address in sources] == [0] * 24
    assert desk.balance(destination[1]) == 24 * HELD - done.fees_paid_lamports
    assert done.receipts == Receipts(matched=done.batch_count)


async def test_each_source_pays_its_own(any_desk: Desk) -> None:
    """A transaction for each source, which gives what it holds less its own fee."""
    desk = any_desk
    sources = await desk.wallets(3, HELD)
    done = await desk.done(ConsolidationOrder(ids(sources), desk.source_id))
    assert (done.state, done.batch_count) == (DistributionState.COMPLETED, 3)
    assert [desk.balance(address) for _, address in sources] == [0] * 3
    assert done.estimate.required_lamports == 0


async def test_the_destination_may_pay(desk: Desk) -> None:
    """The receiving wallet pays the fees of emptying the others into itself."""
    sources = await desk.wallets(10, HELD)
    before = desk.balance(desk.source_address)
    done = await desk.done(ConsolidationOrder(ids(sources), desk.source_id, desk.source_id))
    assert done.state is DistributionState.COMPLETED
    held = desk.balance(desk.source_address)
    assert held == before + 10 * HELD - done.fees_paid_lamports


async def test_what_cannot_be_moved_is_left_out(desk: Desk) -> None:
    """Sources with nothing, or with less than their fee, are named with the reason."""
    rich = await desk.wallets(2, HELD)
    empty = await desk.wallets(1, 0, salt=1)
    poor = await desk.wallets(1, 5_000, salt=2)
    order = ConsolidationOrder(ids([*rich, *empty, *poor]), desk.source_id)
    plan = await desk.workflows.plan(order)
    reasons = {skip.address: skip.reason for skip in plan.skips}
    assert reasons == {
        empty[0][1]: "it holds nothing",
        poor[0][1]: "it holds less than the fee",
    }
    assert set(plan.wallets) == {address for _, address in rich}
    stored = await desk.workflows.create(str(UUID(int=9)), order)
    assert {skip.address: skip.reason for skip in stored.skips} == reasons
    with pytest.raises(PreconditionFailedError) as caught:
        await desk.workflows.plan(ConsolidationOrder(ids([*empty, *poor]), desk.source_id))
    assert caught.value.reason == "INSUFFICIENT_FUNDS"


@pytest.mark.parametrize("payment", FeePayment)
async def test_fees_that_the_runtime_lets_nobody_pay(desk: Desk, payment: FeePayment) -> None:
    """What is planned lands, also around the rent floor; what could never land is left out."""
    floor, fee = 650_240, 5_000
    held = [floor - 1, floor, 652_000, floor + fee - 1, floor + fee, floor + fee + 1, HELD]
    sources = [
        wallet
        for salt, lamports in enumerate(held, start=1)
        for wallet in await desk.wallets(1, lamports, salt)
    ]
    done = await desk.done(ConsolidationOrder(ids(sources), desk.source_id, None, payment))
    assert (done.state, done.last_error) == (DistributionState.COMPLETED, "")
    assert done.receipts == Receipts(matched=done.batch_count)
    left_out = 3 if payment is FeePayment.EACH_SOURCE else 0
    assert {skip.address for skip in done.skips} == {
        address for _, address in sources[1 : 1 + left_out]
    }
    kept = [desk.balance(address) for _, address in sources]
    assert kept == [0, *(held[1:4] if left_out else [0] * 3), 0, 0, 0]


async def test_wrong_orders_name_the_field(desk: Desk) -> None:
    """Repeated sources, a destination or a fee payer among them, an unreachable rent floor."""
    (one, two, bare) = await desk.wallets(3, 0)
    for order, field in (
        (ConsolidationOrder((one[0], one[0]), two[0]), "source_wallet_ids"),
        (ConsolidationOrder((one[0],), one[0]), "destination_wallet_id"),
        (ConsolidationOrder((one[0],), two[0], one[0]), "fee_payer_wallet_id"),
        (ConsolidationOrder((), two[0]), "source_wallet_ids"),
        (ConsolidationOrder((UUID(int=5),), two[0]), "source_wallet_ids[0]"),
    ):
        with pytest.raises(GatewayError) as caught:
            await desk.workflows.plan(order)
        assert caught.value.field == field
    few = await desk.wallets(1, 650_239, salt=1)
    with pytest.raises(PreconditionFailedError, match="rent floor"):
        await desk.workflows.plan(ConsolidationOrder(ids(few), bare[0], desk.source_id))


async def test_one_changed_source_does_not_fail_the_others(desk: Desk) -> None:
    """A source that spent meanwhile fails alone, unsigned: its batch is halved until it is left."""
    sources = await desk.wallets(8, HELD)
    order = ConsolidationOrder(ids(sources), desk.source_id, desk.source_id)
    planned = await desk.workflows.create(str(UUID(int=3)), order)
    spent = desk.signer.keys[sources[4][1]].pubkey()
    desk.chain.fund(spent, -HELD // 2)
    before = desk.balance(desk.source_address)
    await desk.workflows.execute(planned.id, planned.etag, b"session")
    await desk.engine.wait()
    done = await desk.workflows.get(planned.id)

    assert done.state is DistributionState.PARTIALLY_FAILED
    assert done.tally.transfers == {BatchState.FINALIZED: 7, BatchState.FAILED: 1}
    page, _ = await desk.workflows.list_transfers(planned.id)
    assert [item.source_address for item in page.items if item.error] == [sources[4][1]]
    assert f"holds {HELD - HELD // 2} lamports and was to give {HELD}" in page.items[4].error
    paid = [item for item in page.items if not item.error]
    assert all(item.slot and item.fee_lamports for item in paid)
    assert page.items[4].transaction_signature == ""
    assert len(desk.signer.items) == done.paid.transaction_count == 3
    held = desk.balance(desk.source_address)
    assert held == before + 7 * HELD - done.fees_paid_lamports
    assert done.fees_paid_lamports <= done.estimate.maximum_lamports
    assert done.receipts == Receipts(matched=3)


async def test_sources_stay_until_the_end(desk: Desk) -> None:
    """A source or destination of an unfinished consolidation cannot be deleted."""
    sources = await desk.wallets(2, HELD)
    (destination,) = await desk.wallets(1, 0, salt=1)
    order = ConsolidationOrder(ids(sources), destination[0], desk.source_id)
    planned = await desk.workflows.create(str(UUID(int=4)), order)
    for wallet_id, _ in (*sources, destination):
        with pytest.raises(GatewayError):
            async with desk.database.transaction() as unit:
                await unit.wallets.delete(wallet_id)
    await desk.workflows.cancel(planned.id)
    async with desk.database.transaction() as unit:
        await unit.wallets.delete(sources[0][0])


async def test_the_same_request_plans_once(desk: Desk) -> None:
    """A repeated request returns the first plan; the same id for another call is refused."""
    sources = await desk.wallets(2, HELD)
    order = ConsolidationOrder(ids(sources), desk.source_id, desk.source_id)
    first = await desk.workflows.create(str(UUID(int=4)), order)
    assert first == await desk.workflows.create(str(UUID(int=4)), order)
    assert list(first.unlock_wallet_ids) == [min(*ids(sources), desk.source_id)]
    with pytest.raises(RequestIdConflictError):
        await desk.workflows.create(str(UUID(int=4)), desk.order(2, 10**9))
