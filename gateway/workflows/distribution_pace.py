"""When a run may sign next: as the signer asks."""

from dataclasses import dataclass, field

from gateway.domain.attempts import PassedOver
from gateway.domain.ports import Clock
from gateway.workflows.distribution_signing import Signed
from gateway.workflows.distribution_waits import Waits


@dataclass(slots=True)
class Pace:
    """The pace of one run. `rest_s_max` is how often it looks for what others leave behind."""

    clock: Clock
    rest_s_max: float
    note: str = ""
    _waits: Waits = field(init=False)
    _rests_until_s: float = float("-inf")
    _told_until_s: float = float("-inf")

    def __post_init__(self) -> None:
        """Begins with nothing to wait for."""
        self._waits = Waits(self.clock)

    def clear(self) -> None:
        """Forgets all waits: whatever the signer said is asked for again."""
        self._waits.clear()
        self._rests_until_s = self._told_until_s = float("-inf")

    @property
    def rests(self) -> bool:
        """True while nothing is to be signed; `note` says why."""
        return self.clock.monotonic_s() < self._rests_until_s

    def passed_over(self) -> PassedOver:
        """Returns what is not to be claimed now."""
        return self._waits.passed_over()

    def after(self, signed: Signed) -> float:
        """Takes in a round. Returns for how many seconds nothing is signed, 0 if that is no news.

        It rests as the signer asks, or, with nothing else to do, until the first of those that wait
        may be signed.
        """
        self._waits.add(signed.told, signed.signed_payers)
        now = self.clock.monotonic_s()
        until_s, why = now + signed.refusals.wait_s, signed.refusals.waits_for
        if signed.is_idle:
            until_s, why = self._waits.next_at_s() or now, ""
        self._rests_until_s = min(until_s, now + self.rest_s_max)
        if until_s in {now, self._told_until_s}:
            return 0.0
        self._told_until_s = until_s
        self.note = f"the signer asks to wait {until_s - now:.1f} s" + (f": {why}" if why else "")
        return until_s - now
