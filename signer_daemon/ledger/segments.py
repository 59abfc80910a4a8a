"""The log in segments: a new file begins at a start on another day, or under other secrets.

    audit-00000000000000000000.log   closed: its last record says so
    audit-00000000000000012345.log   closed; named by the number of its first record
    audit.log                        current

Records count on and MACs chain on from file to file: the first record of a segment carries the
count and MAC that it follows, the id of its own chain key, and, with the records after it, what a
start needs of the past (limits, what stands). So the signer runs on the current segment alone,
and a verifier with all of them sees one chain. It happens at a start only, before the sandbox in
which no file can be made.

The change is one rename. Before it the old log is in force, and a start repeats what was begun;
after it the new one, and a start finishes what was left.
"""

import os
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

from signer_daemon.ledger.audit import AuditLog
from signer_daemon.ledger.clock import Clock
from signer_daemon.ledger.lines import sync_directory
from signer_daemon.ledger.meters import DAY_MS, Meters
from signer_daemon.ledger.verify import (
    OPENING,
    AuditRejectedError,
    ChainKey,
    Head,
    canonical,
    first_record,
    head_line,
    head_path,
    mac_of,
    origin,
    walk,
)

CLOSING: Final = "close_segment"
_READABLE_MAX: Final = 32  # closed segments kept open for whoever follows the log from far behind
_STANDING_PER_RECORD: Final = 2_000
_AMOUNTS_PER_RECORD: Final = 10_000  # some 20 bytes each; a record is at most 1 MiB
_CLOSED: Final = re.compile(r"-(\d{20})")


def open_log(
    path: Path, keys: Mapping[str, ChainKey], key_id: str, clock: Clock, meters: Meters
) -> AuditLog:
    """Opens the log that the signer goes on with, limits restored; begins a segment if it is time.

    An empty file is a new log. Whoever installs the signer makes it, once: if it is missing later,
    with all that lay beside it, every limit and freeze would be forgotten, so there is no start.
    `keys` are the chain keys by key id, `key_id` the current one's. Raises what AuditLog raises.
    """
    _finish_switch(path)
    closed = closed_segments(path)
    first = first_record(path)
    if not first and closed:
        raise AuditRejectedError(0, f"{path.name} was removed, but closed segments are there")
    if not path.exists():
        raise AuditRejectedError(
            0, f"{path.name} is not there: restore it; only for a first start, make an empty one"
        )
    opened_under = str(first.get("key_id", key_id))
    if opened_under not in keys:
        raise AuditRejectedError(
            int(first.get("seq", 0)),
            f"the log is under the keys {opened_under}: configure them as the previous secrets",
        )
    log = AuditLog(path, keys[opened_under], clock)
    try:
        meters.restore(log.recent(DAY_MS))
        is_other_day = _day(int(first.get("time_ms", clock.wall_ms()))) != _day(clock.wall_ms())
        if first and (opened_under != key_id or is_other_day):
            _switch(log, path, keys[key_id], key_id, clock, meters)
            log = AuditLog(path, keys[key_id], clock)
        _check_link(path, log.origin)
        log.keep_state(meters.state)
        log.keep_history(closed_segments(path)[-_READABLE_MAX:])
    except BaseException:
        log.close()
        raise
    return log


def closed_segments(path: Path) -> list[Path]:
    """Gives the closed segments beside a log, oldest first."""
    found = path.parent.glob(f"{path.stem}-*{path.suffix}")
    return sorted(each for each in found if _CLOSED.fullmatch(each.stem.removeprefix(path.stem)))


