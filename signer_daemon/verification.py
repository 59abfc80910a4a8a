"""What a verifier of the audit log needs besides the log: the chain keys, by key id, in one file.

`python -m signer_daemon --config FILE verification-secret --out FILE` writes it. It opens no record
and signs nothing; but the chain is keyed by a MAC, so whoever has it could also write a log that
verifies. Keep it where the copies of the log are checked, not where the log is written.
"""

import binascii
import json
import os
from collections.abc import Mapping
from pathlib import Path

from signer_daemon import secrets_source
from signer_daemon.config import Config
from signer_daemon.sandbox.kernel import prctl
from signer_daemon.vault.keyring import KeyRing
from signer_daemon.vault.memory import PagePool
from signer_daemon.vault.primitives import wipe

_PR_SET_DUMPABLE = 4
_PAGES = 8  # the root of each pair of secrets, and the secrets themselves
_VERSION = 1


class VerificationSecretError(Exception):
    """The file is no verification secret; the message names it."""


def write_secret(config: Config, out: Path) -> tuple[str, ...]:
    """Write the chain keys of the configured secrets, current and previous, to a new file (0600).

    Returns their key ids. Raises ConfigError, VaultError, OSError (the file exists, say).
    """
    prctl(_PR_SET_DUMPABLE, 0)
    pool = PagePool(_PAGES)
    with secrets_source.open_secrets(config.secrets, os.environ, pool) as (current, previous):
        keyring = KeyRing(pool, current, previous)
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            file.write(b'{"version":%d,"keys":{' % _VERSION)
            for place, key_id in enumerate(keyring.key_ids):
                file.write(b'%s"%s":"' % (b"," if place else b"", key_id.encode()))
                text = binascii.b2a_hex(keyring.audit_chain_key(key_id))
                file.write(text)
                wipe(text)
                file.write(b'"')
            file.write(b"}}\n")
            os.fsync(file.fileno())
        return keyring.key_ids
    finally:
        keyring.close()


def load_secrets(paths: list[Path]) -> Mapping[str, bytes]:
    """Read verification secrets, of different times perhaps; return chain keys by key id.

    Raises VerificationSecretError, OSError.
    """
    found: dict[str, bytes] = {}
    for path in paths:
        try:
            document = json.loads(path.read_bytes())
            keys = {str(name): bytes.fromhex(text) for name, text in document["keys"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise VerificationSecretError(f"{path}: not a verification secret") from None
        if document.get("version") != _VERSION or any(len(key) != 32 for key in keys.values()):
            raise VerificationSecretError(f"{path}: not a verification secret of this version")
        found |= keys
    return found
