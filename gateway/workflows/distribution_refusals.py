"""What follows from the signer's refusals, reason by reason (signer_daemon/errors.py has them all).

    POLICY_DENIED                       the batch fails, or goes on in halves
    RATE_LIMITED with a time            the batch waits, others go on
    RATE_LIMITED without one            all stops: one transaction alone exceeds a cap
    FROZEN, SCOPE_DENIED                all stops: an operator, or another session, lets it go on
    UNAUTHENTICATED (SESSION_INVALID)   this gateway's session has ended
    RESOURCE_EXHAUSTED, UNAVAILABLE     all waits: it is busy, stops, or cannot write its log
    anything else                       all stops: a record that does not open, a defect, news

Only a policy's denial is about this transaction, so nothing else may fail it: who is struck off for
a signer that was set up wrong is not paid when it is set right.
"""

from dataclasses import dataclass, field
from typing import Final

from gateway.domain.custody import ItemRefusal, SignerRefusedError

_RESOURCE_EXHAUSTED: Final = 8
_UNAVAILABLE: Final = 14
_UNAUTHENTICATED: Final = 16
_RETRY_S: Final = 1.0
# Rules that one recipient, or the sum of many, can break: half of the batch may be allowed.
_RULES_OF_ONE: Final = ("/destinations", "_per_transaction_max")


@dataclass(slots=True)
class Refusals:
    """The refusals of one round, by what follows from them.

    `failed` and `waits_s` are by position; of the failed those that are `splittable` go on in
    halves. `wait_s` is how long nothing is to be signed, and `waits_for` why. `session` says that
    the session has ended, `stop` why nothing more can be signed; both are "" otherwise.
    """

    failed: dict[int, str] = field(default_factory=dict)
    splittable: set[int] = field(default_factory=set)
    waits_s: dict[int, float] = field(default_factory=dict)
    wait_s: float = 0.0
    waits_for: str = ""
    session: str = ""
    stop: str = ""

    def add(self, position: int, refusal: ItemRefusal) -> None:
        """Takes in the refusal of one batch."""
        if refusal.reason == "POLICY_DENIED":
            self.failed[position] = _words(refusal)
            if any(name in refusal.rule for name in _RULES_OF_ONE):
                self.splittable.add(position)
        elif refusal.reason == "RATE_LIMITED":
            if refusal.retry_delay_ms:
                self.waits_s[position] = refusal.retry_delay_ms / 1000
            else:
                self.stop = _words(refusal)
        else:
            self._add_of_all(refusal.code, refusal.retry_delay_ms, _words(refusal))

    def add_call(self, error: SignerRefusedError) -> None:
        """Takes in the refusal of all batches in one."""
        self._add_of_all(error.code, 0, f"{error.reason}: {error.message}")

    def _add_of_all(self, code: int, retry_delay_ms: int, words: str) -> None:
        if code == _UNAUTHENTICATED:
            self.session = f"the signer refused the session: {words}"
        elif code in {_RESOURCE_EXHAUSTED, _UNAVAILABLE}:
            self.wait_s = max(self.wait_s, retry_delay_ms / 1000 or _RETRY_S)
            self.waits_for = words
        else:
            self.stop = words


def _words(refusal: ItemRefusal) -> str:
    rule = f" ({refusal.rule})" if refusal.rule else ""
    return f"{refusal.reason}: {refusal.message}{rule}"
