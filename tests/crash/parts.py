"""Real processes that a test kills and starts again: PostgreSQL, the signer, gateways."""

import json
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from solward_client.devstack.postgres import EmbeddedPostgres, PostgresPaths
from solward_client.devstack.process import Process, Program
from solward_client.devstack.servers import (
    READY_TIMEOUT_S,
    GatewayFiles,
    base_environment,
    check_health,
    to_toml,
)
from solward_client.devstack.state import write_private
from tests.crash.sql import execute
from tests.support.databases import run
from tests.support.processes import SignerProcess

POLICY = """version = 1
[[group]]
name = "desk"
master_fingerprints = ["*"]
signatures_per_minute = {rate}
programs = ["system", "compute-budget", "memo", "token", "token-2022", "associated-token"]
lamports_per_transaction_max = 18_446_744_073_709_551_615
priority_fee_lamports_max = 10_000_000
destinations = "any"
close_refunds = "destinations"
message_signing = "off"

[group.tokens_per_transaction_max]
"*" = "unlimited"
"""
# Production's rules at a pace that a test can wait for.
PACE: Mapping[str, float] = {
    "batches_per_round": 4,
    "in_flight_max": 16,
    "poll_s": 0.05,
    "resend_s": 0.3,
    "lease_s": 1.0,
    "sweep_s": 0.2,
}


class Postgres:
    """A server whose commits survive its kill -9.

    It writes at every commit, as always, and does not wait for the disk: what was written stays
    with the kernel, which nobody kills here, and recovery takes half a second instead of five.
    """

    def __init__(self, root: Path) -> None:
        self._paths = PostgresPaths(root / "data", root / "run", root / "pg.log")
        self.server = EmbeddedPostgres(self._paths)
        url = self.url("postgres")
        run(execute(url, "ALTER SYSTEM SET fsync = off"))
        run(execute(url, "SELECT pg_reload_conf()"))

    def url(self, database: str) -> str:
        """The URL of a database."""
        return self.server.url(database)

    def kill(self) -> None:
        """SIGKILLs the postmaster and every backend at once, as a dying machine would."""
        postmaster = psutil.Process(self.server.process.pid)
        # Else it could start one more that outlives it, and keeps its memory in use.
        postmaster.send_signal(signal.SIGSTOP)
        family = [postmaster, *postmaster.children(recursive=True)]
        for one in family:
            one.send_signal(signal.SIGKILL)
        self.server.process.kill()
        psutil.wait_procs(family[1:], timeout=10)

    def start(self) -> None:
        """Starts it on the same data; it recovers from its log."""
        self.server = EmbeddedPostgres(self._paths)

    def close(self) -> None:
        """Stops it."""
        self.server.stop()


class Gateway:
    """A real gateway, started through tests/crash/launcher.py."""

    def __init__(
        self,
        root: Path,
        *,
        signer: SignerProcess,
        database_url: str,
        rpc_url: str,
        launch: Mapping[str, Any],
        version: str,
        price: int,
        request_timeout_ms: int,
    ) -> None:
        """Prepares one below `root`, a short path; `launch` are the launcher's settings.

        `price` is what it pays for a compute unit, in micro-lamports.
        """
        self._socket = root / "g" / "gateway.sock"
        settings: dict[str, dict[str, Any]] = {
            "signer": {"socket": str(signer.socket)},
            "listen": {"unix": str(self._socket)},
            "postgres": {"url": database_url},
            "solana": {"rpc_url": rpc_url, "request_timeout_ms": request_timeout_ms},
            "sealing": {"seal_plaintext_secrets": True},
            "distribution": {
                "transaction_version": version,
                "compute_unit_price_micro_lamports_min": price,
            },
        }
        self.files = GatewayFiles(root / "gateway.toml", root / "gateway.log", settings)
        self._launch = json.dumps(dict(launch))
        self._process: Process | None = None

    @property
    def target(self) -> str:
        """The gRPC target."""
        return f"unix:{self._socket}"

    @property
    def is_alive(self) -> bool:
        """True if it runs."""
        return self._process is not None and self._process.returncode is None

    def log_text(self) -> str:
        """What it has logged since its first start."""
        return self.files.log.read_text()

    def start(self) -> "Gateway":
        """Starts it and waits until it serves."""
        write_private(self.files.config, to_toml(self.files.settings))
        launcher = [sys.executable, "-m", "tests.crash.launcher", self._launch]
        command = [*launcher, "--config", str(self.files.config)]
        program = Program("gateway", command, self.files.log, base_environment())
        self._process = Process(replace(program, capture_stdout=True))
        self._process.read_line(READY_TIMEOUT_S)
        check_health(self._process, self.target)
        return self

    def kill(self) -> None:
        """SIGKILLs it."""
        if self._process is not None:
            self._process.kill()

    def stop(self) -> int:
        """Stops it in order; returns the exit code."""
        assert self._process is not None
        return self._process.stop()
