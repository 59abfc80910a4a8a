"""Verifies an audit log with the signer's own code, in a process of its own.

    python -m solward_client.audit_verify --secret FILE --log audit.log
    python -m solward_client.audit_verify --config signer.toml [--log audit.log]

The chain is keyed: it takes a verification secret (`signer_daemon verification-secret`) or, where
the signer may run, its own secrets, which come the way the signer gets them. Closed segments are
read beside the log. Prints one JSON object: {"records", "head", "segments"}, or {"error"} with exit
code 1.
"""

import argparse
import json
import os
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from signer_daemon import secrets_source
from signer_daemon.config import ConfigError, load
from signer_daemon.ledger import AuditRejectedError, Head, verify_series
from signer_daemon.ledger.segments import closed_segments
from signer_daemon.vault.errors import VaultError
from signer_daemon.vault.keyring import KeyRing
from signer_daemon.vault.memory import PagePool
from signer_daemon.verification import VerificationSecretError, load_secrets

# The root of a key ring and the four secrets that it can be made of.
_PAGES = 8
_EXPECTED = (AuditRejectedError, VerificationSecretError, ConfigError, VaultError, OSError)


def verify(log: Path, keys: Mapping[str, bytes | memoryview]) -> Head:
    """Verify a log with its closed segments. Raises AuditRejectedError naming the first bad record,
    OSError.
    """
    return deque(verify_series(log, keys), maxlen=1).pop()


def verify_by_config(config_file: Path, log: Path | None) -> tuple[Head, Path]:
    """Verify the log of a signer's configuration, or a copy of it, by the signer's own secrets.

    Raises as `verify` does, ConfigError or VaultError.
    """
    config = load(config_file)
    pool = PagePool(_PAGES)
    with secrets_source.open_secrets(config.secrets, os.environ, pool) as (current, previous):
        keyring = KeyRing(pool, current, previous)
    try:
        keys = {key_id: keyring.audit_chain_key(key_id) for key_id in keyring.key_ids}
        path = log or config.audit_log
        return verify(path, keys), path
    finally:
        keyring.close()


def main() -> int:
    """Return 0 if the log is whole, 1 if it is not or cannot be judged."""
    parser = argparse.ArgumentParser(prog="python -m solward_client.audit_verify")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--config", type=Path, metavar="FILE")
    how.add_argument("--secret", type=Path, action="append", metavar="FILE")
    parser.add_argument("--log", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.secret and options.log is None:
        parser.error("--secret needs --log")
    try:
        if options.secret:
            log = options.log
            head = verify(log, load_secrets(options.secret))
        else:
            head, log = verify_by_config(options.config, options.log)
    except _EXPECTED as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        return 1
    if head.torn:
        sys.stdout.write(json.dumps({"error": f"{head.torn} bytes of a torn last record"}) + "\n")
        return 1
    segments = len(closed_segments(log)) + 1
    facts = {"records": head.count, "head": head.mac.decode(), "segments": segments}
    sys.stdout.write(json.dumps(facts) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
