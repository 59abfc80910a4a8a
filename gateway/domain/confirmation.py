"""What an attempt's status means: the rules that keep a payout from being paid twice, or never.

Pure: the engine reads the finalized block height FIRST and the statuses after it, and asks here.
"""

from dataclasses import dataclass
from typing import Final

from gateway.domain.chain import SignatureStatus
from gateway.domain.states import AttemptState

DOUBT_S_MAX: Final = 60.0
"""How long an attempt past its last valid height may stay undecided before it is UNKNOWN."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was read of one attempt.

    `finalized_height` was read before `status`, and `searched_history` says whether a null status
    covers the node's whole history. `doubt_s` is for how long the attempt has been past its last
    valid height without being decided.
    """

    finalized_height: int
    status: SignatureStatus | None
    searched_history: bool
    doubt_s: float


@dataclass(frozen=True, slots=True)
class Ruling:
    """The state an attempt has from now on, and why."""

    state: AttemptState
    error: str = ""


def judge(present: AttemptState, last_valid_block_height: int, sighting: Sighting) -> Ruling:
    """Says what an attempt has come to.

    Finalized status: finalized or failed, whatever else. Past the last valid height: expired if its
    status is null in the whole history and it was never seen confirmed; unknown if it was, or if it
    stays undecided for longer than DOUBT_S_MAX. Otherwise it goes on.
    """
    status = sighting.status
    if status is not None and status.confirmation == "finalized":
        if status.error:
            return Ruling(AttemptState.FAILED, status.error)
        return Ruling(AttemptState.FINALIZED)
    if is_past(last_valid_block_height, sighting.finalized_height):
        return _judge_past(present, sighting)
    if present is AttemptState.UNKNOWN:
        return Ruling(present)
    if status is not None and status.confirmation == "confirmed":
        # Also one with an error: only a finalized error is final.
        return Ruling(AttemptState.CONFIRMED, status.error)
    return Ruling(present)


def is_past(last_valid_block_height: int, finalized_height: int) -> bool:
    """True if no block that could still take the transaction can be finalized any more."""
    return finalized_height > last_valid_block_height


def _judge_past(present: AttemptState, sighting: Sighting) -> Ruling:
    unseen = sighting.status is None and sighting.searched_history
    if unseen and present in {AttemptState.SIGNED, AttemptState.SENT}:
        return Ruling(AttemptState.EXPIRED)
    if unseen and present is AttemptState.CONFIRMED:
        return Ruling(
            AttemptState.UNKNOWN, "it was confirmed once and the node knows nothing of it now"
        )
    if present is not AttemptState.UNKNOWN and sighting.doubt_s > DOUBT_S_MAX:
        return Ruling(AttemptState.UNKNOWN, "its blockhash expired and it is not decided")
    return Ruling(present)
