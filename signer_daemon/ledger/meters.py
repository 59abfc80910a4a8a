"""Sliding-window limits: signatures in 60 seconds, lamports and tokens in 24 hours.

The order is policy, reserve here, audit record durable, sign. What is reserved counts from the
reservation until a whole window after the signature was released, so that no window seen from
outside holds more than the limit, however long the signing took.
"""

import threading
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from signer_daemon.ledger.clock import Clock
from signer_daemon.policy.model import Charge

MINUTE_MS = 60_000
DAY_MS = 86_400_000
# Signatures reach the caller with some jitter: its own 60 seconds must not see two windows' worth.
SLACK_MS = 100
# A day's amounts are kept by the hour, so a wallet costs 600 bytes at most; each hour is forgotten
# a whole day after its last amount, so a limit errs by keeping, never by forgetting.
_DAY_BUCKET_MS = 3_600_000


class LimitExceededError(Exception):
    """A limit stands in the way. `rule` names it; `retry_after_ms` is when the same request could
    pass if nothing else is signed meanwhile, None if it never could.
    """

    def __init__(self, charge: Charge, retry_after_ms: int | None) -> None:
        super().__init__(f"{charge.rule}: exceeded")
        self.charge = charge
        self.rule = charge.rule
        self.retry_after_ms = retry_after_ms


@dataclass(slots=True)
class _Meter:
    """One window. `spent` is flat: first ms, last ms, amount of each bucket, oldest first."""

    window_ms: int
    bucket_ms: int
    spent: "array[int]" = field(default_factory=lambda: array("Q"))
    total: int = 0
    held: int = 0  # reserved, not yet released

    def forget(self, now_ms: int) -> None:
        """Drops what has left the window."""
        while self.spent and now_ms - self.spent[1] >= self.window_ms:
            self.total -= self.spent[2]
            del self.spent[:3]

    def add(self, now_ms: int, amount: int) -> None:
        """Counts `amount` from now on."""
        self.total += amount
        if self.spent and now_ms - self.spent[-3] < self.bucket_ms:
            self.spent[-2], self.spent[-1] = now_ms, self.spent[-1] + amount
        else:
            self.spent.extend((now_ms, now_ms, amount))

    def add_older(self, first_ms: int, last_ms: int, amount: int) -> None:
        """Counts a bucket that is no younger than any counted so far."""
        self.total += amount
        if self.spent and self.spent[1] - first_ms < self.bucket_ms:
            self.spent[0], self.spent[2] = first_ms, self.spent[2] + amount
        else:
            self.spent[0:0] = array("Q", (first_ms, last_ms, amount))

    def ages(self, now_ms: int) -> list[tuple[int, int, int]]:
        """Gives the buckets, newest first: ages of first and last, amount."""
        held = [(0, 0, self.held)] if self.held else []
        spent = self.spent
        return held + [
            (now_ms - spent[at], now_ms - spent[at + 1], spent[at + 2])
            for at in range(len(spent) - 3, -1, -3)
        ]

    def retry_after_ms(self, now_ms: int, excess: int) -> int:
        """Gives when `excess` will have left the window."""
        for at in range(0, len(self.spent), 3):
            excess -= self.spent[at + 2]
            if excess <= 0:
                return self.window_ms - (now_ms - self.spent[at + 1])
        return self.window_ms  # the rest is held by requests that are being signed now


