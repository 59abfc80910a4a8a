"""Sliding windows: never more than the limit in any window, whoever races, whatever restarts."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer_daemon.ledger import LimitExceededError, Meters, charges_field
from signer_daemon.ledger import audit as audit_module
from signer_daemon.ledger.meters import DAY_MS, MINUTE_MS, SLACK_MS
from signer_daemon.policy.model import Charge
from tests.intent.examples import examples
from tests.ledger.kit import EVENT, FakeClock, open_log

WINDOW = MINUTE_MS + SLACK_MS


def signature(address: str = "A", limit: int = 100, count: int = 1) -> Charge:
    """A signature's charge."""
    return Charge(f"signatures/{address}", count, limit, "desk/signatures_per_minute: 100")


def spend(amount: int, limit: int = 1000, address: str = "A") -> Charge:
    """A 24-hour charge."""
    return Charge(f"lamports/{address}", amount, limit, "desk/lamports_per_day_max: 1000")


def use(meters: Meters, *charges: Charge) -> None:
    """Reserves, keeps and releases."""
    with meters.reserve(charges) as reservation:
        reservation.keep()


def refused(meters: Meters, *charges: Charge) -> LimitExceededError:
    """The refusal of these charges."""
    with pytest.raises(LimitExceededError) as raised:
        meters.reserve(charges)
    return raised.value


def test_one_hundred_a_minute() -> None:
    """The 101st signature waits until the first has been out for a whole window, and is told so;
    other wallets are not concerned.
    """
    clock = FakeClock()
    meters = Meters(clock)
    for _ in range(100):
        use(meters, signature())
        clock.pass_ms(10)
    refusal = refused(meters, signature())
    assert refusal.rule == "desk/signatures_per_minute: 100"
    assert refusal.retry_after_ms == WINDOW - 1000
    use(meters, signature("B"))
    clock.pass_ms(refusal.retry_after_ms - 1)
    assert refused(meters, signature()).retry_after_ms == 1
    clock.pass_ms(1)
    use(meters, signature())
    assert refused(meters, signature()).retry_after_ms == 10


def test_a_window_starts_when_the_signature_is_released() -> None:
    """A signature that took 50 seconds to come out counts for 60 seconds from then: no window seen
    from outside holds two limits' worth.
    """
    clock = FakeClock()
    meters = Meters(clock)
    with meters.reserve([signature(limit=1)]) as reservation:
        reservation.keep()
        clock.pass_ms(50_000)
        assert refused(meters, signature(limit=1)).retry_after_ms == WINDOW
    clock.pass_ms(WINDOW - 1)
    refused(meters, signature(limit=1))
    clock.pass_ms(1)
    use(meters, signature(limit=1))


def test_what_was_not_recorded_is_given_back() -> None:
    """A reservation without a durable record counts for nothing once it is closed, however it
    ended, and closing twice changes nothing.
    """
    meters = Meters(FakeClock())
    reservation = meters.reserve([signature(limit=1)])
    refused(meters, signature(limit=1))
    with pytest.raises(OSError, match="disk"), reservation:
        raise OSError("disk")
    reservation.close()
    use(meters, signature(limit=1))
    assert meters.available(signature(limit=1)) == 0


def test_what_was_recorded_counts_though_signing_failed() -> None:
    """After the durable record, only time gives back."""
    meters = Meters(FakeClock())
    reservation = meters.reserve([signature(limit=1)])
    reservation.keep()
    with pytest.raises(ValueError, match="key"), reservation:
        raise ValueError("key")
    refused(meters, signature(limit=1))


def test_charges_are_reserved_together_or_not_at_all() -> None:
    """If the last charge does not fit, the ones before it are not held; two of one meter add up."""
    meters = Meters(FakeClock())
    refusal = refused(meters, signature(), spend(1001))
    assert refusal.rule == "desk/lamports_per_day_max: 1000"
    assert refusal.retry_after_ms is None
    assert meters.available(signature()) == 100
    refused(meters, spend(600), spend(600))
    use(meters, spend(400), spend(600))
    assert meters.available(spend(0)) == 0


def test_a_limit_of_zero_never_passes() -> None:
    """Zero is none, and there is no time after which it would pass."""
    assert refused(Meters(FakeClock()), signature(limit=0)).retry_after_ms is None


