"""A log that goes on in a new file: on another day, under other secrets, and whatever crashes."""

import contextlib
import json
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from signer_daemon.ledger import (
    AuditLog,
    AuditRejectedError,
    Head,
    Meters,
    open_log,
    verify_series,
)
from signer_daemon.ledger import segments as module
from signer_daemon.ledger.segments import closed_segments
from signer_daemon.policy.model import Charge
from tests.ledger.kit import EVENT, FakeClock

KEYS = {"0000000a": bytes(range(32)), "0000000b": bytes(range(1, 33))}
DAY_MS = 86_400_000
CAP = Charge("lamports/wallet/day", 60, 100, "lamports in 24 h")


class Crash(BaseException):
    """The machine stops here."""


def opened(
    path: Path, clock: FakeClock, key_id: str = "0000000a", meters: Meters | None = None
) -> AuditLog:
    """Open the log, first made by an operator, as a signer with these secrets does."""
    path.touch(0o600)
    return reopened(path, clock, key_id, meters)


def reopened(
    path: Path, clock: FakeClock, key_id: str = "0000000a", meters: Meters | None = None
) -> AuditLog:
    """Open the log as it is found, its first record as the signer's."""
    log = open_log(path, KEYS, key_id, clock, meters or Meters(clock))
    log.append({"event": "start", "key_id": key_id})
    return log


def end_of(path: Path, keys: dict[str, bytes] = KEYS) -> Head:
    """Verify the whole series; give its end."""
    return deque(verify_series(path, keys), maxlen=1).pop()


def three_segments(path: Path, clock: FakeClock) -> list[Path]:
    """Two closed segments and a current one, the last under other secrets."""
    for key_id in ("0000000a", "0000000a", "0000000b"):
        log = opened(path, clock, key_id)
        log.append_many([{**EVENT, "number": number} for number in range(5)])
        log.close()
        clock.pass_ms(DAY_MS)
    return closed_segments(path)


def test_a_segment_begins_on_another_day_and_under_other_secrets(tmp_path: Path) -> None:
    """Numbers and MACs go on from file to file; on the same day under the same secrets the file
    does.
    """
    path, clock = tmp_path / "audit.log", FakeClock()
    opened(path, clock).close()
    opened(path, clock).close()
    assert [] == closed_segments(path)
    clock.pass_ms(DAY_MS)
    opened(path, clock).close()
    assert [path.with_name(f"audit-{0:020d}.log")] == closed_segments(path)
    log = opened(path, clock, "0000000b")
    assert 2 == len(closed_segments(path))
    records = [json.loads(line.partition("\t")[0]) for line in log.read(0, 1000)]
    log.close()
    assert list(range(len(records))) == [record["seq"] for record in records]
    assert 2 == [record["event"] for record in records].count("open_segment")
    assert len(records) == end_of(path).count


def test_limits_and_what_stands_go_along(tmp_path: Path) -> None:
    """A cap that is used up, and a freeze, are in force in the next segment, and in the one after;
    the cap ends when its day has passed.
    """
    path, clock = tmp_path / "audit.log", FakeClock()
    log = opened(path, clock)
    log.append({**EVENT, "charges": [[CAP.meter, 60]], "standing": {"freeze/all": "1"}})
    log.close()
    for key_id, passed_ms in (("0000000b", 1000), ("0000000a", 1000), ("0000000b", 1000)):
        clock.pass_ms(passed_ms)
        meters = Meters(clock)
        log = opened(path, clock, key_id, meters)
        assert (40, "1") == (meters.available(CAP), log.standing["freeze/all"])
        log.close()
    clock.pass_ms(DAY_MS)
    meters = Meters(clock)
    opened(path, clock, "0000000b", meters).close()
    assert 100 == meters.available(CAP)


def test_secrets_that_the_log_is_not_under_are_refused_by_name(tmp_path: Path) -> None:
    """Without the previous secrets the log stays as it is, and the refusal says what is missing."""
    path, clock = tmp_path / "audit.log", FakeClock()
    opened(path, clock).close()
    before = path.read_bytes()
    with pytest.raises(AuditRejectedError, match="0000000a"):
        open_log(path, {"0000000b": KEYS["0000000b"]}, "0000000b", clock, Meters(clock))
    assert before == path.read_bytes()


