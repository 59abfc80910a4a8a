"""The audit log: durable or refused, chained, and itself again after every accident."""

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from signer_daemon.ledger import AuditUnavailableError, verify_file
from signer_daemon.ledger.verify import head_path
from tests.ledger.kit import EVENT, KEY, FakeClock, filled, open_log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log file that does not exist yet."""
    return tmp_path / "audit.log"


def test_a_record_is_canonical_json_a_tab_and_its_mac(path: Path) -> None:
    """The format that any other reader relies on, to the byte."""
    log = open_log(path, FakeClock(wall_ms=1000, uptime_ms=50))
    assert log.append({"event": "zü", "b": [1, "x"]}) == 0
    json_text, _, mac = path.read_text().partition("\t")
    expected = '{"b":[1,"x"],"event":"z\\u00fc","seq":0,"time_ms":1000,"uptime_ms":50}'
    assert expected == json_text
    assert len(mac) == 65
    assert mac.strip().encode() == log.head.mac
    log.close()


def test_the_file_is_private(path: Path) -> None:
    """Mode 0600 for the log and its head, whatever the umask."""
    before = os.umask(0)
    try:
        open_log(path).close()
    finally:
        os.umask(before)
    for file in (path, head_path(path)):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_sequence_goes_on_after_reopening(path: Path) -> None:
    """Numbers and chain continue where the last process stopped."""
    filled(path, 3)
    log = open_log(path)
    assert log.append_many([EVENT, EVENT]) == [3, 4]
    head = log.head
    log.close()
    assert verify_file(path, KEY) == head
    assert head.count == 5


def test_fdatasync_comes_before_the_return(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When `append` returns, the bytes that were synced hold the record: not one before."""
    log = open_log(path)
    synced = []
    real = os.fdatasync

    def spy(fd: int) -> None:
        real(fd)
        synced.append(path.read_bytes())

    monkeypatch.setattr(os, "fdatasync", spy)
    log.append(EVENT)
    assert synced == [path.read_bytes()]
    assert synced[0].endswith(b"\n")
    log.close()


def test_callers_share_a_commit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 threads get 64 different numbers and need far fewer than 64 syncs: those who come while
    one writes are written together.
    """
    log = open_log(path)
    threads, started = [], threading.Event()
    release, syncs = threading.Event(), []
    real = os.fdatasync

    def slow(fd: int) -> None:
        syncs.append(1)
        started.set()
        release.wait(10)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", slow)
    seqs: list[int] = []
    threads = [threading.Thread(target=lambda: seqs.append(log.append(EVENT))) for _ in range(64)]
    threads[0].start()
    started.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(log._queue) < 63:
        threading.Event().wait(0.001)
    release.set()
    for thread in threads:
        thread.join(10)
    assert sorted(seqs) == list(range(64))
    assert len(syncs) == 2
    assert verify_file(path, KEY).count == 64
    log.close()


def test_an_event_that_is_not_json_fails_alone(path: Path) -> None:
    """Its caller gets the error; the log and everybody else go on."""
    log = open_log(path)
    with pytest.raises(TypeError):
        log.append({"event": b"bytes"})
    with pytest.raises(ValueError, match="JSON"):
        log.append({"event": float("nan")})
    with pytest.raises(ValueError, match="sets itself"):
        log.append({"seq": 7})
    assert log.append(EVENT) == 0
    log.close()


def full_disk(after: int) -> Callable[[int, "memoryview[int] | bytes"], int]:
    """A write that takes `after` bytes, then says ENOSPC."""
    left, real = [after], os.write

    def write(fd: int, data: "memoryview[int] | bytes") -> int:
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(fd, bytes(data[: left[0]]))
        left[0] -= written
        return written

    return write


@pytest.mark.parametrize("after", [0, 1, 100, 10_000])
def test_a_full_disk_refuses_then_recovers(
    path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """A short write and then ENOSPC: the caller is refused, the torn line is cut, and the next
    append after space is freed simply works, with no restart and no gap.
    """
    filled(path, 2)
    log = open_log(path)
    before = path.read_bytes()
    events = [{**EVENT, "pad": "x" * 150}] * 100
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full_disk(after))
        for _ in range(2):
            with pytest.raises(AuditUnavailableError, match="No space left"):
                log.append_many(events)
            assert path.read_bytes() == before
    assert log.append_many(events)[0] == 2
    log.close()
    assert verify_file(path, KEY).count == 102


def test_a_real_full_file_system(tmp_path: Path) -> None:
    """The kernel's own limit on a file's size gives the short write and the refusal; raising it
    lets the log go on.
    """
    script = f"""
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from signer_daemon.ledger import AuditUnavailableError, verify_file
from tests.ledger.kit import EVENT, KEY, open_log
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path({str(tmp_path)!r}) / "audit.log"
log = open_log(path)
log.append(EVENT)
size = path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
for _ in range(3):
    try:
        log.append(EVENT)
    except AuditUnavailableError as error:
        assert path.stat().st_size == size, error
    else:
        raise SystemExit("appended beyond the limit")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert log.append(EVENT) == 1
