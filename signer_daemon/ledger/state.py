"""Checkpoints of the limits, so that a start reads the log's end and not all of it.

Two files, `<log>.state0` and `<log>.state1`, are overwritten in turn: a crash spoils at most the
one being written. Each is one line, `<64 hex>\\t<json>\\n`, with the MAC under the chain key. A
checkpoint saves work and is no evidence: without one, or with an older one, the start reads more of
the log and comes to the same limits. What lies before it, `solward audit verify` alone verifies.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from signer_daemon.ledger.verify import ChainKey, Head, mac_of

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_LABEL = b"state"


@dataclass(frozen=True, slots=True)
class State:
    """The limits as they stood at a head of the log, and what the clocks said then."""

    head: Head
    clocks: tuple[int, int]  # wall and uptime, ms
    meters: Mapping[str, Any]
    standing: Mapping[str, str]


class StateFiles:
    """The two checkpoint files, open from the start: nothing has to be opened later."""

    def __init__(self, path: str | os.PathLike[str], chain_key: ChainKey, first_seq: int) -> None:
        self._key = chain_key
        self._first_seq = first_seq  # of the segment: one of another segment is none of ours
        with contextlib.ExitStack() as opened:
            self._fds = []
            for slot in (0, 1):
                self._fds.append(os.open(f"{os.fspath(path)}.state{slot}", _FLAGS, 0o600))
                opened.callback(os.close, self._fds[slot])
            found = [self._read(fd) for fd in self._fds]
            opened.pop_all()
        counts = [-1 if state is None else state.head.count for state in found]
        self._next = 0 if counts[0] < counts[1] else 1
        self.latest = found[1 - self._next]

    def close(self) -> None:
        """Closes both."""
        for fd in self._fds:
            os.close(fd)

    def save(self, state: State) -> None:
        """Writes a checkpoint over the older one. Raises OSError; the newer one is untouched."""
        document = {
            "first": self._first_seq,
            "count": state.head.count,
            "mac": state.head.mac.decode(),
            "size": state.head.size,
            "clocks": state.clocks,
            "meters": state.meters,
            "standing": state.standing,
        }
        payload = json.dumps(document, separators=(",", ":")).encode()
        fd = self._fds[self._next]
        line = memoryview(mac_of(self._key, _LABEL, payload) + b"\t" + payload + b"\n")
        os.ftruncate(fd, 0)
        at = 0
        while at < len(line):
            at += os.pwrite(fd, line[at:], at)
        os.fdatasync(fd)
        self._next = 1 - self._next
        self.latest = state

    def _read(self, fd: int) -> State | None:
        """Gives the checkpoint in a file, None if it is empty, torn or not ours."""
        with open(fd, "rb", closefd=False) as file:
            mac, _, payload = file.read().partition(b"\t")
        if payload[-1:] != b"\n" or mac != mac_of(self._key, _LABEL, payload[:-1]):
            return None
        found = json.loads(payload)
        if found.get("first", 0) != self._first_seq:
            return None
        head = Head(found["count"], found["mac"].encode(), found["size"])
        clocks = (found["clocks"][0], found["clocks"][1])
        return State(head, clocks, found["meters"], found["standing"])
