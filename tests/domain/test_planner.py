"""The planner: plans add up, are packed full, and name what is wrong."""

import dataclasses
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.domain.addresses import encode_base58
from gateway.domain.amounts import U64_MAX
from gateway.domain.errors import (
    InvalidArgumentError,
    OutOfRangeError,
    PreconditionFailedError,
    TotalTooSmallError,
)
from gateway.domain.packing import TransactionVersion
from gateway.domain.planner import (
    PlanInput,
    choose_price,
    plan_distribution,
    require_funds,
)
from gateway.domain.plans import FeeRates, Move
from gateway.domain.splits import EvenSplit, RandomSplit, Split, WeightedSplit
from gateway.domain.steps import batch_instructions

RATES = FeeRates(lamports_per_signature=5000, rent_floor_lamports=650_240, compute_unit_price=1000)
SOURCE = encode_base58(bytes([255] * 32))


def order(count: int, total: int, **changes: object) -> PlanInput:
    """An order for `count` empty recipients."""
    base = PlanInput(
        source_wallet_id=UUID(int=1),
        source_address=SOURCE,
        recipient_addresses=[encode_base58(n.to_bytes(32, "big")) for n in range(1, count + 1)],
        recipient_balances=[0] * count,
        total_lamports=total,
        split=RandomSplit(bytes(32)),
        rates=RATES,
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]  # test shorthand


def split_of(kind: str, weights: list[int]) -> Split:
    """A split of a kind."""
    if kind == "weighted":
        return WeightedSplit(tuple(weights))
    return EvenSplit() if kind == "even" else RandomSplit(bytes(32))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=300),
    st.integers(0, 10**12),
    st.sampled_from(["even", "random", "weighted"]),
    st.sampled_from(list(TransactionVersion)),
)
@example([1, 10**6], 0, "weighted", TransactionVersion.LEGACY)
def test_plans_add_up(
    weights: list[int], extra: int, kind: str, version: TransactionVersion
) -> None:
    """However it is split, batches partition the transfers in order; sums agree; nobody gets less
    than the rent floor; the estimate counts every batch.
    """
    count, floor = len(weights), RATES.rent_floor_lamports
    least = -(-floor * sum(weights) // min(weights)) if kind == "weighted" else floor * count
    total = least + extra
    split = split_of(kind, weights)
    plan = plan_distribution(order(count, total, version=version, split=split))

    assert min(item.amount for item in plan.transfers) >= floor
    assert sum(item.amount for item in plan.transfers) == total
    assert [item.position for item in plan.transfers] == list(range(count))
    for batch in plan.batches:
        inside = [item for item in plan.transfers if item.batch_position == batch.position]
        assert [item.position for item in inside] == list(
            range(batch.first_transfer, batch.first_transfer + batch.transfer_count)
        )
        assert sum(item.amount for item in inside) == batch.total_amount
    assert plan.estimate.transaction_count == len(plan.batches)
    assert plan.estimate.base_fee_lamports == 5000 * len(plan.batches)
    assert plan.estimate.required_lamports == (
        total + plan.estimate.base_fee_lamports + plan.estimate.priority_fee_lamports
    )
    assert plan.estimate.new_account_count == count


def test_a_thousand_recipients_are_fifty_transactions() -> None:
    """20 transfers in each legacy transaction, compute limit and price included."""
    plan = plan_distribution(order(1000, 10**12))
    assert [batch.transfer_count for batch in plan.batches] == [20] * 50


def test_the_same_order_gives_the_same_etag() -> None:
    """The etag is the plan: any change to it changes the etag."""
    first = plan_distribution(order(10, 10**9))
    assert first.etag == plan_distribution(order(10, 10**9)).etag
    for changes in (
        {"total_lamports": 10**9 + 1},
        {"split": RandomSplit(b"\1" * 32)},
        {"split": EvenSplit()},
        {"rates": dataclasses.replace(RATES, compute_unit_price=1001)},
        {"version": TransactionVersion.V1},
        {"recipient_addresses": order(11, 0).recipient_addresses[1:]},
    ):
        changed = dataclasses.replace(order(10, 10**9), **changes)
        assert first.etag != plan_distribution(changed).etag


def test_rent_floors_are_the_recipients_own() -> None:
    """Who is rent-exempt can be paid 1 lamport; who is not must be brought up to the floor."""
    held = [0, 650_240, 650_000]
    assert [
        item.amount
        for item in plan_distribution(
            order(3, 650_240 + 1 + 240, recipient_balances=held)
        ).transfers
    ] == [650_240, 1, 240]
    with pytest.raises(TotalTooSmallError):
        plan_distribution(order(3, 650_240 + 240, recipient_balances=held))


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"recipient_addresses": [SOURCE]}, InvalidArgumentError, "recipients"),
        ({"recipient_addresses": [], "recipient_balances": []}, InvalidArgumentError, "recipients"),
        ({"total_lamports": 1}, TotalTooSmallError, "total_lamports"),
        ({"total_lamports": -1}, InvalidArgumentError, "total_lamports"),
        ({"total_lamports": U64_MAX}, OutOfRangeError, "total_lamports"),
        ({"total_lamports": U64_MAX + 1}, InvalidArgumentError, "total_lamports"),
    ],
)
def test_bad_orders_name_the_field(
    changes: dict[str, object], error: type[InvalidArgumentError], field: str
) -> None:
    """What is wrong with an order is said with the field's name."""
    with pytest.raises(error) as caught:
        plan_distribution(order(1, 10**9, **changes))
    assert caught.value.field == field


def test_recipients_are_named_once_and_are_ten_thousand_at_most() -> None:
    """A repeated recipient would be paid twice; 10,001 are too many."""
    address = order(1, 0).recipient_addresses[0]
    with pytest.raises(InvalidArgumentError, match="twice"):
        plan_distribution(order(2, 10**9, recipient_addresses=[address] * 2))
    with pytest.raises(InvalidArgumentError, match="10000"):
        plan_distribution(order(10_001, 10**15))


def test_funds_must_cover_the_plan_and_leave_nothing_or_rent() -> None:
    """A source may be drained to exactly zero; a remainder under the rent floor is refused."""
    estimate = plan_distribution(order(1, 10**9)).estimate
    need = estimate.required_lamports
    for balance in (need, need + 650_240, U64_MAX):
        require_funds(estimate, balance)
    for balance in (0, need - 1, need + 1, need + 650_239):
        with pytest.raises(PreconditionFailedError) as caught:
            require_funds(estimate, balance)
        assert caught.value.reason == "INSUFFICIENT_FUNDS"


@pytest.mark.parametrize(
    ("recent", "expected"), [([], 10), ([0, 0, 5], 10), ([20, 30, 10**9], 30), ([10**9], 100)]
)
def test_prices_are_the_median_within_bounds(recent: list[int], expected: int) -> None:
    """The price follows the cluster between a floor and a cap."""
    assert choose_price(recent, floor=10, cap=100) == expected


def test_v1_batches_have_no_budget_instructions() -> None:
    """A v1 transaction has its limits in its configuration."""
    moves = [Move(SOURCE, SOURCE, 1, 300)]
    legacy = batch_instructions(TransactionVersion.LEGACY, 300, 1, (), moves)
    newer = batch_instructions(TransactionVersion.V1, 300, 1, (), moves)
    assert (len(legacy), len(newer)) == (3, 1)
