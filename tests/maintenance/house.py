"""A signer, a database and a gateway, and the commands of whoever runs them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from solward_client.cli import main
from solward_client.devstack.servers import base_environment
from tests.signer.process import SignerProcess
from tests.support.processes import GatewayProcess

PASSWORD = "correct horse battery"


class House:
    """One signer with a gateway on a database, under commands run as a person would."""

    def __init__(
        self, signer: SignerProcess, gateway: GatewayProcess, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.signer = signer
        self.gateway = gateway
        self._capsys = capsys

    def run(self, *argv: str, password: str = PASSWORD) -> Any:
        """Run `solward` with --json; return its result. Fails the test if the command fails."""
        code, result, error = self.attempt(*argv, password=password)
        assert 0 == code, error
        return result

    def attempt(self, *argv: str, password: str = PASSWORD) -> tuple[int, Any, str]:
        """Run `solward` with --json; return its exit code, its result and what it said."""
        file = self.signer.home / "operator-password"
        file.write_text(password)
        places = {
            "--target": self.gateway.target,
            "--signer-socket": str(self.signer.socket),
            "--admin-socket": str(self.signer.admin_socket),
            "--password-file": str(file),
        }
        options = [part for pair in places.items() for part in pair]
        self._capsys.readouterr()
        code = main([*argv, "--json", *options])
        shown = self._capsys.readouterr()
        return code, json.loads(shown.out) if shown.out else None, shown.err

    def records(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m gateway ... records`."""
        command = [sys.executable, "-m", "gateway", "--config", str(self.gateway.files.config)]
        return subprocess.run(
            [*command, "records", *argv],
            env=base_environment(),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no SOLWARD_ variable of whoever runs the tests decide anything."""
    for name in [name for name in os.environ if name.startswith("SOLWARD_")]:
        monkeypatch.delenv(name)


MakeHouse = Callable[..., House]


def mode_of(path: Path) -> int:
    """A file's permission bits."""
    return path.stat().st_mode & 0o777
