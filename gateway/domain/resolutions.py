"""What an operator may declare about an UNKNOWN transaction, and what the providers must say to it.

The most dangerous call there is: a wrong "it did not land" pays twice. So it is refused unless
every provider answers, none knows the signature, as many as are wanted prove that it never landed,
and the finalized height is MARGIN_BLOCKS past the last that could have taken it. One thing only the
operator's word may stand for: an account of a busy payer's balance, which would take more
transactions than are read. That it landed is never taken from anybody's word: a finalized status
decides. Pure.
"""

from dataclasses import dataclass
from typing import Final

from gateway.domain.attempts import AttemptMove, LiveAttempt
from gateway.domain.chain import LapsedTransaction, LapseReading
from gateway.domain.errors import InvalidArgumentError, PreconditionFailedError
from gateway.domain.outcomes import Verdict
from gateway.domain.states import AttemptState

MARGIN_BLOCKS: Final = 1_000
"""About five minutes: far more than a provider's index lags behind its blocks."""
_REASON_CHARACTERS: Final = range(10, 1_001)
_OPERATOR_CHARACTERS: Final = range(1, 201)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What an operator says of one transaction. `operator` is their own word, `peer` is not."""

    signature: str
    verdict: Verdict
    reason: str
    operator: str
    peer: str


def require_declaration(declaration: Declaration, signature_again: str) -> None:
    """Returns if a declaration is whole; raises InvalidArgumentError."""
    if declaration.signature != signature_again:
        raise InvalidArgumentError(
            "the signature is not repeated exactly", field="transaction_signature_again"
        )
    _require_text(declaration.reason, _REASON_CHARACTERS, "reason")
    _require_text(declaration.operator, _OPERATOR_CHARACTERS, "operator")


def question(attempt: LiveAttempt) -> LapsedTransaction:
    """Returns what the providers are asked: as of a transaction that lived MARGIN_BLOCKS longer."""
    return LapsedTransaction(
        attempt.signature,
        attempt.fee_payer,
        attempt.blockhash,
        attempt.last_valid_block_height + MARGIN_BLOCKS,
        attempt.blockhash_slot,
    )


def require_absent(reading: LapseReading, attempt: LiveAttempt) -> str:
    """Returns the evidence that it did not land, or raises PreconditionFailedError."""
    status = reading.status
    if status is not None:
        raise _refused(f"a provider knows it: {status.confirmation} in slot {status.slot}")
    if reading.silent_count:
        raise _refused(f"{reading.silent_count} of the providers did not answer")
    if not (reading.is_absent or reading.is_busy):
        raise _refused(reading.doubt or "no provider proves that it did not land")
    height = attempt.last_valid_block_height
    balance = "the payer's balance was not accounted for" if reading.is_busy else "proved absent"
    return (
        f"no provider knows it, all answered; {balance}; finalized beyond block height "
        f"{height + MARGIN_BLOCKS}, {MARGIN_BLOCKS} past its last valid one"
    )


def require_landed(reading: LapseReading, signature: str) -> AttemptMove:
    """Returns what the chain proves; raises PreconditionFailedError without a finalized status."""
    status = reading.status
    if status is None or status.confirmation != "finalized":
        raise _refused(reading.doubt or "no provider has a finalized status of it")
    state = AttemptState.FAILED if status.error else AttemptState.FINALIZED
    return AttemptMove(signature, state, status.error, status.slot)


def require_same(declared: Verdict | None, verdict: Verdict) -> None:
    """Returns if what was declared is what is declared now; raises PreconditionFailedError."""
    if declared is not verdict:
        raise PreconditionFailedError(
            f"it was resolved before, as {declared}", field="transaction_signature"
        )


def _require_text(text: str, lengths: range, field: str) -> None:
    if len(text.strip()) not in lengths or len(text) > lengths[-1] or not text.isprintable():
        raise InvalidArgumentError(
            f"{field} must be {lengths[0]} to {lengths[-1]:,} printable characters", field=field
        )


def _refused(why: str) -> PreconditionFailedError:
    return PreconditionFailedError(
        f"nothing is resolved: {why}", field="transaction_signature", reason="WRONG_STATE"
    )