@pytest.mark.parametrize("step", range(8))
@pytest.mark.parametrize("key_id", ["0000000a", "0000000b"])
def test_a_crash_at_any_step_is_repaired_at_the_next_start(
    step: int, key_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever step of the change is the last before a crash, the next start has one whole chain
    with every record and every limit; so has a start that goes back to the old secrets.
    """
    path, clock = tmp_path / "audit.log", FakeClock()
    log = opened(path, clock)
    log.append({**EVENT, "charges": [[CAP.meter, 60]], "number": 77})
    log.close()
    left = step

    def counting(original: Callable[..., object]) -> Callable[..., object]:
        def run(*arguments: object) -> object:
            nonlocal left
            if left == 0:
                raise Crash
            left -= 1
            return original(*arguments)

        return run

    with monkeypatch.context() as patched:
        for name in ("_write", "_link", "sync_directory", "_finish_switch"):
            patched.setattr(module, name, counting(getattr(module, name)))
        with contextlib.suppress(Crash):
            opened(path, clock, "0000000b").close()
    meters = Meters(clock)
    log = opened(path, clock, key_id, meters)
    numbers = [json.loads(line.partition("\t")[0]).get("number") for line in log.read(0, 100)]
    log.close()
    assert (40, 1) == (meters.available(CAP), numbers.count(77))
    assert len(numbers) == end_of(path).count


def test_a_removed_or_altered_segment_is_found_and_named(tmp_path: Path) -> None:
    """A missing file anywhere, one put in another's place, or one changed byte of a closed segment:
    the verifier names the first record that is wrong.
    """
    path, clock = tmp_path / "audit.log", FakeClock()
    first, second = three_segments(path, clock)
    whole = end_of(path)
    begin = int(second.stem.removeprefix("audit-"))
    for gone, seq in ((first, 0), (second, begin)):
        kept = gone.read_bytes()
        gone.unlink()
        with pytest.raises(AuditRejectedError) as caught:
            end_of(path)
        assert seq == caught.value.seq
        gone.write_bytes(kept)
    kept = second.read_bytes()
    second.write_bytes(kept.replace(b'"number":3', b'"number":4'))
    with pytest.raises(AuditRejectedError) as caught:
        end_of(path)
    assert begin < caught.value.seq < whole.count
    second.write_bytes(first.read_bytes())
    with pytest.raises(AuditRejectedError):
        end_of(path)
    second.write_bytes(kept)
    assert whole == end_of(path)
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises((AuditRejectedError, OSError)):
        end_of(path)


def test_a_removed_current_log_is_not_begun_anew(tmp_path: Path) -> None:
    """A log that is gone is a reset of every limit, and refused: with closed segments there, also
    where an empty file takes its place; and with every file gone that ever lay beside it.
    """
    path, clock = tmp_path / "audit.log", FakeClock()
    three_segments(path, clock)
    for name in ("audit.log", "audit.log.head"):
        (tmp_path / name).unlink()
    with pytest.raises(AuditRejectedError, match="was removed, but closed segments are there"):
        reopened(path, clock)
    path.touch()
    with pytest.raises(AuditRejectedError, match="was removed, but closed segments are there"):
        reopened(path, clock)
    for file in tmp_path.iterdir():
        file.unlink()
    with pytest.raises(AuditRejectedError, match="is not there: restore it"):
        reopened(path, clock)
    assert [] == list(tmp_path.iterdir())


def test_the_segment_before_must_end_where_the_current_one_begins(tmp_path: Path) -> None:
    """A start looks at the end of the last closed segment, if it is still there."""
    path, clock = tmp_path / "audit.log", FakeClock()
    _, second = three_segments(path, clock)
    clock.pass_ms(-DAY_MS)
    kept = second.read_bytes()
    second.write_bytes(b"".join(kept.splitlines(keepends=True)[:-1]))
    with pytest.raises(AuditRejectedError):
        opened(path, clock, "0000000b")
    second.unlink()
    opened(path, clock, "0000000b").close()


def test_many_windows_and_freezes_fit(tmp_path: Path) -> None:
    """20,000 wallets with spending and 5,000 freezes go along in records of legal length."""
    path, clock = tmp_path / "audit.log", FakeClock()
    log = opened(path, clock)
    for start in range(0, 20_000, 5_000):
        names = [f"lamports/{number:044d}/day" for number in range(start, start + 5_000)]
        log.append({**EVENT, "charges": [[name, 1] for name in names]})
    log.append({**EVENT, "standing": {f"freeze/wallet/{n:044d}": "1" for n in range(5_000)}})
    log.close()
    opened(path, clock, "0000000b").close()
    meters = Meters(clock)
    log = opened(path, clock, "0000000b", meters)
    log.close()
    assert 5_000 == len(log.standing)
    assert {99} == {
        meters.available(Charge(f"lamports/{number:044d}/day", 1, 100, "x"))
        for number in range(20_000)
    }
