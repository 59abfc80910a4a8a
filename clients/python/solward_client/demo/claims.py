"""What the demonstration claims, and whether it held."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from solward_client.errors import SolwardError


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim: what is said, whether it held, what was seen."""

    text: str
    holds: bool
    seen: str


class Claims:
    """Collects claims, and how long each step took."""

    def __init__(self, clock_s: Callable[[], float] = time.perf_counter) -> None:
        """Take the clock that steps are timed by."""
        self._clock_s = clock_s
        self.all: list[Claim] = []
        self.seconds: dict[str, float] = {}
        self.refused: list[str] = []

    @property
    def failed(self) -> list[str]:
        """The claims that did not hold."""
        return [claim.text for claim in self.all if not claim.holds]

    def check(self, text: str, *, holds: bool, seen: str) -> None:
        """Note a claim and whether it held."""
        self.all.append(Claim(text, holds, seen))

    def refusal(self, text: str, reason: str, answer: object) -> None:
        """Claim that an answer is a refusal for this reason."""
        if isinstance(answer, SolwardError):
            self.refused.append(answer.reason)
            seen = f"{answer.reason} {answer.rule}".strip()
            self.check(text, holds=answer.reason == reason, seen=seen)
        else:
            self.check(text, holds=False, seen="not refused")

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step."""
        began = self._clock_s()
        try:
            yield
        finally:
            self.seconds[name] = round(self._clock_s() - began, 3)


def refused(call: Callable[[], object]) -> object:
    """Return what a call gives, or the error that it ends with."""
    try:
        return call()
    except SolwardError as error:
        return error