class Meters:
    """All windows of this signer. Thread-safe: one lock, held for microseconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._meters: dict[str, _Meter] = {}
        self._sweep_at = 1024

    def reserve(self, charges: Sequence[Charge]) -> "Reservation":
        """Holds all charges or none. Raises LimitExceededError for the first that does not fit."""
        amounts = _amounts(charges)
        with self._lock:
            now = self._now_ms()
            if len(self._meters) >= self._sweep_at:
                self._sweep(now)
            for charge in charges:
                meter = self._meters.setdefault(charge.meter, _new_meter(charge.meter))
                meter.forget(now)
                wanted = amounts[charge.meter]
                excess = meter.total + meter.held + wanted - charge.limit
                if excess > 0:
                    possible = wanted <= charge.limit
                    after = meter.retry_after_ms(now, excess) if possible else None
                    raise LimitExceededError(charge, after)
            for name, amount in amounts.items():
                self._meters[name].held += amount
        return Reservation(self, amounts)

    def add(self, charge: Charge) -> None:
        """Counts a charge at once, beyond its limit too."""
        with self._lock:
            now = self._now_ms()
            meter = self._meters.setdefault(charge.meter, _new_meter(charge.meter))
            meter.forget(now)
            meter.add(now, charge.amount)

    def available(self, charge: Charge) -> int:
        """Gives what is left of a charge's limit now, 0 if nothing is."""
        with self._lock:
            meter = self._meters.get(charge.meter)
            if meter is None:
                return charge.limit
            meter.forget(self._now_ms())
            return max(0, charge.limit - meter.total - meter.held)

    def restore(self, records: Iterable[tuple[Mapping[str, Any], int]]) -> None:
        """Counts what the audit log says was signed: records newest first, each with its age in ms,
        and last a checkpoint, as `AuditLog.recent` gives them.
        """
        with self._lock:
            now = self._now_ms()
            for record, age_ms in records:
                for name, amount in record.get("charges", ()):
                    self._restore_one(name, now, (age_ms, age_ms), amount)
                for name, spent in record.get("meters", {}).items():
                    for first_age, last_age, amount in spent:
                        ages = (age_ms + first_age, age_ms + last_age)
                        self._restore_one(name, now, ages, amount)
            self._sweep(now)

    def state(self) -> dict[str, list[tuple[int, int, int]]]:
        """Gives all windows for a checkpoint: by meter, newest first, the ages in ms of the first
        and last amount in each bucket and their sum. What is held counts as released now.
        """
        with self._lock:
            now = self._now_ms()
            self._sweep(now)
            return {name: meter.ages(now) for name, meter in self._meters.items()}

    def _restore_one(self, name: str, now_ms: int, ages_ms: tuple[int, int], amount: int) -> None:
        meter = self._meters.setdefault(name, _new_meter(name))
        first_ms, last_ms = ages_ms
        if last_ms < meter.window_ms:
            meter.add_older(now_ms - first_ms, now_ms - last_ms, amount)

    def _settle(self, amounts: Counter[str], *, counts: bool) -> None:
        with self._lock:
            now = self._now_ms()
            for name, amount in amounts.items():
                meter = self._meters[name]
                meter.held -= amount
                if counts:
                    meter.add(now, amount)

    def _sweep(self, now_ms: int) -> None:
        """Drops idle windows. Costs a walk over all, each time their number has doubled."""
        for name, meter in list(self._meters.items()):
            meter.forget(now_ms)
            if not meter.spent and not meter.held:
                del self._meters[name]
        self._sweep_at = max(1024, 2 * len(self._meters))

    def _now_ms(self) -> int:
        # A restored amount can be older than the machine's uptime: keep the sums above zero.
        return self._clock.uptime_ms() + 2 * DAY_MS


class Reservation:
    """Held charges. Leaving the `with` block gives them back, unless `keep` was called: then they
    count for a whole window from that moment.
    """

    def __init__(self, meters: Meters, amounts: Counter[str]) -> None:
        self._meters = meters
        self._amounts = amounts
        self._kept = False

    def keep(self) -> None:
        """Says that the audit record is durable: from here on it counts, whatever happens."""
        self._kept = True

    def close(self) -> None:
        """Settles the charges, once: call it when the signatures are about to be released."""
        amounts, self._amounts = self._amounts, Counter()
        self._meters._settle(amounts, counts=self._kept)  # noqa: SLF001 - its other half

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def charges_field(charges: Sequence[Charge]) -> list[list[str | int]]:
    """Gives the audit record's `charges` field, which `Meters.restore` reads back."""
    return [[name, amount] for name, amount in _amounts(charges).items()]


def _amounts(charges: Sequence[Charge]) -> Counter[str]:
    amounts: Counter[str] = Counter()
    for charge in charges:
        amounts[charge.meter] += charge.amount
    return amounts


def _new_meter(name: str) -> _Meter:
    if name.startswith(("signatures/", "failures/")):
        return _Meter(MINUTE_MS + SLACK_MS, 1)
    return _Meter(DAY_MS, _DAY_BUCKET_MS)
