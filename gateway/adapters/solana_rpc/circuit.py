"""What is known of an endpoint's health: whether to ask it first, last, or not yet."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from gateway.adapters.solana_rpc.errors import RpcError

FAILURES_TO_OPEN: Final = 3
_OPEN_S_FIRST: Final = 1.0
_OPEN_S_MAX: Final = 60.0
log = logging.getLogger("solward.gateway.rpc")

State = Literal["closed", "open"]


@dataclass(frozen=True, slots=True)
class EndpointSnapshot:
    """An endpoint as an operator sees it; `failures` counts by kind of error, since the start.

    `state` is "open" while it is asked only after all others; `rests_s` is how long it is to be
    left alone because it asked for that (Retry-After); `lag_slots` is how far it was behind the
    others when they were compared last.
    """

    name: str
    state: State
    rests_s: float
    calls: int
    failures: Mapping[str, int]
    last_error: str
    lag_slots: int = 0


class Circuit:
    """Opens after three failures in a row, for a second and then twice as long each time.

    Open does not mean that calls fail: the endpoint is asked after the others, so that the last
    one that is left is always tried. When its time is over, one call tries it, however long that
    takes, and what comes of it decides for all.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls = 0
        self._failures: Counter[str] = Counter()
        self._in_a_row = 0
        self._open_s = _OPEN_S_FIRST
        self._open_until_s = float("-inf")
        self._rests_until_s = float("-inf")
        self._is_reported_open = False
        self._is_on_trial = False
        self._last_error = ""

    def is_open(self, now_s: float) -> bool:
        """True while others are to be asked first."""
        return self._is_on_trial or now_s < self._open_until_s

    def rests_s(self, now_s: float) -> float:
        """Returns for how long the endpoint asked not to be called."""
        return max(0.0, self._rests_until_s - now_s)

    def called(self, now_s: float) -> bool:
        """Notes that a call begins; true if it is the trial, which `tried` is told the end of."""
        if self._in_a_row < FAILURES_TO_OPEN or self.is_open(now_s):
            return False
        self._is_on_trial = True
        return True

    def tried(self, now_s: float) -> None:
        """Ends a trial. One that came to nothing, good or bad, is repeated after as long again."""
        if self._is_on_trial:
            self._is_on_trial = False
            self._open_until_s = now_s + self._open_s

    def succeeded(self) -> None:
        """Counts an answer, and closes the circuit."""
        self._calls += 1
        self._in_a_row = 0
        self._is_on_trial = False
        self._open_s = _OPEN_S_FIRST
        self._open_until_s = float("-inf")
        if self._is_reported_open:
            self._is_reported_open = False
            log.info("RPC endpoint answers again", extra={"facts": {"endpoint": self._name}})

    def failed(self, error: RpcError, now_s: float, *, is_trial: bool = False) -> None:
        """Counts a failure; opens the circuit if it is one too many.

        What was begun before an opening, or as a last resort, says nothing new when it fails.
        """
        self._calls += 1
        self._failures[error.kind] += 1
        self._last_error = error.message
        self._rests_until_s = max(self._rests_until_s, now_s + error.retry_after_s)
        self._in_a_row += 1
        if self._in_a_row < FAILURES_TO_OPEN or (self.is_open(now_s) and not is_trial):
            return
        self._is_on_trial = False
        self._open_until_s = now_s + self._open_s
        self._open_s = min(2 * self._open_s, _OPEN_S_MAX)
        if not self._is_reported_open:
            self._is_reported_open = True
            facts = {"endpoint": self._name, "why": error.message}
            log.warning("RPC endpoint is asked last", extra={"facts": facts})

    def refused(self, error: RpcError, now_s: float) -> None:
        """Opens at once and for long: the endpoint answers, and must not be believed."""
        self._in_a_row = FAILURES_TO_OPEN - 1
        self._open_s = _OPEN_S_MAX
        self.failed(error, now_s)

    def snapshot(self, now_s: float, lag_slots: int) -> EndpointSnapshot:
        """Returns the present state, of an endpoint so many slots behind the others."""
        return EndpointSnapshot(
            name=self._name,
            state="open" if self.is_open(now_s) else "closed",
            rests_s=self.rests_s(now_s),
            calls=self._calls,
            failures=dict(self._failures),
            last_error=self._last_error,
            lag_slots=lag_slots,
        )
