"""Splits: exact, above the floors, and the same for ever."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.amounts import U64_MAX
from gateway.domain.errors import InvalidArgumentError, TotalTooSmallError
from gateway.domain.splits import EvenSplit, RandomSplit, Split, WeightedSplit, split_total

SEED = bytes(range(32))
# Computed once; test_random_shares_follow_the_documented_algorithm says why they are right.
FIRST_SHARES = [254989055, 500224610, 164601519]
SHARES_DIGEST = "c9ecc3a50150620b9a49970ff5cc33e06c7ca18309b0bc87cf9bd1f2ba70447a"
splits = st.one_of(
    st.just(EvenSplit()),
    st.binary(min_size=32, max_size=32).map(RandomSplit),
    st.lists(st.integers(1, U64_MAX), min_size=1, max_size=30).map(
        lambda weights: WeightedSplit(tuple(weights))
    ),
)


@given(splits, st.integers(0, U64_MAX), st.lists(st.integers(1, 10**9), min_size=1, max_size=30))
def test_shares_sum_to_the_total_above_their_floors(
    split: Split, total: int, floors: list[int]
) -> None:
    """Every split either gives exact shares above the floors, the same each time, or refuses."""
    if isinstance(split, WeightedSplit):
        floors = (floors * 30)[: len(split.weights)]
    try:
        shares = split_total(split, total, floors)
    except TotalTooSmallError:
        return
    assert sum(shares) == total
    assert all(share >= floor for share, floor in zip(shares, floors, strict=True))
    assert split_total(split, total, floors) == shares


@given(st.integers(1, U64_MAX), st.integers(1, 10_000))
def test_even_shares_differ_by_one_at_most(total: int, count: int) -> None:
    """The first ones get what is left over."""
    if total < count:
        return
    shares = split_total(EvenSplit(), total, [1] * count)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] - shares[-1] <= 1


@given(st.lists(st.integers(1, 2**64 - 1), min_size=1, max_size=50), st.integers(1, U64_MAX))
def test_weighted_shares_are_within_one_of_their_quota(weights: list[int], total: int) -> None:
    """The largest remainder keeps the quota rule: floor(quota) or one more."""
    try:
        shares = split_total(WeightedSplit(tuple(weights)), total, [1] * len(weights))
    except TotalTooSmallError:
        return
    for share, weight in zip(shares, weights, strict=True):
        assert share - total * weight // sum(weights) in {0, 1}


def test_the_largest_remainders_get_what_is_left() -> None:
    """10 by 1:1:1 gives 4, 3, 3; by 5:3:3 the quotas 4.54, 2.73, 2.73 give 4, 3, 3."""
    assert split_total(WeightedSplit((1, 1, 1)), 10, [1] * 3) == [4, 3, 3]
    assert split_total(WeightedSplit((5, 3, 3)), 10, [1] * 3) == [4, 3, 3]


def test_random_shares_are_these_for_ever() -> None:
    """The same seed gives the plan that it gave when this test was written."""
    shares = split_total(RandomSplit(SEED), 10**12, [650_240] * 1000)
    digest = hashlib.sha256(",".join(map(str, shares)).encode()).hexdigest()
    assert shares[:3] == FIRST_SHARES
    assert digest == SHARES_DIGEST


def test_random_shares_follow_the_documented_algorithm() -> None:
    """An implementation written from the docstring alone gives the same shares."""
    total, floors = 10**9, [10, 20, 30, 40, 50, 60]
    rest = total - sum(floors)
    numbers: list[int] = []
    counter = 0
    while len(numbers) < len(floors) - 1:
        inner = hashlib.sha256(bytes(b ^ 0x36 for b in SEED + bytes(32)))
        inner.update(b"solward/split/v1" + counter.to_bytes(8, "big"))
        block = hashlib.sha256(bytes(b ^ 0x5C for b in SEED + bytes(32)) + inner.digest()).digest()
        for at in range(0, 32, 8):
            number = int.from_bytes(block[at : at + 8], "big")
            if number < 2**64 - 2**64 % (rest + 1):
                numbers.append(number % (rest + 1))
        counter += 1
    cuts = [0, *sorted(numbers[: len(floors) - 1]), rest]
    expected = [floor + cuts[i + 1] - cuts[i] for i, floor in enumerate(floors)]
    assert expected == split_total(RandomSplit(SEED), total, floors)


def test_random_shares_use_the_whole_range() -> None:
    """With nothing but floors every share is its floor; u64 max splits exactly."""
    assert split_total(RandomSplit(SEED), 6, [1, 2, 3]) == [1, 2, 3]
    assert sum(split_total(RandomSplit(SEED), U64_MAX, [1] * 7)) == U64_MAX


@pytest.mark.parametrize(
    ("split", "total", "floors", "message"),
    [
        (EvenSplit(), 10, [3, 3, 4], "recipient 2 would get 3 lamports and needs 4"),
        (RandomSplit(SEED), 9, [3, 3, 4], "3 recipients need 10 lamports"),
        (WeightedSplit((1, 109)), 1000, [10, 10], "recipient 0 would get 9 lamports and needs 10"),
    ],
)
def test_a_total_under_the_floors_is_refused(
    split: Split, total: int, floors: list[int], message: str
) -> None:
    """The refusal says who would get too little, and how much is needed."""
    with pytest.raises(TotalTooSmallError, match=message) as caught:
        split_total(split, total, floors)
    assert (caught.value.reason, caught.value.field) == ("BELOW_RENT_FLOOR", "total_lamports")
    in_units = message.replace("lamports", "base units")
    with pytest.raises(TotalTooSmallError, match=in_units) as caught:
        split_total(split, total, floors, field="total_amount", unit="base units")
    assert caught.value.field == "total_amount"


@pytest.mark.parametrize(
    ("split", "total", "floors"),
    [
        (EvenSplit(), -1, [1]),
        (EvenSplit(), U64_MAX + 1, [1]),
        (EvenSplit(), 1, []),
        (RandomSplit(b"short"), 10, [1]),
        (WeightedSplit((1, 2)), 10, [1]),
        (WeightedSplit((0,)), 10, [1]),
        (WeightedSplit((U64_MAX + 1,)), 10, [1]),
    ],
)
def test_bad_input_is_refused(split: Split, total: int, floors: list[int]) -> None:
    """Negative, overflowing, empty and mismatched input is the caller's mistake."""
    with pytest.raises(InvalidArgumentError):
        split_total(split, total, floors)
