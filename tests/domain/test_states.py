"""States: what may follow what, and how an attempt is judged."""

import itertools

import pytest

from gateway.domain.chain import Commitment, SignatureStatus
from gateway.domain.confirmation import DOUBT_S_MAX, Ruling, Sighting, judge
from gateway.domain.errors import PreconditionFailedError
from gateway.domain.states import (
    ATTEMPT_MOVES,
    BATCH_AFTER_ATTEMPT,
    BATCH_MOVES,
    DISTRIBUTION_MOVES,
    AttemptState,
    BatchState,
    DistributionState,
    require_move,
    settled_state,
)

LAST_VALID = 1000
PENDING = (AttemptState.SIGNED, AttemptState.SENT, AttemptState.CONFIRMED, AttemptState.UNKNOWN)
COMMITMENTS: tuple[Commitment, ...] = ("processed", "confirmed", "finalized")


def sighting(
    status: SignatureStatus | None, *, height: int, searched: bool = True, doubt_s: float = 0.0
) -> Sighting:
    """A sighting."""
    return Sighting(height, status, searched, doubt_s)


def test_final_states_have_no_way_out() -> None:
    """What is finalized, failed, expired, completed or cancelled stays so."""
    ends = {AttemptState.FINALIZED, AttemptState.FAILED, AttemptState.EXPIRED}
    assert ends == {state for state, moves in ATTEMPT_MOVES.items() if not moves}
    assert {state for state, moves in BATCH_MOVES.items() if not moves} == {
        BatchState.FINALIZED,
        BatchState.FAILED,
        BatchState.CANCELLED,
        BatchState.SPLIT,
    }
    assert {state for state, moves in DISTRIBUTION_MOVES.items() if not moves} == {
        DistributionState.COMPLETED,
        DistributionState.PARTIALLY_FAILED,
        DistributionState.CANCELLED,
    }


def test_batches_can_follow_their_attempts() -> None:
    """Whatever an attempt does, its batch is allowed to follow."""
    for before, moves in ATTEMPT_MOVES.items():
        for after in moves:
            present, wanted = BATCH_AFTER_ATTEMPT[before], BATCH_AFTER_ATTEMPT[after]
            assert present is wanted or wanted in BATCH_MOVES[present]


def test_moves_that_are_not_listed_are_refused() -> None:
    """A completed distribution does not execute again."""
    with pytest.raises(PreconditionFailedError):
        require_move(DISTRIBUTION_MOVES, DistributionState.COMPLETED, DistributionState.EXECUTING)


def test_only_proven_expiry_expires() -> None:
    """Of all sightings one makes it expired: past, null, in the whole history, never confirmed."""
    statuses = [
        None,
        *(SignatureStatus(1, level, error) for level in COMMITMENTS for error in ("", "x")),
    ]
    for state, status, height, searched, doubt_s in itertools.product(
        PENDING, statuses, (0, LAST_VALID, LAST_VALID + 1), (True, False), (0.0, 1e9)
    ):
        ruling = judge(
            state, LAST_VALID, sighting(status, height=height, searched=searched, doubt_s=doubt_s)
        )
        proven = (
            status is None
            and searched
            and height > LAST_VALID
            and state in {AttemptState.SIGNED, AttemptState.SENT}
        )
        assert (ruling.state is AttemptState.EXPIRED) is proven
        assert ruling.state is state or ruling.state in ATTEMPT_MOVES[state]


def test_only_finalized_is_final() -> None:
    """Success and failure count when they are finalized, never before."""
    for state, level, error in itertools.product(PENDING, COMMITMENTS, ("", "custom")):
        ruling = judge(state, LAST_VALID, sighting(SignatureStatus(1, level, error), height=1))
        final = ruling.state in {AttemptState.FINALIZED, AttemptState.FAILED}
        assert final is (level == "finalized")
        if final:
            assert (ruling.state is AttemptState.FAILED) is (error != "")


def test_what_was_confirmed_and_is_forgotten_is_unknown() -> None:
    """A node that knows nothing of a transaction that was confirmed proves nothing."""
    ruling = judge(AttemptState.CONFIRMED, LAST_VALID, sighting(None, height=LAST_VALID + 1))
    assert ruling.state is AttemptState.UNKNOWN
    assert ruling.error != ""


def test_doubt_ends_as_unknown() -> None:
    """An attempt past its height that stays undecided is parked, not guessed."""
    processed = SignatureStatus(1, "processed", "")
    for status, searched in ((processed, True), (None, False)):
        present = sighting(status, height=LAST_VALID + 1, searched=searched, doubt_s=DOUBT_S_MAX)
        assert judge(AttemptState.SENT, LAST_VALID, present) == Ruling(AttemptState.SENT)
        later = sighting(status, height=LAST_VALID + 1, searched=searched, doubt_s=DOUBT_S_MAX + 1)
        assert judge(AttemptState.SENT, LAST_VALID, later).state is AttemptState.UNKNOWN


def test_unknown_is_left_by_finality_only() -> None:
    """An unknown attempt is never expired by the engine itself."""
    for status in (None, SignatureStatus(1, "confirmed", "")):
        present = sighting(status, height=LAST_VALID + 1, doubt_s=1e9)
        assert judge(AttemptState.UNKNOWN, LAST_VALID, present) == Ruling(AttemptState.UNKNOWN)


@pytest.mark.parametrize(
    ("counts", "cancelled", "expected"),
    [
        ({BatchState.FINALIZED: 3}, False, DistributionState.COMPLETED),
        ({BatchState.FINALIZED: 3, BatchState.PLANNED: 1}, False, None),
        ({BatchState.FINALIZED: 3, BatchState.IN_FLIGHT: 1}, True, None),
        (
            {BatchState.FINALIZED: 3, BatchState.FAILED: 1},
            False,
            DistributionState.PARTIALLY_FAILED,
        ),
        ({BatchState.UNKNOWN: 1, BatchState.FAILED: 1}, False, DistributionState.PARKED),
        ({BatchState.UNKNOWN: 1, BatchState.CANCELLED: 1}, True, DistributionState.PARKED),
        ({BatchState.FINALIZED: 1, BatchState.CANCELLED: 1}, True, DistributionState.CANCELLED),
    ],
)
def test_settled_states(
    counts: dict[BatchState, int], cancelled: bool, expected: DistributionState | None
) -> None:
    """A distribution ends as its batches say, and not before the last of them is decided."""
    assert settled_state(counts, cancelled=cancelled) is expected