log.close()
assert verify_file(path, KEY).count == 2
print("recovered")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("recovered\n", "")


def test_a_failed_sync_is_not_believed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EIO from fdatasync: the record is cut, even if the cut needs a later attempt, and nothing is
    accepted before that.
    """
    log = open_log(path)
    log.append(EVENT)
    before = path.read_bytes()
    failures = [OSError(errno.EIO, "Input/output error")] * 3
    real = os.fdatasync

    def sync(fd: int) -> None:
        if failures:
            raise failures.pop()
        real(fd)

    monkeypatch.setattr(os, "fdatasync", sync)
    for _ in range(2):  # write and its cut fail; then the cut of the next attempt fails
        with pytest.raises(AuditUnavailableError, match="Input/output"):
            log.append(EVENT)
        assert log.head.count == 1
    assert failures == []
    assert log.append(EVENT) == 1
    assert path.read_bytes().startswith(before)
    log.close()
    assert verify_file(path, KEY).count == 2


def test_everybody_in_a_failed_batch_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch fails as one: no caller of it is told that its record is durable."""
    log = open_log(path)
    monkeypatch.setattr(os, "write", full_disk(0))
    outcomes: list[type[BaseException]] = []

    def attempt() -> None:
        try:
            log.append(EVENT)
        except AuditUnavailableError as error:
            outcomes.append(type(error))

    threads = [threading.Thread(target=attempt) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert outcomes == [AuditUnavailableError] * 16
    assert path.read_bytes() == b""
    log.close()


@pytest.mark.parametrize("deed", ["delete", "append", "truncate"])
def test_a_file_changed_while_in_use_stops_signing(path: Path, deed: str) -> None:
    """Deleted, added to or cut by somebody else: refused, not signed through."""
    log = open_log(path)
    log.append(EVENT)
    if deed == "delete":
        path.unlink()
    elif deed == "append":
        with path.open("ab") as file:
            file.write(b"x\n")
    else:
        os.truncate(path, 10)
    with pytest.raises(AuditUnavailableError, match="removed or changed"):
        log.append(EVENT)
    log.close()


@pytest.mark.parametrize("torn", [b"{", b'{"event":"x"', b"\0" * 300, b"x" * 5000])
def test_a_torn_tail_is_cut_at_start(path: Path, torn: bytes) -> None:
    """A crash in the middle of a write leaves an unterminated line: cut, and nothing else."""
    filled(path, 3)
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert verify_file(path, KEY).torn == len(torn)
    log = open_log(path)
    assert path.read_bytes() == whole
    assert log.append(EVENT) == 3
    log.close()


def test_the_chain_key_is_nowhere_in_sight(path: Path) -> None:
    """Neither repr nor str of a log shows its key."""
    log = open_log(path)
    assert KEY.hex() not in repr(log) + str(log) + repr(log.head)
    assert repr(KEY)[2:-1] not in repr(log)
    log.close()
