"""Token plans add up for any split, fee and number of accounts, and are the same for a seed."""

import dataclasses
from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.domain.addresses import encode_base58
from gateway.domain.amounts import U64_MAX
from gateway.domain.errors import OutOfRangeError, PreconditionFailedError, TotalTooSmallError
from gateway.domain.mints import FeeRate, MintTerms, TokenState
from gateway.domain.orders import TransferFee
from gateway.domain.packing import LIMITS, TransactionVersion
from gateway.domain.plans import FeeRates, Plan
from gateway.domain.splits import EvenSplit, RandomSplit, Split, WeightedSplit
from gateway.domain.token_planner import Holder, TokenPlanInput, plan_token_distribution
from gateway.domain.token_programs import TOKEN_2022
from gateway.domain.token_sweeps import TokenSweepInput, plan_token_sweep

RATES = FeeRates(lamports_per_signature=5000, rent_floor_lamports=650_240, compute_unit_price=1000)
RENT = 1_488_440

fees = st.none() | st.builds(FeeRate, st.integers(0, 10_000), st.integers(0, U64_MAX))
SOURCE, LEGACY = TransferFee.SOURCE, TransactionVersion.LEGACY
versions = st.sampled_from(list(TransactionVersion))


def address(number: int, kind: int = 0) -> str:
    """Some address."""
    return encode_base58(bytes([kind]) + number.to_bytes(31, "big"))


def mint(fee: FeeRate | None) -> MintTerms:
    """A mint of Token-2022."""
    return MintTerms(address(1, 9), TOKEN_2022, 6, 170, fee)


def account(owner: str, amount: int, **changes: object) -> TokenState:
    """An account of that mint."""
    state = TokenState(TOKEN_2022, RENT, 170, address(1, 9), owner, amount, "", False, False, "")
    return dataclasses.replace(state, **changes)  # type: ignore[arg-type]  # test shorthand


def split_of(kind: str, seed: bytes, count: int) -> Split:
    """A split for so many recipients."""
    if kind == "weighted":
        return WeightedSplit(tuple(1 + seed[n % 32] for n in range(count)))
    return EvenSplit() if kind == "even" else RandomSplit(seed)


def payout(
    ahead: Sequence[int | None],
    total: int,
    fee: FeeRate | None,
    bearer: TransferFee,
    **changes: object,
) -> TokenPlanInput:
    """An order of a source that holds all there can be.

    `ahead` is None for who has an account, else what the address of the one to be made holds.
    """
    source = address(0, 1)
    order = TokenPlanInput(
        source_wallet_id=UUID(int=1),
        source=Holder(source, address(0, 2), account(source, U64_MAX)),
        recipients=[
            Holder(address(n, 3), address(n, 4), account(address(n, 3), 0))
            if held is None
            else Holder(address(n, 3), address(n, 4), None, n % 5, held)
            for n, held in enumerate(ahead)
        ],
        mint=mint(fee),
        total_amount=total,
        split=EvenSplit(),
        transfer_fee=bearer,
        memo="",
        rent_lamports=RENT,
        rates=RATES,
    )
    return dataclasses.replace(order, **changes)  # type: ignore[arg-type]  # test shorthand


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(["even", "random", "weighted"]),
    seed=st.binary(min_size=32, max_size=32),
    ahead=st.lists(
        st.none() | st.sampled_from([0, 1, RENT - 1, RENT, U64_MAX]), min_size=1, max_size=40
    ),
    total=st.integers(1, U64_MAX),
    fee=fees,
    bearer=st.sampled_from([TransferFee.RECIPIENT, TransferFee.SOURCE]),
    version=versions,
)
@example("even", bytes(32), [None], U64_MAX, FeeRate(100, U64_MAX), SOURCE, LEGACY)
@example("even", bytes(32), [0], 1, FeeRate(10_000, U64_MAX), SOURCE, LEGACY)
@example("even", bytes(32), [0], U64_MAX, FeeRate(0, U64_MAX), SOURCE, LEGACY)
@example("even", bytes(32), [0], U64_MAX, FeeRate(10_000, 0), SOURCE, LEGACY)
def test_payouts_add_up(
    kind: str,
    seed: bytes,
    ahead: list[int | None],
    total: int,
    fee: FeeRate | None,
    bearer: TransferFee,
    version: TransactionVersion,
) -> None:
    """The total leaves, or the total arrives, to the unit; each recipient gets at least a unit; one
    seed gives one plan. Rent is what accounts lack that are made (`ahead` is None where one is).
    """
    order = payout(
        ahead, total, fee, bearer, split=split_of(kind, seed, len(ahead)), version=version
    )
    try:
        plan = plan_token_distribution(order)
    except (TotalTooSmallError, OutOfRangeError, PreconditionFailedError):
        return
    moves = [item.move for item in plan.transfers]
    left = sum(move.amount for move in moves)
    arrived = left - sum(move.withheld_amount for move in moves)
    assert total == (arrived if fee and bearer is TransferFee.SOURCE else left)
    assert plan.total_amount == left <= U64_MAX
    assert plan.estimate.withheld_amount == left - arrived
    assert all(move.amount - move.withheld_amount >= 1 for move in moves)
    assert all(move.withheld_amount == (fee.of(move.amount) if fee else 0) for move in moves)
    made = [held for held in ahead if held is not None]
    assert plan.estimate.rent_lamports == sum(max(0, RENT - held) for held in made)
    assert plan.estimate.rent_lamports == sum(move.rent_lamports for move in moves)
    assert plan.estimate.new_account_count == len(made)
    assert plan.estimate.maximum_lamports >= RENT * len(made)
    for batch in plan.batches:
        carried = moves[batch.first_transfer : batch.first_transfer + batch.transfer_count]
        entries = sum(step.trace_entries for move in carried for step in move.steps)
        assert entries <= LIMITS[version].trace_entries_max
    _is_whole(plan)
    assert plan == plan_token_distribution(order)


