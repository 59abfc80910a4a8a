"""The audit log against whoever can write to its directory: every change is found and named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer_daemon.ledger import AuditLog, AuditRejectedError, verify_file
from signer_daemon.ledger.verify import head_path
from tests.intent.examples import examples
from tests.ledger.kit import EVENT, KEY, FakeClock, filled, lines_of, open_log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log file that does not exist yet."""
    return tmp_path / "audit.log"


def test_a_terminated_foreign_line_is_not_a_torn_tail(path: Path) -> None:
    """A whole line without the right MAC was not left by a crash: no start."""
    filled(path, 3)
    path.write_bytes(path.read_bytes() + b'{"event":"forged"}\t' + b"0" * 64 + b"\n")
    with pytest.raises(AuditRejectedError) as raised:
        open_log(path)
    assert raised.value.seq == 3


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
    path.touch()
    log = AuditLog(path, bytes(32), FakeClock())
    log.append(EVENT)
    log.close()
    with pytest.raises(AuditRejectedError, match="head file"):
        verify_file(path, KEY)
    head_path(path).unlink()
    with pytest.raises(AuditRejectedError) as raised:
        verify_file(path, KEY)
    assert raised.value.seq == 0


def test_removed_files_are_refused_at_start(path: Path) -> None:
    """The log without its head, the head without its log, or neither: no start."""
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
        AuditLog(path, KEY, FakeClock())


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