def test_the_day_slides() -> None:
    """An amount is forgotten a day after the last of its hour: kept up to an hour longer than
    needed, never shorter.
    """
    clock = FakeClock()
    meters = Meters(clock)
    use(meters, spend(600))
    clock.pass_ms(3_000_000)
    use(meters, spend(300))
    clock.pass_ms(DAY_MS - 3_000_000)
    assert meters.available(spend(0)) == 100
    assert refused(meters, spend(200)).retry_after_ms == 3_000_000
    clock.pass_ms(3_000_000)
    assert meters.available(spend(0)) == 1000


def test_a_cap_that_comes_later_knows_what_was_spent() -> None:
    """Amounts under no cap are counted all the same: a reload with a cap does not start at zero."""
    meters = Meters(FakeClock())
    use(meters, spend(700, limit=2**64 - 1))
    refused(meters, spend(400, limit=1000))
    use(meters, spend(300, limit=1000))


def test_64_threads_cannot_pass_a_cap() -> None:
    """Racing for a cap of 1,000 in steps of 7 and of one hundred signatures, with failures among
    them, the released total never passes either.
    """
    meters = Meters(FakeClock())
    released: list[int] = []
    barrier = threading.Barrier(64)

    def race(number: int) -> None:
        barrier.wait()
        for attempt in range(20):
            try:
                with meters.reserve([signature(), spend(7)]) as reservation:
                    if (number + attempt) % 3:
                        reservation.keep()
                        released.append(7)
            except LimitExceededError:
                continue

    threads = [threading.Thread(target=race, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(released) == 100
    assert meters.available(signature()) == 0
    assert meters.available(spend(0)) == 1000 - 700


@examples(200)
@given(
    st.lists(st.tuples(st.integers(0, 70_000), st.integers(1, 5), st.integers(0, 30_000))),
    st.integers(1, 8),
)
def test_no_window_ever_holds_more(steps: list[tuple[int, int, int]], limit: int) -> None:
    """Against the definition: over every 60-second window of release times, the sum of what was
    released is within the limit; and a refusal's delay is one after which the request passes.
    """
    clock = FakeClock()
    meters = Meters(clock)
    released: list[tuple[int, int]] = []
    for pause, count, signing in steps:
        clock.pass_ms(pause)
        charge = signature(limit=limit, count=count)
        if count > meters.available(charge):
            delay_ms = refused(meters, charge).retry_after_ms
            assert (delay_ms is None) == (count > limit)
            if delay_ms is None:
                continue
            clock.pass_ms(delay_ms)
        with meters.reserve([charge]) as reservation:
            reservation.keep()
            clock.pass_ms(signing)
        released.append((clock.uptime_ms(), count))
    for end, _ in released:
        assert sum(count for at, count in released if end - MINUTE_MS < at <= end) <= limit


def restart(path: Path, clock: FakeClock) -> Meters:
    """What a new process knows: the log, and nothing else."""
    log = open_log(path, clock)
    meters = Meters(clock)
    meters.restore(log.recent(DAY_MS))
    log.close()
    return meters


def sign(log: Any, meters: Meters, *charges: Charge) -> None:
    """The pipeline's order: reserve, record, release."""
    with meters.reserve(charges) as reservation:
        log.append({**EVENT, "charges": charges_field(charges)})
        reservation.keep()


def test_limits_survive_a_restart(tmp_path: Path) -> None:
    """Rate and spend are what they were, and run off on time."""
    path, clock = tmp_path / "audit.log", FakeClock()
    log, meters = open_log(path, clock), Meters(clock)
    for _ in range(60):
        sign(log, meters, signature(), spend(10))
        clock.pass_ms(100)
    log.append({"event": "signer_start"})
    log.close()
    meters = restart(path, clock)
    assert meters.available(signature()) == 40
    assert meters.available(spend(0)) == 400
    assert refused(meters, signature(count=41)).retry_after_ms == WINDOW - 6000
    clock.pass_ms(WINDOW)
    assert meters.available(signature()) == 100
    assert meters.available(spend(0)) == 400
    clock.pass_ms(DAY_MS)
    assert meters.available(spend(0)) == 1000
    assert restart(path, clock).available(spend(0)) == 1000


def test_limits_survive_by_checkpoint_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a checkpoint between, a restart reads part of the log and knows the same limits; what
    was held while it was written counts.
    """
    monkeypatch.setattr(audit_module, "_CHECKPOINT_BYTES", 3000)
    path, clock = tmp_path / "audit.log", FakeClock()
    log, meters = open_log(path, clock), Meters(clock)
    log.keep_state(meters.state)
    for _ in range(80):
        sign(log, meters, signature(), spend(10))
        clock.pass_ms(100)
    log.close()
    log = open_log(path, clock)
    records = list(log.recent(DAY_MS))
    assert len(records) < 40
    again = Meters(clock)
    again.restore(iter(records))
    log.close()
    for charge in (signature(), spend(0)):
        assert meters.available(charge) == again.available(charge)
    assert refused(again, signature(count=21)).retry_after_ms == WINDOW - 8000
    clock.pass_ms(WINDOW - 8000 + 1000)
    assert meters.available(signature()) == again.available(signature()) == 31
    clock.pass_ms(DAY_MS)
    assert again.available(spend(0)) == 1000
    assert again.state() == {}


@pytest.mark.parametrize(
    ("wall_step", "uptime_step"),
    [(0, 0), (10**9, 0), (-(10**9), 0), (10**9, -4_999_999), (-(10**9), -4_999_999), (0, 10**9)],
)
def test_clock_steps_across_a_restart_give_nothing_back(
    tmp_path: Path, wall_step: int, uptime_step: int
) -> None:
    """Setting the clock, or restarting the machine, does not reset a limit."""
    path, clock = tmp_path / "audit.log", FakeClock()
    log, meters = open_log(path, clock), Meters(clock)
    for _ in range(100):
        sign(log, meters, signature(), spend(10))
    log.close()
    clock.wall += wall_step
    clock.uptime += uptime_step
    meters = restart(path, clock)
    refused(meters, signature())
    refused(meters, spend(1))


def test_a_clock_step_while_running_changes_nothing() -> None:
    """The windows run on the uptime clock alone."""
    clock = FakeClock()
    meters = Meters(clock)
    use(meters, signature(limit=1))
    clock.wall += 10**9
    refused(meters, signature(limit=1))
    clock.wall -= 10**10
    clock.uptime += WINDOW
    use(meters, signature(limit=1))


def test_a_record_counts_even_if_the_process_died_before_signing(tmp_path: Path) -> None:
    """Kill -9 between the durable record and the release: the restarted signer counts it."""
    path, clock = tmp_path / "audit.log", FakeClock()
    log, meters = open_log(path, clock), Meters(clock)
    meters.reserve([signature(limit=1)])
    log.append({**EVENT, "charges": charges_field([signature(limit=1)])})
    log.close()
    refused(restart(path, clock), signature(limit=1))


CHILD = """
import os, sys, threading
from pathlib import Path
from signer_daemon.ledger import LimitExceededError, Meters, SystemClock, charges_field
from signer_daemon.policy.model import Charge
from tests.ledger.kit import EVENT, KEY
from signer_daemon.ledger import AuditLog
clock = SystemClock()
log, meters = AuditLog(Path(sys.argv[1]), KEY, clock, create=True), Meters(clock)
meters.restore(log.recent(86_400_000))
charges = [Charge("signatures/A", 1, 60, "rate"), Charge("lamports/A", 10, 1000, "cap")]
def sign():
    while True:
        try:
            with meters.reserve(charges) as reservation:
                log.append({**EVENT, "charges": charges_field(charges)})
                reservation.keep()
                os.write(1, b"s")
        except LimitExceededError:
            return
threads = [threading.Thread(target=sign) for _ in range(64)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


@pytest.mark.parametrize("kill_after", [1, 20, 45])
def test_kill_in_the_middle_releases_no_more_than_the_limit(
    tmp_path: Path, kill_after: int
) -> None:
    """64 threads race for 60 signatures; the process is killed outright after some; a second one on
    the same log releases the rest. Both together: never more than 60.
    """
    command = [sys.executable, "-c", CHILD, str(tmp_path / "audit.log")]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        released = first.stdout.read(kill_after)
        first.kill()
        released += first.stdout.read()
    second = subprocess.run(command, cwd=root, capture_output=True, check=True)
    assert second.stderr == b""
    assert kill_after <= len(released) + len(second.stdout) <= 60


def test_memory_is_bounded() -> None:
    """20,000 wallets that signed once are forgotten when their windows have passed."""
    clock = FakeClock()
    meters = Meters(clock)
    for number in range(10_000):
        use(meters, signature(f"{number}"), signature(f"also {number}"))
    assert len(meters._meters) == 20_000
    clock.pass_ms(WINDOW)
    for number in range(20_000, 50_000):
        use(meters, signature(f"{number}"))
    assert len(meters._meters) <= 30_000
    for hour in range(48):
        use(meters, spend(hour, limit=10**9))
        clock.pass_ms(3_600_000)
    assert len(meters._meters["lamports/A"].spent) <= 3 * 25
