"""Splits of a total into shares: exact integers, the same for ever from the same inputs.

The random split has a generator of its own, for the sequences of `random.Random` are Python's to
change:

    block(i) = HMAC-SHA256(key = seed, message = "solward/split/v1" || i as 8 bytes, big endian)

for i = 0, 1, 2, ...; each block gives four unsigned 64-bit numbers, big endian, in order. A
number in [0, n) is the next one below the largest multiple of n that is at most 2**64, modulo n;
others are passed over, so that none is favoured.
"""

import hashlib
import hmac
import itertools
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.domain.amounts import U64_MAX, require_u64
from gateway.domain.errors import InvalidArgumentError, TotalTooSmallError

SEED_BYTES: Final = 32
_DOMAIN: Final = b"solward/split/v1"


@dataclass(frozen=True, slots=True)
class EvenSplit:
    """Equal shares; the first ones get one unit more where the total does not divide."""


@dataclass(frozen=True, slots=True)
class RandomSplit:
    """Shares by chance: each its floor, and the rest cut at uniformly random places."""

    seed: bytes


@dataclass(frozen=True, slots=True)
class WeightedSplit:
    """Shares by weight and largest remainder; ties go to the earlier recipient."""

    weights: tuple[int, ...]


Split = EvenSplit | RandomSplit | WeightedSplit


def split_total(
    split: Split,
    total: int,
    floors: Sequence[int],
    *,
    field: str = "total_lamports",
    unit: str = "lamports",
) -> list[int]:
    """Returns one share for each recipient: their sum is `total`, none is under its floor.

    `floors[i]` is the least that recipient i can be paid, at least 1. Raises InvalidArgumentError
    for a total or weights out of range, TotalTooSmallError where a share would be under its floor;
    `field` and `unit` are what they call the total, and what it counts.
    """
    require_u64(total, field)
    if not floors:
        raise InvalidArgumentError("there must be a recipient", field="recipients")
    if isinstance(split, RandomSplit):
        needed = sum(floors)
        if total < needed:
            raise TotalTooSmallError(f"{len(floors)} recipients need {needed} {unit}", field=field)
        return _random(split.seed, total - needed, floors)
    if isinstance(split, WeightedSplit):
        shares = _weighted(split.weights, total, len(floors))
    else:
        shares = _even(total, len(floors))
    for position, (share, floor) in enumerate(zip(shares, floors, strict=True)):
        if share < floor:
            raise TotalTooSmallError(
                f"recipient {position} would get {share} {unit} and needs {floor}", field=field
            )
    return shares


def _even(total: int, count: int) -> list[int]:
    share, left = divmod(total, count)
    return [share + (position < left) for position in range(count)]


def _weighted(weights: Sequence[int], total: int, count: int) -> list[int]:
    if len(weights) != count:
        raise InvalidArgumentError(
            f"{len(weights)} weights for {count} recipients", field="split.weighted.weights"
        )
    if not all(1 <= weight <= U64_MAX for weight in weights):
        raise InvalidArgumentError(
            f"weights must be between 1 and {U64_MAX}", field="split.weighted.weights"
        )
    weight_sum = sum(weights)
    quotas = [divmod(total * weight, weight_sum) for weight in weights]
    shares = [whole for whole, _ in quotas]
    by_remainder = sorted(range(count), key=lambda position: -quotas[position][1])
    for position in by_remainder[: total - sum(shares)]:
        shares[position] += 1
    return shares


def _random(seed: bytes, rest: int, floors: Sequence[int]) -> list[int]:
    if len(seed) != SEED_BYTES:
        raise InvalidArgumentError(f"seed must be {SEED_BYTES} bytes", field="split.random.seed")
    numbers = _numbers_below(rest + 1, seed)
    cuts = sorted(itertools.islice(numbers, len(floors) - 1))
    edges = [0, *cuts, rest]
    return [
        floor + upper - lower for floor, lower, upper in zip(floors, edges, edges[1:], strict=False)
    ]


def _numbers_below(bound: int, seed: bytes) -> Iterator[int]:
    """Yields uniform numbers in [0, bound), as the module's docstring says; bound <= 2**64."""
    limit = 2**64 // bound * bound
    for counter in itertools.count():
        message = _DOMAIN + counter.to_bytes(8, "big")
        for number in struct.unpack(">4Q", hmac.digest(seed, message, hashlib.sha256)):
            if number < limit:
                yield number % bound
