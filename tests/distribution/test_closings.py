"""Closings on the SVM: rent comes back to the lamport, and what stays has a reason."""

from uuid import UUID

import pytest

from gateway.domain.errors import PreconditionFailedError
from gateway.domain.orders import ClosingMode, ClosingOrder
from gateway.domain.packing import TransactionVersion
from gateway.domain.plans import Receipts
from gateway.domain.states import DistributionState
from gateway.domain.token_programs import NATIVE_MINT, TOKEN, TOKEN_2022
from tests.distribution.checks import assert_as_estimated
from tests.distribution.support import Desk
from tests.distribution.tokens import FEE_AMOUNT, FEE_CONFIG, TokenWorld, fee_config
from tests.postgres.samples import address_of

EXCESS = 550_840
V1 = TransactionVersion.V1


def ids(wallets: list[tuple[UUID, str]]) -> tuple[UUID, ...]:
    """Their ids."""
    return tuple(wallet_id for wallet_id, _ in wallets)


async def test_an_owners_accounts_are_closed(any_desk: Desk) -> None:
    """26 closes of the payer's own accounts fit a legacy transaction, 62 a v1 one."""
    desk = any_desk
    for number in range(62):
        TokenWorld(desk.chain).open(desk.source_address, address=address_of(number, "closed"))
    before = desk.balance(desk.source_address)
    done = await desk.done(ClosingOrder((desk.source_id,), desk.source_id))
    assert done.state is DistributionState.COMPLETED
    assert done.batch_count == (1 if done.version is V1 else 3)
    gained = desk.balance(desk.source_address) - before
    assert gained == done.estimate.refund_lamports - done.fees_paid_lamports
    assert done.estimate.refund_lamports == 62 * 1_488_440
    assert done.receipts == Receipts(matched=done.batch_count)
    assert_as_estimated(done)


async def test_many_owners_accounts_are_closed(any_desk: Desk) -> None:
    """7 closes of distinct owners fit a legacy transaction, 11 a v1 one."""
    desk = any_desk
    wallets = await desk.wallets(14, 0)
    world = TokenWorld(desk.chain)
    for _, address in wallets:
        world.open(address)
    done = await desk.done(ClosingOrder(ids(wallets), desk.source_id))
    assert done.state is DistributionState.COMPLETED
    assert done.batch_count == 2
    assert not any(world.exists(world.account_of(address)) for _, address in wallets)


async def test_withheld_fees_are_harvested_first(desk: Desk) -> None:
    """An empty account that withholds fees is harvested, and so it closes."""
    (wallet,) = await desk.wallets(1, 0)
    world = TokenWorld(desk.chain, TOKEN_2022, 6, {FEE_CONFIG: fee_config(100, 50)})
    account = world.open(wallet[1], extensions={FEE_AMOUNT: (9).to_bytes(8, "little")})
    done = await desk.done(ClosingOrder((wallet[0],), desk.source_id))
    assert done.state is DistributionState.COMPLETED
    assert not world.exists(account)


async def test_what_stays_has_a_reason(desk: Desk) -> None:
    """Frozen, foreign close authority, delegated, native with a balance, not empty: named, kept."""
    (wallet,) = await desk.wallets(1, 0)
    owner, other = wallet[1], address_of(1)
    expected: dict[str, str] = {}
    world = TokenWorld(desk.chain)
    expected[world.open(owner, state=2, address=address_of(1, "a"))] = "frozen"
    foreign = world.open(owner, close_authority=other, address=address_of(2, "a"))
    expected[foreign] = "foreign close authority"
    expected[world.open(owner, delegate=other, address=address_of(3, "a"))] = "delegated"
    expected[world.open(owner, 1, address=address_of(4, "a"))] = "it holds tokens"
    native = TokenWorld(desk.chain, mint=NATIVE_MINT)
    wrapped = native.open(owner, 5, native=True, excess_lamports=5)
    expected[wrapped] = "native: it holds wrapped SOL"
    with pytest.raises(PreconditionFailedError, match="nothing to close"):
        await desk.workflows.plan(ClosingOrder((wallet[0],), desk.source_id))
    empty = world.open(owner)
    done = await desk.done(ClosingOrder((wallet[0],), desk.source_id))
    assert done.state is DistributionState.COMPLETED
    assert {skip.address: skip.reason for skip in done.skips} == expected
    assert all(world.exists(account) for account in expected)
    assert not world.exists(empty)


@pytest.mark.parametrize("program", [TOKEN, TOKEN_2022])
async def test_excess_rent_is_withdrawn(any_desk: Desk, program: str) -> None:
    """Accounts from the time of dearer rent give back the difference and stay as they are."""
    desk = any_desk
    wallets = await desk.wallets(9, 0)
    world = TokenWorld(desk.chain, program)
    for number, (_, address) in enumerate(wallets):
        world.open(address, 5, excess_lamports=EXCESS if number else 0)
    before = desk.balance(desk.source_address)
    order = ClosingOrder(ids(wallets), desk.source_id, ClosingMode.RECLAIM)
    done = await desk.done(order)
    assert done.state is DistributionState.COMPLETED
    assert done.total_amount == 8 * EXCESS
    assert desk.balance(desk.source_address) - before == 8 * EXCESS - done.fees_paid_lamports
    assert [world.amount(address) for _, address in wallets] == [5] * 9
    assert [skip.reason for skip in done.skips] == ["it holds no excess rent"]
    assert done.receipts == Receipts(matched=done.batch_count)
    assert_as_estimated(done)


async def test_closing_and_withdrawing_at_once(desk: Desk) -> None:
    """Empty accounts are closed, from the others only the excess is taken."""
    wallets = await desk.wallets(2, 0)
    world = TokenWorld(desk.chain)
    closed = world.open(wallets[0][1], excess_lamports=EXCESS)
    kept = world.open(wallets[1][1], 5, excess_lamports=EXCESS)
    order = ClosingOrder(ids(wallets), desk.source_id, ClosingMode.CLOSE_AND_RECLAIM)
    done = await desk.done(order)
    assert done.total_amount == 1_488_440 + 2 * EXCESS
    assert (world.exists(closed), world.exists(kept)) == (False, True)
