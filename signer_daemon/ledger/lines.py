"""Finds and reads records in a log that may be larger than memory, with no index to keep."""

import errno
import json
import os
from collections.abc import Iterator

_READ_BYTES = 1 << 16


def lines_from_seq(fd: int, end: int, seq: int) -> Iterator[bytes]:
    """Reads the lines of record `seq` and those after it, up to the offset `end`. Bisects first:
    every line tells its own number, and numbers only rise.
    """
    low, high = 0, end
    while high - low > _READ_BYTES:
        middle = (low + high) // 2
        lines = lines_from(fd, end, middle)
        start = middle + len(next(lines)) + 1  # behind the rest of whatever line is cut here
        line = next(lines, None)
        if line is None or start >= high or _seq_of(line) > seq:
            high = middle
        else:
            low = start
    lines = lines_from(fd, end, low)
    for line in lines:
        if _seq_of(line) >= seq:
            yield line
            break
    yield from lines


def lines_from(fd: int, end: int, offset: int) -> Iterator[bytes]:
    """Reads lines forward; the first is cut unless `offset` is where one starts."""
    tail = b""
    while offset < end:
        piece = os.pread(fd, min(_READ_BYTES, end - offset), offset)
        if not piece:
            raise OSError(errno.ESTALE, "the audit log was cut while in use")
        offset += len(piece)
        *lines, tail = (tail + piece).split(b"\n")
        yield from lines


def lines_back(fd: int, end: int, offset: int) -> Iterator[bytes]:
    """Reads lines backward from `end` to `offset`, which are both where lines start."""
    tail = b""
    while end > offset:
        start = max(offset, end - _READ_BYTES)
        lines = (os.pread(fd, end - start, start) + tail).split(b"\n")
        tail = lines.pop(0) if start > offset else b""  # its beginning lies further back
        yield from (line for line in reversed(lines) if line)
        end = start


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Makes the names of new files beside `path` durable."""
    directory = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_CLOEXEC)  # noqa: PTH100, PTH120 - a PathLike or a str
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _seq_of(line: bytes) -> int:
    return int(json.loads(line[:-65])["seq"])
