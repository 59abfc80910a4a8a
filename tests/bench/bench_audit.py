"""The audit log: verified against one pass of SHA-256, and how long a start takes. Not asserted as
time: run it alone. AUDIT_RECORDS scales it (default 1,000,000).
"""

import hashlib
import os
import sys
import time
from collections import deque
from pathlib import Path

from signer_daemon.ledger import Meters, SystemClock, open_log, verify_series

KEY_ID = "0badcafe"
KEYS = {KEY_ID: bytes(range(32))}
RECORDS = int(os.environ.get("AUDIT_RECORDS", "1000000"))
BATCH = 500


def _record(number: int) -> dict[str, object]:
    """What a signed transfer leaves."""
    address = f"{number % 10_000:044d}"
    return {
        "event": "sign_transaction",
        "caller": "signer.sock",
        "request_id": f"{number:032x}",
        "outcome": "ok",
        "addresses": [address],
        "rule": "desk",
        "digest": f"{number:064x}",
        "policy": "0" * 64,
        "charges": [[f"signatures/{address}", 1], [f"lamports/{address}/day", 5000]],
    }


def test_verification_and_start(tmp_path: Path) -> None:
    """Report seconds and the ratio; assert only that what was written verifies."""
    path, clock = tmp_path / "audit.log", SystemClock()
    meters = Meters(clock)
    path.touch()
    log = open_log(path, KEYS, KEY_ID, clock, meters)
    log.append({"event": "start", "key_id": KEY_ID})
    for first in range(0, RECORDS, BATCH):
        log.append_many([_record(number) for number in range(first, first + BATCH)])
    count = log.head.count
    log.close()

    began = time.perf_counter()
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    pass_s = time.perf_counter() - began
    began = time.perf_counter()
    end = deque(verify_series(path, KEYS), maxlen=1).pop()
    verify_s = time.perf_counter() - began
    began = time.perf_counter()
    log = open_log(path, KEYS, KEY_ID, clock, Meters(clock))
    start_s = time.perf_counter() - began
    log.close()
    assert count == end.count
    sys.stdout.write(
        f"\n{count:,} records, {path.stat().st_size >> 20} MiB: SHA-256 {pass_s:.2f} s, "
        f"verify {verify_s:.2f} s ({verify_s / pass_s:.1f} times), start {start_s:.2f} s\n"
    )
