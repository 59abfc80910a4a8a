"""The audit log: durable or refused, chained, and itself again after every accident."""

import errno
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer_daemon.ledger import AuditLog, AuditRejectedError, AuditUnavailableError, verify_file
from signer_daemon.ledger import audit as audit_module
from signer_daemon.ledger import lines as lines_module
from signer_daemon.ledger.verify import head_path
from tests.intent.examples import examples
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


def test_a_terminated_foreign_line_is_not_a_torn_tail(path: Path) -> None:
    """A whole line without the right MAC was not left by a crash: no start."""
    filled(path, 3)
    path.write_bytes(path.read_bytes() + b'{"event":"forged"}\t' + b"0" * 64 + b"\n")
    with pytest.raises(AuditRejectedError) as raised:
        open_log(path)
    assert raised.value.seq == 3


def lines_of(path: Path) -> list[bytes]:
    """The log's lines."""
    return path.read_bytes().splitlines(keepends=True)


@examples(200)
@given(st.data())
def test_any_altered_byte_is_found_and_named(data: st.DataObject) -> None:
    """Whatever byte of whatever record is changed, verification names that record, or the cut tail
    if the last newline went.
    """
    lines = list(LINES)
    number = data.draw(st.integers(0, len(lines) - 1))
    at = data.draw(st.integers(0, len(lines[number]) - 1))
    change = data.draw(st.integers(1, 255))
    line = bytearray(lines[number])
    line[at] ^= change
    lines[number] = bytes(line)
    rejected(lines, number)


@pytest.fixture(autouse=True, scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Writes one log of 20 records, whose bytes the tampering tests start from."""
    global HEAD  # noqa: PLW0603 - set once, here
    directory = tmp_path_factory.mktemp("reference")
    filled(directory / "audit.log", 20)
    LINES.extend(lines_of(directory / "audit.log"))
    HEAD = head_path(directory / "audit.log").read_bytes()
    SCRATCH.append(directory / "scratch.log")


LINES: list[bytes] = []
HEAD = b""
SCRATCH: list[Path] = []


def rejected(lines: list[bytes], number: int) -> None:
    """Asserts that both the tool and the signer refuse these lines, naming record `number`."""
    (scratch,) = SCRATCH
    scratch.write_bytes(b"".join(lines))
    head_path(scratch).write_bytes(HEAD)
    for check in (lambda: verify_file(scratch, KEY), lambda: open_log(scratch).close()):
        with pytest.raises(AuditRejectedError) as raised:
            check()
        assert raised.value.seq == number


@pytest.mark.parametrize("number", range(20))
def test_a_removed_record_is_found_and_named(number: int) -> None:
    """The first, one in the middle, and the last: the head pins the end."""
    rejected(LINES[:number] + LINES[number + 1 :], number)


@pytest.mark.parametrize("number", range(19))
def test_reordered_and_doubled_records_are_found_and_named(number: int) -> None:
    """Two neighbours exchanged; one record twice."""
    swapped = [*LINES[:number], LINES[number + 1], LINES[number], *LINES[number + 2 :]]
    rejected(swapped, number)
    rejected([*LINES[: number + 1], *LINES[number:]], number + 1)


def test_records_of_another_key_are_refused(path: Path) -> None:
    """Without the chain key nobody can write a line that verifies, nor a head."""
    log = AuditLog(path, bytes(32), FakeClock(), create=True)
    log.append(EVENT)
    log.close()
    with pytest.raises(AuditRejectedError, match="head file"):
        verify_file(path, KEY)
    head_path(path).unlink()
    with pytest.raises(AuditRejectedError) as raised:
        verify_file(path, KEY)
    assert raised.value.seq == 0


def test_removed_files_are_refused_at_start(path: Path) -> None:
    """The log without its head, the head without its log: no start. (Both gone is a first start:
    `create=False` and heads kept elsewhere are for that.)
    """
    filled(path, 3)
    log, head = path.read_bytes(), head_path(path).read_bytes()
    head_path(path).unlink()
    with pytest.raises(AuditRejectedError, match="head file was removed"):
        open_log(path)
    assert verify_file(path, KEY).count == 3  # a copy may come without
    head_path(path).write_bytes(head)
    path.unlink()
    with pytest.raises(AuditRejectedError, match="the head counts 3 records"):
        open_log(path)
    path.write_bytes(log)
    open_log(path).close()
    path.unlink()
    head_path(path).unlink()
    with pytest.raises(FileNotFoundError):
        AuditLog(path, KEY, FakeClock(), create=False)


def test_an_older_head_is_no_objection(path: Path) -> None:
    """A power cut can lose the head's last update: the log may be longer than its head says."""
    filled(path, 3)
    older = head_path(path).read_bytes()
    log = open_log(path)
    log.append(EVENT)
    log.close()
    head_path(path).write_bytes(older)
    assert verify_file(path, KEY).count == 4
    open_log(path).close()
    assert head_path(path).read_bytes() != older


def test_one_writer_only(path: Path) -> None:
    """A second signer on the same log is refused while the first lives."""
    log = open_log(path)
    with pytest.raises(BlockingIOError):
        open_log(path)
    log.close()
    open_log(path).close()


def test_symbolic_links_are_not_followed(path: Path, tmp_path: Path) -> None:
    """The log is the file itself."""
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        open_log(path)


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


def test_the_chain_key_is_nowhere_in_sight(path: Path) -> None:
    """Neither repr nor str of a log shows its key."""
    log = open_log(path)
    assert KEY.hex() not in repr(log) + str(log) + repr(log.head)
    assert repr(KEY)[2:-1] not in repr(log)
    log.close()
