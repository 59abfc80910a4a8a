"""Who was told to wait by the signer's limits, and until when: the rest goes on meanwhile.

Limits are kept for each wallet and for groups, and a refusal does not say whose was reached. So a
batch that was told to wait waits by itself, and all of its payer's do if nobody but the payer signs
them. If others sign, too, and nothing of the payer's was let through, all of them wait for a
minute at most: it may have been the others' limits.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from gateway.domain.attempts import PassedOver
from gateway.domain.ports import Clock

_UNSURE_S_MAX: Final = 60.0
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class ToldToWait:
    """A batch that may be signed in `wait_s`, and how many others sign beside its payer."""

    position: int
    fee_payer_address: str
    other_signer_count: int
    wait_s: float


@dataclass(slots=True)
class Waits:
    """What is waited for, in the memory of one run: who starts without it asks once more."""

    clock: Clock
    _batches: dict[int, float] = field(default_factory=dict)
    _payers: dict[str, float] = field(default_factory=dict)

    def add(self, told: Iterable[ToldToWait], signed_payers: Iterable[str]) -> None:
        """Takes in a round: who was told to wait, and whose payers had something signed in it."""
        now = self.clock.monotonic_s()
        self._batches = {key: at for key, at in self._batches.items() if at > now}
        signed = set(signed_payers)
        payers: dict[str, float] = {}
        for item in told:
            self._batches[item.position] = now + item.wait_s
            wait_s = item.wait_s
            if item.other_signer_count:
                wait_s = 0.0 if item.fee_payer_address in signed else min(wait_s, _UNSURE_S_MAX)
            payers[item.fee_payer_address] = min(
                now + wait_s, payers.get(item.fee_payer_address, math.inf)
            )
        self._payers |= payers

    def clear(self) -> None:
        """Forgets all of it."""
        self._batches.clear()
        self._payers.clear()

    def passed_over(self) -> PassedOver:
        """Returns what is not to be claimed now."""
        now = self.clock.monotonic_s()
        return PassedOver(_later(self._batches, now), _later(self._payers, now))

    def next_at_s(self) -> float | None:
        """Returns when the first wait ends, on the clock; None if there is none."""
        now = self.clock.monotonic_s()
        every = [*self._batches.values(), *self._payers.values()]
        return min((at for at in every if at > now), default=None)


def _later(waits: Mapping[K, float], now: float) -> list[K]:
    return [key for key, at in waits.items() if at > now]
