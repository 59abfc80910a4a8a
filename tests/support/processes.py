"""Real signers and gateways for tests, each in a directory of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from solward_client.devstack.process import Process
from solward_client.devstack.servers import GatewayFiles, GatewayServer
from tests.signer.process import SignerProcess

__all__ = ["GatewayProcess", "SignerProcess"]


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
