"""Limits across restarts: a new process knows what the audit log holds, whatever the clocks say."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from signer_daemon.ledger import Meters, charges_field
from signer_daemon.ledger import audit as audit_module
from signer_daemon.ledger.meters import DAY_MS
from signer_daemon.policy.model import Charge
from tests.ledger.kit import EVENT, FakeClock, open_log
from tests.ledger.test_meters import WINDOW, refused, signature, spend


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
Path(sys.argv[1]).touch()
log, meters = AuditLog(Path(sys.argv[1]), KEY, clock), Meters(clock)
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
