"""What must hold for any bytes in the files that the signer reads: its policy and its audit log."""

import atexit
import contextlib
import hashlib
import tempfile
from collections import deque
from functools import cache
from pathlib import Path

from signer_daemon.ledger import AuditRejectedError, verify_file
from signer_daemon.ledger.segments import verify_series
from signer_daemon.ledger.verify import (
    OPENING,
    Head,
    canonical,
    head_line,
    head_path,
    mac_of,
)
from signer_daemon.policy import PolicyError, parse_policy
from signer_daemon.policy.model import UNLIMITED

KEY = bytes(range(32))
BEGIN = 40  # the number of the true log's first record


def policy(data: bytes) -> bool:
    """Tells whether a policy file is accepted. Only PolicyError may refuse it, with a text that
    fits a line; what is accepted has groups whose every rule is bounded.
    """
    try:
        read = parse_policy(data)
    except PolicyError as error:
        return says(str(error))
    assert read.digest == hashlib.sha256(data).hexdigest()
    assert read.groups
    for group in read.groups:
        assert group.master_fingerprints
        assert 0 <= group.lamports_per_transaction_max <= UNLIMITED
        assert group.destinations in {"vault", "any"} or isinstance(group.destinations, frozenset)
        assert group.index_first <= group.index_last
    assert parse_policy(data) == read
    return True


def says(reason: str) -> bool:
    """A refusal gives a reason that fits a line."""
    assert reason
    assert len(reason) < 1000
    return False


def audit_log(data: bytes) -> bool:
    """Tells whether a file verifies as a log: byte 0 says if it is the fuzzer's own, or a true one
    that the fuzzer has edited. Only AuditRejectedError may refuse it, and no edit goes unnoticed.
    """
    if data[:1] < b"\x40":
        return verifies(data[1:], None)
    if data[:1] < b"\x80":
        return verifies(TRUE_LOG, data[1:])
    edited = edit(TRUE_LOG, data[1:65])
    whole = verifies(edited, TRUE_HEAD)
    assert whole == (edited == TRUE_LOG)
    return whole


def verifies(log: bytes, head: bytes | None) -> bool:
    """Verifies these bytes as a file, with or without a head file."""
    path = directory() / "audit.log"
    path.write_bytes(log)
    head_path(path).unlink(missing_ok=True)
    if head is not None:
        head_path(path).write_bytes(head)
    with contextlib.suppress(AuditRejectedError):
        deque(verify_series(path, {"00c0ffee": KEY}), maxlen=0)
    try:
        end = verify_file(path, KEY)
    except AuditRejectedError as error:
        return says(str(error))
    assert end.size + end.torn == len(log)
    return end.torn == 0


@cache
def directory() -> Path:
    """One for all inputs: making one takes longer than verifying. (libFuzzer ends a process without
    its exit handlers; there the parent process removes it.)
    """
    kept = tempfile.TemporaryDirectory()
    atexit.register(kept.cleanup)
    return Path(kept.name)


def edit(log: bytes, script: bytes) -> bytes:
    """Applies a script of 4-byte edits: what to do, where (2), and with which byte."""
    edited = bytearray(log)
    for at in range(0, len(script) - 3, 4):
        verb, place, byte = (
            script[at],
            int.from_bytes(script[at + 1 : at + 3], "big"),
            script[at + 3],
        )
        place %= len(edited) + 1
        if verb < 0x60:
            edited[place : place + 1] = bytes([byte])
        elif verb < 0xA0:
            edited.insert(place, byte)
        elif verb < 0xE0:
            del edited[place : place + 1 + byte]
        else:  # a line is put in another's place
            lines = bytes(edited).splitlines(keepends=True)
            if lines:
                lines.insert(place % (len(lines) + 1), lines[byte % len(lines)])
            edited = bytearray(b"".join(lines))
    return bytes(edited)


def _true_log() -> tuple[bytes, bytes]:
    """A segment that goes on from another one, so that its first record says where it begins."""
    log, mac = b"", b"ab" * 32
    previous = {"count": BEGIN, "first": 0, "mac": mac.decode()}
    opening = {"event": OPENING, "key_id": "00c0ffee", "previous": previous}
    for seq in range(BEGIN, BEGIN + 6):
        event = opening if seq == BEGIN else {"event": "sign_transaction"}
        payload = canonical({**event, "outcome": "ok", "seq": seq, "time_ms": 1, "uptime_ms": 1})
        mac = mac_of(KEY, mac, payload)
        log += payload + b"\t" + mac + b"\n"
    return log, head_line(Head(BEGIN + 6, mac), KEY)


TRUE_LOG, TRUE_HEAD = _true_log()
