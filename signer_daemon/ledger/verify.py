"""The audit file's format, and its verification by whoever holds the chain key.

A line is `<json>\\t<64 hex>\\n`: canonical ASCII JSON with `seq` counting from 0, then
HMAC-SHA256(chain key, the MAC before it || json), MACs as hex, the first before being 64 zeros.
So no line can be altered, removed, put in or moved without the key. The file's end is pinned by
`<file>.head`, one such line about the last record: a log that ends before its head was cut.
(Whoever puts back an older pair of both is caught by an older head that is kept elsewhere.)
"""

import hashlib
import hmac
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

GENESIS = b"0" * 64
OPENING = "open_segment"  # the event that begins a log that goes on from another one
LINE_BYTES_MAX = 1 << 20
_READ_BYTES = 1 << 20
_HEAD_PAYLOAD_BYTES = 20 + 1 + 64
ChainKey = bytes | bytearray | memoryview


class AuditRejectedError(Exception):
    """The audit file is not what the signer wrote. `seq` is the first record that is wrong."""

    def __init__(self, seq: int, reason: str) -> None:
        super().__init__(f"audit record {seq}: {reason}")
        self.seq = seq


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a log or of a part of it: records so far, the last MAC (hex), the bytes they take;
    `torn` counts the bytes of an unterminated line after them.
    """

    count: int = 0
    mac: bytes = GENESIS
    size: int = 0
    torn: int = 0


def canonical(record: Mapping[str, Any]) -> bytes:
    """Gives a record as JSON. Raises ValueError, TypeError if it is none or too long for a line."""
    text = json.dumps(
        record, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
    if len(text) > LINE_BYTES_MAX - 66:
        # It would be written and never verify: the signer could not start again.
        raise ValueError("an event is longer than any record may be")
    return text.encode("ascii")


def mac_of(chain_key: ChainKey, before: bytes, payload: bytes) -> bytes:
    """Gives a record's MAC in hex. Keeps no copy of the key."""
    return hmac.digest(cast(bytes, chain_key), before + payload, "sha256").hex().encode()


def verify_file(path: str | os.PathLike[str], chain_key: ChainKey) -> Head:
    """Verifies a whole log against its chain and its pinned end. Raises AuditRejectedError naming
    the first bad record, OSError if it cannot be read.
    """
    return deque(walk(path, chain_key, must_be_pinned=False), maxlen=1).pop()


def walk(
    path: str | os.PathLike[str],
    chain_key: ChainKey,
    *,
    must_be_pinned: bool,
    start: Head | None = None,
) -> Iterator[Head]:
    """Verifies a log from `start` on (by default all of it) and yields the head after each MiB or
    so, the final one last. A copy may come without its head file, the signer's own log may not.
    Raises AuditRejectedError.
    """
    pinned_count, pinned_mac = read_head(path, chain_key)
    check = _bulk_mac(chain_key)
    start = start or origin(path, chain_key)
    count, mac, size, tail = start.count, start.mac, start.size, b""
    with Path(path).open("rb") as file:
        if file.seek(0, os.SEEK_END) < size:
            raise AuditRejectedError(count, "records before it were removed")
        file.seek(size)
        while block := file.read(_READ_BYTES):
            lines = (tail + block).split(b"\n")
            tail = lines.pop()
            for line in lines:
                mac = check(mac, line[:-65])
                if line[-65:] != b"\t" + mac:
                    raise AuditRejectedError(count, "altered, or not the one that belongs here")
                count += 1
                size += len(line) + 1
                if count == pinned_count and mac != pinned_mac:
                    raise AuditRejectedError(count - 1, "not the record that the head names")
            if len(tail) > LINE_BYTES_MAX:
                raise AuditRejectedError(count, "longer than any record")
            yield Head(count, mac, size)
    if count and must_be_pinned and not pinned_count:
        raise AuditRejectedError(count - 1, "its head file was removed")
    if count < pinned_count:
        raise AuditRejectedError(count, f"removed: the head counts {pinned_count} records")
    yield Head(count, mac, size, len(tail))


def first_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a log's first record, unverified: {} if there is none, numbered and dated, that can be
    read.
    """
    try:
        with Path(path).open("rb") as file:
            record = json.loads(file.readline(LINE_BYTES_MAX)[:-66])
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    numbers = [record.get(name) for name in ("seq", "time_ms")] if isinstance(record, dict) else []
    return record if [type(number) for number in numbers] == [int, int] else {}


def origin(path: str | os.PathLike[str], chain_key: ChainKey) -> Head:
    """Gives the head that a log's first record follows: none, or the end of the segment before.
    That record is verified. Raises AuditRejectedError.
    """
    record = first_record(path)
    if record.get("event") != OPENING:
        return Head()
    with Path(path).open("rb") as file:
        line = file.readline(LINE_BYTES_MAX)
    match record.get("previous"):
        case {"count": int(count), "mac": str(mac)} if mac.isascii():
            before = Head(count, mac.encode())
        case _:
            raise AuditRejectedError(record["seq"], "altered, or not the one that belongs here")
    if line[-65:-1] != mac_of(chain_key, before.mac, line[:-66]):
        raise AuditRejectedError(before.count, "altered, or not the one that belongs here")
    return before


def _bulk_mac(chain_key: ChainKey) -> Callable[[bytes, bytes], bytes]:
    """Gives `mac_of` for many records: HMAC with both key blocks hashed once, which halves the time
    of `hmac.digest`. The blocks are wiped; OpenSSL wipes the states when they are dropped.
    """
    states = []
    for pad in (0x36, 0x5C):
        block = bytearray([pad]) * 64
        for place, byte in enumerate(memoryview(chain_key)):  # a copy of it would outlive us
            block[place] ^= byte
        states.append(hashlib.sha256(block))
        block[:] = bytes(64)
    inner_state, outer_state = states

    def mac(before: bytes, payload: bytes) -> bytes:
        inner, outer = inner_state.copy(), outer_state.copy()
        inner.update(before + payload)
        outer.update(inner.digest())
        return outer.hexdigest().encode()

    return mac


def head_path(path: str | os.PathLike[str]) -> Path:
    """Gives the path of the file that pins the log's end."""
    return Path(os.fspath(path) + ".head")


def head_line(head: Head, chain_key: ChainKey) -> bytes:
    """Gives the head file's content, always of one length: it is overwritten in place."""
    payload = b"%020d %s" % (head.count, head.mac)
    return payload + b"\t" + mac_of(chain_key, b"head", payload) + b"\n"


def read_head(path: str | os.PathLike[str], chain_key: ChainKey) -> tuple[int, bytes]:
    """Reads the pinned count and MAC; (0, GENESIS) if no head was ever written.
    Raises AuditRejectedError if it is not the signer's.
    """
    try:
        line = head_path(path).read_bytes()
    except FileNotFoundError:
        return 0, GENESIS
    payload = line[:_HEAD_PAYLOAD_BYTES]
    if line and line[len(payload) :] != b"\t" + mac_of(chain_key, b"head", payload) + b"\n":
        raise AuditRejectedError(0, "the head file is not the signer's")
    return (int(payload[:20]), payload[21:]) if line else (0, GENESIS)
