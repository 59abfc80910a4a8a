"""Verifies an audit log with the signer's own code, in a process of its own.

    python -m solward_client.audit_verify --config signer.toml [--log FILE]

The chain is keyed: whoever verifies it needs the signer's secrets, which come the way the signer
gets them. So this runs where the signer may run, apart from the process that shows the result.
Prints one JSON object: {"records", "head"}, or {"error"} with exit code 1.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from signer_daemon import secrets_source
from signer_daemon.config import ConfigError, load
from signer_daemon.ledger import AuditRejectedError, Head, verify_file
from signer_daemon.vault.errors import VaultError
from signer_daemon.vault.keyring import KeyRing
from signer_daemon.vault.memory import PagePool

# The root of a key ring and the four secrets that it can be made of.
_PAGES = 8


def verify(config_file: Path, log: Path | None) -> Head:
    """Verify the log of a signer's configuration, or a copy of it.

    Raises AuditRejectedError naming the first bad record, ConfigError, VaultError or OSError.
    """
    config = load(config_file)
    pool = PagePool(_PAGES)
    with secrets_source.open_secrets(config.secrets, os.environ, pool) as (current, previous):
        keyring = KeyRing(pool, current, previous)
    try:
        return verify_file(log or config.audit_log, keyring.audit_chain_key())
    finally:
        keyring.close()


def main() -> int:
    """Return 0 if the log is whole, 1 if it is not or cannot be judged."""
    parser = argparse.ArgumentParser(prog="python -m solward_client.audit_verify")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    parser.add_argument("--log", type=Path, metavar="FILE")
    options = parser.parse_args()
    try:
        head = verify(options.config, options.log)
    except (AuditRejectedError, ConfigError, VaultError, OSError) as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        return 1
    if head.torn:
        sys.stdout.write(json.dumps({"error": f"{head.torn} bytes of a torn last record"}) + "\n")
        return 1
    sys.stdout.write(json.dumps({"records": head.count, "head": head.mac.decode()}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
