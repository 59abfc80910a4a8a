"""How often a node may be called: rates for each method and for all together."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

ALL_METHODS: Final = "*"


@dataclass(frozen=True, slots=True)
class Rates:
    """Calls a second that an endpoint may get; 0 is without limit. `by_method` adds to `all`."""

    all: int = 0
    by_method: Mapping[str, int] = field(default_factory=dict)


class Budget:
    """So many calls in any second, be they made at once or one by one.

    Kept as the times of as many calls, those that still wait for theirs included: a call may be
    made a second after the one that is so many before it.
    """

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._made_at_s: deque[float] = deque(maxlen=per_second)

    def wait_s(self, now_s: float) -> float:
        """Returns how long a call would have to wait."""
        if len(self._made_at_s) < self._per_second:
            return 0.0
        return max(0.0, self._made_at_s[0] + 1 - now_s)

    def take(self, now_s: float) -> None:
        """Counts a call that is made after `wait_s`."""
        self._made_at_s.append(now_s + self.wait_s(now_s))


class Budgets:
    """The budgets of one endpoint."""

    def __init__(self, rates: Rates) -> None:
        per_second = {ALL_METHODS: rates.all, **rates.by_method}
        self._budgets = {name: Budget(rate) for name, rate in per_second.items() if rate}

    def wait_s(self, method: str, now_s: float) -> float:
        """Returns how long a call of this method would have to wait."""
        return max((budget.wait_s(now_s) for budget in self._of(method)), default=0.0)

    def take(self, method: str, now_s: float) -> None:
        """Counts a call that is made after `wait_s`."""
        for budget in self._of(method):
            budget.take(now_s)

    def _of(self, method: str) -> list[Budget]:
        names = (ALL_METHODS, method)
        return [self._budgets[name] for name in names if name in self._budgets]