def verify_series(path: Path, keys: Mapping[str, ChainKey]) -> Iterator[Head]:
    """Verifies every segment of a log and the links between them; yields heads, the last the end.

    A segment's key is the one that its first record names, and must be in `keys`. Raises
    AuditRejectedError naming the first bad record, OSError.
    """
    end = Head()
    for segment in [*closed_segments(path), path]:
        first = first_record(segment)
        key_id = str(first.get("key_id", "")) or next(iter(keys))
        if key_id not in keys:
            raise AuditRejectedError(end.count, f"{segment.name}: no key {key_id} is at hand")
        start = origin(segment, keys[key_id])
        if start.count != end.count:
            raise AuditRejectedError(end.count, f"removed, up to where {segment.name} begins")
        if start.mac != end.mac:
            raise AuditRejectedError(end.count, f"{segment.name} follows another record")
        for end in walk(segment, keys[key_id], must_be_pinned=False):
            yield end
        if end.torn and segment != path:
            raise AuditRejectedError(end.count, f"{segment.name} ends in a torn record")


def _switch(
    log: AuditLog, path: Path, key: ChainKey, key_id: str, clock: Clock, meters: Meters
) -> None:
    """Closes the log with a last record and puts a new one in its place, in this order: see above.

    Closes `log` itself too.
    """
    record = {"event": CLOSING, "caller": "signer", "request_id": "", "outcome": "ok"}
    log.append({**record, "next_key_id": key_id})
    begun, end, standing = log.origin, log.head, log.standing
    log.close()
    previous = {"first": begun.count, "count": end.count, "mac": end.mac.decode()}
    opening = {**record, "event": OPENING, "key_id": key_id, "previous": previous}
    times = {"time_ms": clock.wall_ms(), "uptime_ms": clock.uptime_ms()}
    mac, count, lines = end.mac, end.count, []
    for event in (opening, *({**record, **what} for what in _carried(standing, meters.state()))):
        payload = canonical({**event, **times, "seq": count})
        mac = mac_of(key, mac, payload)
        lines.append(payload + b"\t" + mac + b"\n")
        count += 1
    new, closed = _next(path), _closed(path, begun.count)
    _write(new, b"".join(lines))
    _write(head_path(new), head_line(Head(count, mac), key))
    for old, name in ((path, closed), (head_path(path), head_path(closed))):
        _link(old, name)
    sync_directory(path)
    new.replace(path)  # here it happens
    _finish_switch(path)


def _finish_switch(path: Path) -> None:
    """Does what a crash left undone: the new head to the new log; or the second name of a log that
    is in force after all away.
    """
    new = _next(path)
    if head_path(new).exists() and not new.exists():
        head_path(new).replace(head_path(path))
    for name in closed_segments(path):
        if path.exists() and name.samefile(path):
            name.unlink()
            head_path(name).unlink(missing_ok=True)
    sync_directory(path)


def _carried(
    standing: Mapping[str, str], windows: Mapping[str, list[tuple[int, int, int]]]
) -> Iterator[dict[str, Any]]:
    """Gives what the new segment has to know, in records that are not too long for a line."""
    items = iter(standing.items())
    while some := dict(islice(items, _STANDING_PER_RECORD)):
        yield {"event": "carry", "standing": some}
    part: dict[str, list[tuple[int, int, int]]] = {}
    for name, spent in windows.items():
        part[name] = spent
        if sum(map(len, part.values())) >= _AMOUNTS_PER_RECORD:
            yield {"event": "carry", "meters": part}
            part = {}
    if part:
        yield {"event": "carry", "meters": part}


def _check_link(path: Path, begin: Head) -> None:
    """Refuses if the segment before is there and does not end where the current one begins."""
    previous = first_record(path).get("previous")
    if previous is None:
        return
    closed = _closed(path, previous["first"])
    if not closed.exists():
        return  # archived
    with closed.open("rb") as file:
        file.seek(max(0, closed.stat().st_size - 65))
        if file.read(64) != begin.mac:
            raise AuditRejectedError(begin.count - 1, f"{closed.name} does not end with it")


def _link(old: Path, name: Path) -> None:
    """Gives a file a second name. One that a crash left from the last attempt is taken over."""
    if name.exists() and name.samefile(old):
        return
    name.hardlink_to(old)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _next(path: Path) -> Path:
    return path.with_name(path.name + ".next")


def _closed(path: Path, first: int) -> Path:
    return path.with_name(f"{path.stem}-{first:020d}{path.suffix}")


def _day(time_ms: int) -> int:
    return time_ms // DAY_MS
