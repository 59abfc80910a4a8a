"""The append-only audit log: a record is on the disk before `append` returns, or it raises.

Group commit: callers queue their events; the one who finds nobody writing writes everybody's with
one write and one fdatasync, wakes them, and hands the pen to the first who queued meanwhile. So
there is one writer at a time, and no thread of its own to start, stop or lose.

A failed write (a full disk gives a short one first) is cut off again, so the file always ends
with the last record that was promised; nothing more is taken until the cut succeeds. When space
returns, the next append simply works.
"""

import contextlib
import errno
import fcntl
import itertools
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from signer_daemon.ledger.clock import Clock, elapsed_ms_min
from signer_daemon.ledger.lines import lines_back, lines_from, lines_from_seq, sync_directory
from signer_daemon.ledger.state import State, StateFiles
from signer_daemon.ledger.verify import (
    ChainKey,
    Head,
    canonical,
    head_line,
    head_path,
    mac_of,
    origin,
    walk,
)

_OWN_FIELDS: Final = frozenset({"seq", "time_ms", "uptime_ms"})
# Between checkpoints: what a start then reads, some 40,000 records, takes it half a second. A log
# that is shorter is always verified whole.
_CHECKPOINT_BYTES = 16 << 20
_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW

Event = Mapping[str, Any]


class AuditUnavailableError(Exception):
    """The record could not be made durable: whatever it was to permit must not happen."""


class _Ticket:
    """One caller's events, and what became of them."""

    __slots__ = ("error", "events", "first_seq", "turn")

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.first_seq = -1
        self.error: Exception | None = None
        self.turn = threading.Lock()  # released when done, or when it is this caller's to write
        self.turn.acquire()

    @property
    def is_done(self) -> bool:
        return self.first_seq >= 0 or self.error is not None


