"""Real signers and gateways for tests, each in a directory of its own, started as in production."""

import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from solward_client.devstack.process import Process
from solward_client.devstack.servers import (
    GatewayFiles,
    GatewayServer,
    SignerFiles,
    SignerServer,
)
from solward_client.devstack.stack import POLICY
from solward_client.devstack.state import write_once


class SignerProcess:
    """A signer that a test starts, stops and kills. Its files stay until the directory goes.

    `root` must be a short path (sockets live below it) of mode 0700.
    """

    def __init__(
        self,
        root: Path,
        *,
        policy: str | None = None,
        limits: Mapping[str, int] | None = None,
        secrets_in_environment: bool = False,
    ) -> None:
        """Write policy and secrets; the signer starts with `start`. `policy` is TOML text."""
        self.root = root
        self.encryption_key = secrets.token_hex(32)
        self.master_password = secrets.token_urlsafe(36)
        files: dict[str, Path] = {}
        variables: dict[str, str] = {}
        given = {"encryption_key": self.encryption_key, "master_password": self.master_password}
        for name, secret in given.items():
            if secrets_in_environment:
                variables[name.upper()] = secret
            else:
                files[f"{name}_file"] = root / name
                write_once(root / name, secret)
        self.policy_file = root / "policy" / "policy.toml"
        self.policy_file.parent.mkdir()
        if policy is None:
            shutil.copyfile(POLICY, self.policy_file)
        else:
            self.policy_file.write_text(policy)
        self.files = SignerFiles(
            config=root / "signer.toml",
            log=root / "signer.log",
            state_dir=root / "state",
            socket_dir=root / "s",
            admin_socket_dir=root / "a",
            policy_file=self.policy_file,
            secrets=files,
            variables=variables,
            limits=limits or {},
        )
        self.server: SignerServer | None = None

    @property
    def socket(self) -> Path:
        """signer.sock."""
        return self.files.socket_dir / "signer.sock"

    @property
    def admin_socket(self) -> Path:
        """admin.sock."""
        return self.files.admin_socket_dir / "admin.sock"

    @property
    def audit_log(self) -> Path:
        """The audit log."""
        return self.files.state_dir / "audit.log"

    @property
    def process(self) -> Process:
        """The running process."""
        assert self.server is not None, "the signer has not been started"
        return self.server.process

    @property
    def pid(self) -> int:
        """The running process's id."""
        return self.process.pid

    def log_text(self) -> str:
        """What it has logged since its first start."""
        return self.files.log.read_text() if self.files.log.exists() else ""

    def start(self) -> "SignerProcess":
        """Start it and wait until it serves; raises StartupError with its log."""
        self.server = SignerServer(self.files)
        return self

    def stop(self) -> int:
        """Stop it in order; return the exit code."""
        return self.process.stop()

    def kill(self) -> int:
        """SIGKILL it; return the exit code."""
        return self.process.kill()

    def restart(self) -> "SignerProcess":
        """Stop it in order and start it again on the same files."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """Leave no process, whatever the test did."""
        if self.server is not None:
            self.server.process.kill()


class GatewayProcess:
    """A gateway that a test starts, stops and kills."""

    def __init__(
        self,
        root: Path,
        *,
        signer_socket: Path,
        database_url: str,
        rpc_url: str,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Prepare a gateway; `settings` are further configuration sections, merged by key."""
        sections: dict[str, dict[str, Any]] = {
            "signer": {"socket": str(signer_socket)},
            "listen": {"unix": str(root / "g" / "gateway.sock")},
            "postgres": {"url": database_url},
            "solana": {"rpc_url": rpc_url},
            "sealing": {"seal_plaintext_secrets": True},
        }
        for name, section in (settings or {}).items():
            sections.setdefault(name, {}).update(section)
        self.files = GatewayFiles(root / "gateway.toml", root / "gateway.log", sections)
        self.server: GatewayServer | None = None

    @property
    def target(self) -> str:
        """The gRPC target of its Unix socket."""
        return f"unix:{self.files.settings['listen']['unix']}"

    @property
    def process(self) -> Process:
        """The running process."""
        assert self.server is not None, "the gateway has not been started"
        return self.server.process

    @property
    def pid(self) -> int:
        """The running process's id."""
        return self.process.pid

    def log_text(self) -> str:
        """What it has logged since its first start."""
        return self.files.log.read_text() if self.files.log.exists() else ""

    def start(self, *, migrate: bool = False) -> "GatewayProcess":
        """Start it and wait until it serves; raises StartupError with its log.

        The databases that fixtures give are migrated already.
        """
        self.server = GatewayServer(self.files, migrate=migrate)
        return self

    def stop(self) -> int:
        """Stop it in order; return the exit code."""
        return self.process.stop()

    def kill(self) -> int:
        """SIGKILL it; return the exit code."""
        return self.process.kill()

    def restart(self) -> "GatewayProcess":
        """Stop it in order and start it again on the same files."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """Leave no process, whatever the test did."""
        if self.server is not None:
            self.server.process.kill()
