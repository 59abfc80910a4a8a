"""The state machine of distributions, their batches and the attempts to pay a batch.

A batch is what one transaction carries, and lands or fails as a whole, so a transfer's state is its
batch's. The database enforces the same tables (migrations/0003): whatever is not listed is refused.

    distribution   planned -> executing <-> paused
                   executing, paused -> cancelling -> cancelled
                   executing, paused -> completed | partially_failed | parked
                   cancelling -> parked;  parked -> executing (the truth is looked for again)
                   parked -> paused | completed | partially_failed (an operator resolved it)
                   parked -> cancelling;  parked -> cancelled (if it was cancelled before)

    A cancel is for ever: what was cancelled once goes to cancelling, parked and cancelled only.

    batch          planned -> in_flight -> finalized | failed | unknown
                   in_flight -> planned  (its attempt expired: another may be made)
                   planned -> failed (refused before signing) | cancelled
                   unknown -> finalized | failed | planned  (the truth came out, or an operator
                   declared that it did not land: gateway/domain/resolutions.py)
                   planned, in_flight, unknown -> split  (instead of failed: two halves go on)

    attempt        signed -> sent -> confirmed -> finalized | failed
                   signed, sent -> expired  (proven, see below)
                   signed, sent, confirmed -> unknown -> finalized | failed | expired

`signed` means: its bytes are stored, so they may have been sent, whatever became of the process
that stored them. `finalized`, `failed` and `expired` are final, and only `failed` (a finalized
error) and `expired` let another attempt be made. Expired is: the finalized block height, read
first, exceeds the attempt's last valid block height, and then its status is null in the whole
history of a node, and nobody ever saw it confirmed. What was seen once and is not known any more is
`unknown`. No gateway moves it from there to expired by itself.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar

from gateway.domain.errors import PreconditionFailedError


class DistributionState(StrEnum):
    """Where a distribution is."""

    PLANNED = "planned"
    EXECUTING = "executing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    PARTIALLY_FAILED = "partially_failed"
    PARKED = "parked"


class BatchState(StrEnum):
    """Where a batch, and each of its transfers, is."""

    PLANNED = "planned"
    IN_FLIGHT = "in_flight"
    FINALIZED = "finalized"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    SPLIT = "split"
    """It failed, and its halves took its place: it counts no more."""


class AttemptState(StrEnum):
    """Where an attempt is."""

    SIGNED = "signed"
    SENT = "sent"
    CONFIRMED = "confirmed"
    FINALIZED = "finalized"
    FAILED = "failed"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


_D = DistributionState
DISTRIBUTION_MOVES: Final[Mapping[DistributionState, frozenset[DistributionState]]] = {
    _D.PLANNED: frozenset({_D.EXECUTING, _D.CANCELLED}),
    _D.EXECUTING: frozenset(
        {_D.PAUSED, _D.CANCELLING, _D.COMPLETED, _D.PARTIALLY_FAILED, _D.PARKED}
    ),
    _D.PAUSED: frozenset(
        {_D.EXECUTING, _D.CANCELLING, _D.COMPLETED, _D.PARTIALLY_FAILED, _D.PARKED}
    ),
    _D.CANCELLING: frozenset({_D.CANCELLED, _D.PARKED}),
    _D.PARKED: frozenset(
        {
            _D.EXECUTING,
            _D.PAUSED,
            _D.CANCELLING,
            _D.CANCELLED,
            _D.COMPLETED,
            _D.PARTIALLY_FAILED,
        }
    ),
    _D.CANCELLED: frozenset(),
    _D.COMPLETED: frozenset(),
    _D.PARTIALLY_FAILED: frozenset(),
}
_B = BatchState
BATCH_MOVES: Final[Mapping[BatchState, frozenset[BatchState]]] = {
    _B.PLANNED: frozenset({_B.IN_FLIGHT, _B.FAILED, _B.CANCELLED, _B.SPLIT}),
    _B.IN_FLIGHT: frozenset({_B.PLANNED, _B.FINALIZED, _B.FAILED, _B.UNKNOWN, _B.SPLIT}),
    _B.UNKNOWN: frozenset({_B.PLANNED, _B.FINALIZED, _B.FAILED, _B.SPLIT}),
    _B.FINALIZED: frozenset(),
    _B.FAILED: frozenset(),
    _B.CANCELLED: frozenset(),
    _B.SPLIT: frozenset(),
}
_A = AttemptState
ATTEMPT_MOVES: Final[Mapping[AttemptState, frozenset[AttemptState]]] = {
    _A.SIGNED: frozenset({_A.SENT, _A.CONFIRMED, _A.FINALIZED, _A.FAILED, _A.EXPIRED, _A.UNKNOWN}),
    _A.SENT: frozenset({_A.CONFIRMED, _A.FINALIZED, _A.FAILED, _A.EXPIRED, _A.UNKNOWN}),
    _A.CONFIRMED: frozenset({_A.FINALIZED, _A.FAILED, _A.UNKNOWN}),
    _A.UNKNOWN: frozenset({_A.FINALIZED, _A.FAILED, _A.EXPIRED}),
    _A.FINALIZED: frozenset(),
    _A.FAILED: frozenset(),
    _A.EXPIRED: frozenset(),
}

BATCH_AFTER_ATTEMPT: Final[Mapping[AttemptState, BatchState]] = {
    _A.SIGNED: _B.IN_FLIGHT,
    _A.SENT: _B.IN_FLIGHT,
    _A.CONFIRMED: _B.IN_FLIGHT,
    _A.FINALIZED: _B.FINALIZED,
    _A.FAILED: _B.FAILED,
    _A.EXPIRED: _B.PLANNED,
    _A.UNKNOWN: _B.UNKNOWN,
}
"""What an attempt's state makes of its batch."""

S = TypeVar("S", bound=StrEnum)


def require_move(moves: Mapping[S, frozenset[S]], present: S, wanted: S) -> S:
    """Returns `wanted` if the table allows it after `present`; raises PreconditionFailedError."""
    if wanted not in moves[present]:
        raise PreconditionFailedError(f"what is {present} cannot become {wanted}")
    return wanted


def settled_state(counts: Mapping[BatchState, int], *, cancelled: bool) -> DistributionState | None:
    """Returns what a distribution has come to, None while something is still to happen.

    `counts` is the number of batches in each state, `cancelled` says whether it was ever cancelled.
    What was given up is not paid.
    """
    if any(counts.get(state, 0) for state in (_B.PLANNED, _B.IN_FLIGHT)):
        return None
    if counts.get(_B.UNKNOWN, 0):
        return _D.PARKED
    if cancelled:
        return _D.CANCELLED
    unpaid = counts.get(_B.FAILED, 0) + counts.get(_B.CANCELLED, 0)
    return _D.PARTIALLY_FAILED if unpaid else _D.COMPLETED