class AuditLog:
    """The log at `path`, verified when opened. Raises AuditRejectedError if it was tampered with,
    OSError if it cannot be opened or another process has it. `chain_key` is read where it lies.
    A file that is not there is never made: a log that vanished is a reset of every limit.
    """

    def __init__(self, path: str | os.PathLike[str], chain_key: ChainKey, clock: Clock) -> None:
        self._key = chain_key
        self._clock = clock
        self._queue: list[_Ticket] = []
        self._queue_lock = threading.Lock()
        self._writing = False  # somebody holds the pen, or has been handed it
        self._pen = threading.Lock()
        self._grown = threading.Condition()
        self._state_source: Callable[[], Mapping[str, Any]] | None = None
        self._history: list[tuple[int, int]] = []  # closed segments: descriptor and size
        with contextlib.ExitStack() as opened:
            self._fd = os.open(path, _FLAGS | os.O_APPEND)
            opened.callback(os.close, self._fd)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.origin = origin(path, chain_key)
            self._states = StateFiles(path, chain_key, self.origin.count)
            opened.callback(self._states.close)
            latest = self._states.latest
            start = latest.head if latest else self.origin
            self._checkpoint_size = start.size
            log = walk(path, chain_key, must_be_pinned=True, start=start)
            self._head = deque(log, maxlen=1).pop()
            self._standing = dict(latest.standing) if latest else {}
            for line in lines_from(self._fd, self._head.size, start.size):
                if b'"standing":{' in line:
                    _fold(self._standing, json.loads(line[:-65]))
            self._head_fd = os.open(head_path(path), _FLAGS | os.O_CREAT, 0o600)
            opened.callback(os.close, self._head_fd)
            self._settle(self._head)
            sync_directory(path)
            opened.pop_all()

    @property
    def standing(self) -> dict[str, str]:
        """What stands by the log: the `standing` fields of its records, folded in order, where None
        lifts a key. For what must outlive the process without a file of its own.
        """
        return dict(self._standing)

    @property
    def head(self) -> Head:
        """The durable end of the log, for anchoring outside."""
        return self._head

    def close(self) -> None:
        """Closes the files; the log can then be opened again."""
        with self._pen, contextlib.ExitStack() as files:
            if self._fd >= 0:
                for fd in (self._fd, self._head_fd, *(fd for fd, _ in self._history)):
                    files.callback(os.close, fd)
                files.callback(self._states.close)
            self._fd = self._head_fd = -1

    def append(self, event: Event) -> int:
        """Records one event and gives its sequence number. `event` is JSON without `seq`, `time_ms`
        and `uptime_ms`, which the log adds. Raises AuditUnavailableError if it is not durable.
        """
        return self.append_many([event])[0]

    def append_many(self, events: Sequence[Event]) -> list[int]:
        """Records all events or none, in order, in one commit."""
        if any(_OWN_FIELDS & event.keys() for event in events):
            raise ValueError("an event brings a field that the log sets itself")
        ticket = _Ticket(events)
        with self._queue_lock:
            self._queue.append(ticket)
            must_wait, self._writing = self._writing, True
        if must_wait:
            ticket.turn.acquire()
        if not ticket.is_done:
            self._write_queue()
        if ticket.error is not None:
            raise ticket.error
        return list(range(ticket.first_seq, ticket.first_seq + len(events)))

    def _write_queue(self) -> None:
        with self._queue_lock:
            batch, self._queue = self._queue, []
        try:
            with self._pen:
                self._commit(batch)
        finally:
            with self._queue_lock:
                heir = self._queue[0] if self._queue else None
                self._writing = heir is not None
            for ticket in [heir, *batch] if heir else batch:
                ticket.turn.release()

    def _commit(self, batch: list[_Ticket]) -> None:
        failure: Exception = AuditUnavailableError("the writer was interrupted")
        try:
            self._check_file()
            lines, head, starts = self._encode(batch)
            self._write(lines, head)
            for ticket, first_seq in starts:
                ticket.first_seq = first_seq
                for event in ticket.events:
                    _fold(self._standing, event)
            if head.size - self._checkpoint_size >= _CHECKPOINT_BYTES:
                self._save_state()
        except OSError as error:
            failure = AuditUnavailableError(f"the audit log cannot be written: {error.strerror}")
        finally:
            for ticket in batch:
                if not ticket.is_done:
                    ticket.error = failure
        with self._grown:
            self._grown.notify_all()

    def _encode(self, batch: list[_Ticket]) -> tuple[bytes, Head, list[tuple[_Ticket, int]]]:
        """Gives the batch's lines and the head after them. An event that is not JSON is its own
        caller's failure, not everybody's.
        """
        times = {"time_ms": self._clock.wall_ms(), "uptime_ms": self._clock.uptime_ms()}
        count, mac, lines, starts = self._head.count, self._head.mac, [], []
        for ticket in batch:
            try:
                payloads = [
                    canonical({**event, **times, "seq": count + place})
                    for place, event in enumerate(ticket.events)
                ]
            except (TypeError, ValueError) as error:
                ticket.error = error
                continue
            starts.append((ticket, count))
            for payload in payloads:
                mac = mac_of(self._key, mac, payload)
                lines.append(payload + b"\t" + mac + b"\n")
            count += len(payloads)
        return (joined := b"".join(lines)), Head(count, mac, self._head.size + len(joined)), starts

    def _check_file(self) -> None:
        """Refuses if the file was removed or changed behind our back; cuts what a failure left."""
        if self._head.torn:
            self._settle(self._head)
        status = os.fstat(self._fd)
        if status.st_nlink == 0 or status.st_size != self._head.size:
            raise OSError(errno.ESTALE, "it was removed or changed while in use")

    def _write(self, lines: bytes, head: Head) -> None:
        before = self._head
        # Until the write is known to be whole, whatever follows the last head is to be cut.
        self._head = Head(before.count, before.mac, before.size, torn=1)
        left = memoryview(lines)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
            os.fdatasync(self._fd)
        except OSError:
            self._settle(self._head)
            raise
        self._settle(head)

    def _save_state(self) -> None:
        """Writes a checkpoint of the limits. They contain every record up to the head, because a
        charge is reserved before its record is written. A checkpoint that fails is tried again
        when the log has grown as much again: it saves work, it proves nothing.
        """
        self._checkpoint_size = self._head.size
        if self._state_source is not None:
            clocks = (self._clock.wall_ms(), self._clock.uptime_ms())
            with contextlib.suppress(OSError):
                self._states.save(State(self._head, clocks, self._state_source(), self._standing))

    def _settle(self, head: Head) -> None:
        """Makes `head` the end: cuts what follows it if it is torn, and pins it. The pin needs no
        sync: a power cut leaves an older one, which still proves what came before it.
        """
        if head.torn:
            os.ftruncate(self._fd, head.size)
            os.fdatasync(self._fd)
        os.pwrite(self._head_fd, head_line(head, self._key), 0)
        self._head = Head(head.count, head.mac, head.size)

    def wait_beyond(self, count: int, timeout_s: float) -> bool:
        """Waits until the log has more than `count` records; False if it has not by the timeout."""
        with self._grown:
            return self._grown.wait_for(lambda: self._head.count > count, timeout_s)

    def read(self, first_seq: int, limit: int) -> list[str]:
        """Gives up to `limit` durable records from `first_seq` on, as they stand in the log but
        without the newline: JSON, a tab, the MAC. Of older ones than are left, the oldest.
        """
        if not 0 <= first_seq < self._head.count:
            return []
        older = self._history if first_seq < self.origin.count else []
        files = [*older, (self._fd, self._head.size)]
        lines = itertools.chain.from_iterable(lines_from_seq(*each, first_seq) for each in files)
        return [line.decode("ascii") for line in itertools.islice(lines, limit)]

    def keep_history(self, closed: Sequence[os.PathLike[str]]) -> None:
        """Opens closed segments, oldest first, for `read`."""
        fds = [os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW) for path in closed]
        self._history = [(fd, os.fstat(fd).st_size) for fd in fds]

    def recent(self, age_ms_max: int) -> Iterator[tuple[Mapping[str, Any], int]]:
        """Yields the records, newest first, with the least age in ms that each can have, as far
        back as `age_ms_max` or the last checkpoint, which comes last as `{"meters": ...}`.
        For rebuilding the limits when the signer starts.
        """
        state = self._states.latest
        later, age = (self._clock.wall_ms(), self._clock.uptime_ms()), 0
        start = state.head.size if state else 0
        for line in lines_back(self._fd, self._head.size, start):
            record = json.loads(line[:-65])
            written = (record["time_ms"], record["uptime_ms"])
            age += elapsed_ms_min(written, later)
            later = written
            if age > age_ms_max:
                return
            yield record, age
        if state is not None:
            yield {"meters": state.meters}, age + elapsed_ms_min(state.clocks, later)

    def keep_state(self, source: Callable[[], Mapping[str, Any]]) -> None:
        """Has a checkpoint written every 16 MiB, of what `source` (`Meters.state`) gives then."""
        self._state_source = source


def _fold(standing: dict[str, str], event: Event) -> None:
    for key, value in (event.get("standing") or {}).items():
        if value is None:
            standing.pop(key, None)
        else:
            standing[key] = value
