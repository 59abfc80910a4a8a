"""Reading the audit log: following it, its ages for the limits, and its checkpoints."""

import errno
import json
import os
import threading
from pathlib import Path

import pytest

from signer_daemon.ledger import AuditRejectedError, verify_file
from signer_daemon.ledger import audit as audit_module
from signer_daemon.ledger import lines as lines_module
from tests.ledger.kit import EVENT, KEY, FakeClock, lines_of, open_log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log file that does not exist yet."""
    return tmp_path / "audit.log"


def test_reading_and_following(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are read from any number on, found by bisection, and a waiting reader is woken."""
    monkeypatch.setattr(lines_module, "_READ_BYTES", 300)
    log = open_log(path)
    for number in range(50):
        log.append({**EVENT, "number": number, "pad": "x" * (number * 37 % 500)})
    lines = [line.decode().rstrip("\n") for line in lines_of(path)]
    for first in (*range(-1, 52),):
        for limit in (1, 5, 100):
            wanted = lines[first : first + limit] if 0 <= first else []
            assert wanted == log.read(first, limit)
    assert log.read(0, 0) == []
    assert not log.wait_beyond(50, 0.0)
    waiter = threading.Thread(target=lambda: log.wait_beyond(50, 10))
    waiter.start()
    log.append(EVENT)
    waiter.join(10)
    assert not waiter.is_alive()
    assert json.loads(log.read(50, 9)[0].partition("\t")[0])["seq"] == 50
    log.close()
    reopened = open_log(path)
    assert reopened.read(0, 50) == lines
    reopened.close()


def test_recent_records_come_newest_first_with_their_age(path: Path) -> None:
    """Back to the age asked for, and no further."""
    clock = FakeClock()
    log = open_log(path, clock)
    for number in range(5):
        log.append({"number": number})
        clock.pass_ms(1000)
    found = [(record["number"], age) for record, age in log.recent(3000)]
    assert found == [(4, 1000), (3, 2000), (2, 3000)]
    log.close()


@pytest.mark.parametrize(
    ("wall_step", "uptime_step", "age"),
    [
        (5000, 5000, 5000),
        (86_400_000, 5000, 5000),  # the wall clock was set forward
        (-86_400_000, 5000, 0),  # and back
        (5000, -4_999_000, 1000),  # the machine restarted a second ago
        (5000, 86_400_000, 5000),  # the log came from a machine started later
    ],
)
def test_ages_are_never_overstated(path: Path, wall_step: int, uptime_step: int, age: int) -> None:
    """Whatever the clocks were made to say while the signer was down, no record is older than it
    can be: limits are kept, not lost.
    """
    clock = FakeClock()
    log = open_log(path, clock)
    log.append(EVENT)
    log.close()
    clock.wall += wall_step
    clock.uptime += uptime_step
    log = open_log(path, clock)
    assert [found for _, found in log.recent(10**9)] == [age]
    log.close()


def checkpointed(path: Path, monkeypatch: pytest.MonkeyPatch, count: int = 45) -> FakeClock:
    """Writes a log with a checkpoint every ten records or so."""
    monkeypatch.setattr(audit_module, "_CHECKPOINT_BYTES", 1200)
    clock = FakeClock()
    log, taken = open_log(path, clock), []

    def state() -> dict[str, int]:
        taken.append(1)
        return {"taken": len(taken)}

    log.keep_state(state)
    for number in range(count):
        log.append({"number": number})
        clock.pass_ms(1000)
    log.close()
    assert len(taken) == 4
    return clock


def test_a_start_reads_from_the_last_checkpoint(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the records after it are read again; the checkpoint itself comes last, with its age; and
    the log goes on as if it had been read whole.
    """
    clock = checkpointed(path, monkeypatch)
    log = open_log(path, clock)
    *records, (checkpoint, age) = list(log.recent(10**9))
    assert checkpoint == {"meters": {"taken": 4}}
    assert [record["number"] for record, _ in records] == list(range(44, 44 - len(records), -1))
    assert 0 < len(records) < 20
    assert age == (len(records) + 1) * 1000
    assert log.append(EVENT) == 45
    assert len(log.read(0, 100)) == 46
    log.close()
    assert verify_file(path, KEY).count == 46


@pytest.mark.parametrize("spoil", ["none", "newest", "both", "torn", "forged"])
def test_a_lost_checkpoint_costs_time_only(
    path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    """Removed, torn or forged: the older one, or the whole log, gives the same records."""
    clock = checkpointed(path, monkeypatch)
    files = [Path(f"{path}.state{slot}") for slot in (0, 1)]
    newest = max(files, key=lambda file: json.loads(file.read_bytes()[65:])["count"])
    for file in {"none": [], "both": files}.get(spoil, [newest]):
        content = file.read_bytes()
        if spoil == "torn":
            file.write_bytes(content[: len(content) // 2])
        elif spoil == "forged":
            file.write_bytes(content.replace(b'"count":', b'"count":1'))
        else:
            file.unlink()
    log = open_log(path, clock)
    numbers = [record["number"] for record, _ in log.recent(10**9) if "number" in record]
    assert numbers == list(range(44, 44 - len(numbers), -1))
    assert (len(numbers) == 45) == (spoil == "both")
    assert log.head.count == 45
    log.close()


def test_tampering_is_found_behind_a_checkpoint_at_start_and_before_it_by_the_tool(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start refuses what was changed after the checkpoint, and a log that lost bytes before it;
    `verify_file` reads everything and finds the rest.
    """
    clock = checkpointed(path, monkeypatch)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"number":44', b'"number":43'))
    with pytest.raises(AuditRejectedError) as raised:
        open_log(path, clock)
    assert raised.value.seq == 44
    path.write_bytes(whole[whole.index(b"\n") + 1 :])
    with pytest.raises(AuditRejectedError):
        open_log(path, clock)
    path.write_bytes(whole[:500])
    with pytest.raises(AuditRejectedError, match="removed"):
        open_log(path, clock)
    path.write_bytes(whole.replace(b'"number":1,', b'"number":7,'))
    with pytest.raises(AuditRejectedError) as raised:
        verify_file(path, KEY)
    assert raised.value.seq == 1


def test_a_checkpoint_that_fails_stops_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full for the checkpoint only: records go on, the older checkpoint stands."""
    checkpointed(path, monkeypatch)
    log = open_log(path)
    log.keep_state(dict)
    before = log._states.latest
    real = os.pwrite

    def pwrite(fd: int, data: "bytes | memoryview[int]", at: int) -> int:
        if fd in log._states._fds:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data, at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    for _ in range(30):
        log.append(EVENT)
    assert log._states.latest == before
    log.close()
    reopened = open_log(path)
    assert reopened.head.count == 75
    reopened.close()
