"""Sliding windows: never more than the limit in any window, whoever races, whatever restarts."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer_daemon.ledger import LimitExceededError, Meters
from signer_daemon.ledger.meters import DAY_MS, MINUTE_MS, SLACK_MS
from signer_daemon.policy.model import Charge
from tests.intent.examples import examples
from tests.ledger.kit import FakeClock

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