@pytest.mark.parametrize(
    ("total", "fee"), [(U64_MAX, FeeRate(100, U64_MAX)), (1, FeeRate(10_000, U64_MAX))]
)
def test_what_a_fee_lifts_above_u64_is_refused(total: int, fee: FeeRate) -> None:
    """A share that no transfer can carry with its fee is out of range, and the total is to blame;
    what arrives of the largest transfer is a plan.
    """
    with pytest.raises(OutOfRangeError, match="transfer fee exceed u64") as caught:
        plan_token_distribution(payout([0], total, fee, SOURCE))
    assert caught.value.field == "total_amount"
    many = payout([0] * 2, U64_MAX, FeeRate(1, U64_MAX), SOURCE, is_funded_later=True)
    with pytest.raises(OutOfRangeError, match="the total and its fees") as caught:
        plan_token_distribution(many)
    assert caught.value.field == "total_amount"
    capped = dataclasses.replace(fee, maximum=U64_MAX - 1)
    most = U64_MAX - capped.of(U64_MAX)
    plan = plan_token_distribution(payout([0], most, capped, SOURCE))
    assert plan.total_amount - plan.estimate.withheld_amount == most


@settings(deadline=None, max_examples=60)
@given(
    held=st.lists(st.lists(st.integers(0, U64_MAX // 400), max_size=4), min_size=1, max_size=30),
    fee=fees,
    version=versions,
)
def test_consolidations_add_up(
    held: list[list[int]], fee: FeeRate | None, version: TransactionVersion
) -> None:
    """Every account with tokens is moved whole and closed once, and every other has its reason."""
    owners = [address(n, 3) for n in range(len(held))]
    sources = [
        Holder(owner, address(100 * n + place, 4), account(owner, amount))
        for n, (owner, amounts) in enumerate(zip(owners, held, strict=True))
        for place, amount in enumerate(amounts)
    ] + [
        Holder(owner, "", None) for owner, amounts in zip(owners, held, strict=True) if not amounts
    ]
    payer, receiver = address(0, 1), address(1, 1)
    order = TokenSweepInput(
        sources=sources,
        wallets={**{owner: UUID(int=n) for n, owner in enumerate(owners)}, payer: UUID(int=999)},
        destination=Holder(receiver, address(2, 1), account(receiver, 0)),
        destination_wallet_id=UUID(int=998),
        fee_payer=payer,
        mint=mint(fee),
        rent_lamports=RENT,
        rates=RATES,
        version=version,
    )
    amounts = [amount for each in held for amount in each if amount]
    if not amounts:
        return
    plan = plan_token_sweep(order)
    assert sorted(item.amount for item in plan.transfers) == sorted(amounts)
    assert plan.total_amount == sum(amounts)
    assert plan.estimate.refund_lamports == RENT * len(amounts)
    assert len(plan.transfers) + len(plan.skips) == len(sources)
    closed = [item.move.steps[-1].accounts[0].address for item in plan.transfers]
    assert len(set(closed)) == len(closed)
    _is_whole(plan)
    assert plan == plan_token_sweep(order)


def _is_whole(plan: Plan) -> None:
    """Each transfer is in exactly one batch, and the fees are those of the batches."""
    assert [item.position for item in plan.transfers] == list(range(len(plan.transfers)))
    starts = [batch.first_transfer for batch in plan.batches]
    ends = [batch.first_transfer + batch.transfer_count for batch in plan.batches]
    assert [*starts, len(plan.transfers)] == [0, *ends]
    fees_lamports = sum(batch.fee_lamports for batch in plan.batches)
    estimate = plan.estimate
    assert fees_lamports == estimate.base_fee_lamports + estimate.priority_fee_lamports
    assert estimate.maximum_lamports >= fees_lamports + estimate.rent_lamports
