"""Compute limits of a plan: what a simulation used and a margin, or else fixed upper bounds.

A plan is drafted with fixed bounds. Some of its moves are simulated, as many of a kind as share a
transaction, and the plan is made again with what they used. A move whose like was not measured
keeps its bound.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.domain.instructions import SYSTEM_PROGRAM, Instruction
from gateway.domain.plans import Move, Plan
from gateway.domain.token_programs import TOKEN_2022

UNITS_PER_SEARCH: Final = 1_500
"""What a program pays for each address that it tries and finds on the curve."""
_MARGIN_NUMERATOR, _MARGIN_DENOMINATOR = 5, 4
_SAMPLES_PER_SHAPE: Final = 3
_EXTENSIONS: Final = 26
_SOL_SHAPE: Final = ((SYSTEM_PROGRAM, b"\2", 1),)

Shape = tuple[tuple[str, bytes, int], ...]
"""Programs, instructions and trace entries of a move's steps: moves of one shape use about as much.
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a move of a shape used, whose fixed bound was `bound_units`."""

    used_units: int
    bound_units: int


@dataclass(frozen=True, slots=True)
class ComputeLimits:
    """What was measured, by shape, and of the prologue (0: nothing)."""

    usages: Mapping[Shape, Usage] = field(default_factory=dict)
    prologue_used_units: int = 0

    def of_move(self, move: Move) -> int:
        """Returns a move's limit. Its `compute_units` are the fixed bound.

        Moves of a shape have different bounds by the searches for their accounts' addresses alone,
        so the difference in bounds is a difference in use.
        """
        usage = self.usages.get(shape_of(move)) if self.usages else None
        if usage is None:
            return move.compute_units
        more = max(0, move.compute_units - usage.bound_units)
        return with_margin(usage.used_units + more)

    def of_prologue(self, bound_units: int) -> int:
        """Returns the prologue's limit."""
        return with_margin(self.prologue_used_units) if self.prologue_used_units else bound_units


FIXED: Final = ComputeLimits()
"""Nothing was measured."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Moves of one shape and one bound that share a transaction, and who pays for it."""

    shape: Shape
    payer: str
    moves: Sequence[Move]


def with_margin(used_units: int) -> int:
    """Returns the limit for what was used: a quarter more, rounded up.

    The quarter covers what a simulation of some accounts cannot know of others: lamports that are
    sent ahead, after the plan was made, to an account that is to be made, and extensions of
    Token-2022.
    """
    return -(-used_units * _MARGIN_NUMERATOR // _MARGIN_DENOMINATOR)


def shape_of(move: Move) -> Shape:
    """Returns a move's shape."""
    if not move.steps:
        return _SOL_SHAPE
    return tuple((step.program, _operation(step), step.trace_entries) for step in move.steps)


def samples_of(plan: Plan) -> list[Sample]:
    """Returns up to three samples of each shape: of the least bound, as many moves as there are.

    Moves with the least bound need no search for an address, or the least of it.
    """
    moves = [item.move for item in plan.transfers]
    shapes = [shape_of(move) for move in moves]
    least: dict[Shape, int] = {}
    for shape, move in zip(shapes, moves, strict=True):
        least[shape] = min(move.compute_units, least.get(shape, move.compute_units))
    found: dict[Shape, list[Sample]] = defaultdict(list)
    for batch in plan.batches:
        inside: dict[Shape, list[Move]] = defaultdict(list)
        for at in range(batch.first_transfer, batch.first_transfer + batch.transfer_count):
            if moves[at].compute_units == least[shapes[at]]:
                inside[shapes[at]].append(moves[at])
        for shape, alike in inside.items():
            found[shape].append(Sample(shape, batch.fee_payer_address, alike))
    return [sample for samples in found.values() for sample in _spread(samples)]


def _spread(samples: Sequence[Sample]) -> list[Sample]:
    """Returns the first, one from the middle and the last of the largest samples."""
    largest = max(len(sample.moves) for sample in samples)
    full = [sample for sample in samples if len(sample.moves) == largest]
    last = len(full) - 1
    places = {last * step // (_SAMPLES_PER_SHAPE - 1) for step in range(_SAMPLES_PER_SHAPE)}
    return [full[place] for place in sorted(places)]


def _operation(step: Instruction) -> bytes:
    """Returns what says which instruction it is; a memo is all text."""
    if step.program == TOKEN_2022 and step.data[:1] == bytes([_EXTENSIONS]):
        return step.data[:2]
    return step.data[:1] if step.accounts else b""
