"""`python -m signer_daemon --config FILE`: start, say so in a line of JSON, serve until told.

`... verification-secret --out FILE` writes what a verifier of the audit log needs, and ends.
"""

import argparse
import json
import logging
import os
import signal
import sys
from pathlib import Path

from signer_daemon.config import ConfigError, load
from signer_daemon.ledger import AuditRejectedError
from signer_daemon.policy import PolicyError
from signer_daemon.sandbox.kernel import HardeningError
from signer_daemon.sandbox.places import told
from signer_daemon.server import Signer
from signer_daemon.sockets import SocketError
from signer_daemon.vault.errors import VaultError
from signer_daemon.verification import write_secret

# Each is written to be shown and holds no secret. Anything else is a fault and shows only its type.
_EXPECTED = (
    ConfigError,
    HardeningError,
    AuditRejectedError,
    PolicyError,
    SocketError,
    VaultError,
    OSError,
)


def main() -> int:
    """Return 0 after an orderly stop, 1 if the signer could not start."""
    parser = argparse.ArgumentParser(prog="python -m signer_daemon", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--insecure-dev",
        action="store_true",
        help="run without the measures that cannot be put in force; never with real money",
    )
    parser.add_argument(
        "command", nargs="?", choices=("serve", "verification-secret"), default="serve"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="of verification-secret: a new file"
    )
    arguments = parser.parse_args()
    if (arguments.command == "verification-secret") is not (arguments.out is not None):
        parser.error("verification-secret and --out go together")
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    # Blocked before any thread exists: every thread inherits it and sigwait gets them all.
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    try:
        config = load(arguments.config)
        if arguments.out is not None:
            key_ids = write_secret(config, arguments.out)
            sys.stdout.write(json.dumps({"written": str(arguments.out), "key_ids": key_ids}) + "\n")
            return 0
        with Signer(config, insecure_dev=arguments.insecure_dev):
            ready = {
                "ready": True,
                "pid": os.getpid(),
                "signer_socket": str(config.signer_socket),
                "admin_socket": str(config.admin_socket),
            }
            sys.stdout.write(json.dumps(ready) + "\n")
            sys.stdout.flush()
            signal.sigwait(stops)
    except _EXPECTED as error:
        sys.stderr.write(f"signer: cannot run: {told(str(error))}\n")
        return 1
    except Exception as error:  # noqa: BLE001 - a traceback could show a secret that a frame holds
        sys.stderr.write(f"signer: internal fault: {type(error).__name__}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
