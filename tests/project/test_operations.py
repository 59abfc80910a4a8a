"""The runbook and the unit files: what they name exists."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import load as load_gateway
from signer_daemon.config import load as load_signer
from solward_client.cli import build_parser

REPOSITORY = Path(__file__).resolve().parents[2]
SYSTEMD = REPOSITORY / "deploy" / "systemd"
RUNBOOK = (REPOSITORY / "docs" / "operations.md").read_text()


def test_every_command_of_the_runbook_is_one() -> None:
    """Each `solward` line in a code block parses with all its options."""
    blocks = re.findall(r"```bash\n(.*?)```", RUNBOOK, re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("solward ")]
    assert len(commands) >= 10
    for command in commands:
        assert callable(build_parser().parse_args(command).handler), command


def test_the_installed_configurations_load() -> None:
    """Both daemons take the files that the runbook installs."""
    signer = load_signer(SYSTEMD / "signer.toml")
    gateway = load_gateway(SYSTEMD / "gateway.toml", {})
    assert signer.signer_socket == gateway.signer_socket
    assert not any((signer.export.mnemonics, signer.export.private_keys, signer.export.vault))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say about either unit."""
    units = []
    for unit in SYSTEMD.glob("*.service"):
        text = unit.read_text().replace("/opt/solward/.venv/bin/python", sys.executable)
        copy = tmp_path / unit.name
        copy.write_text(text)
        units.append(str(copy))
    command = ["systemd-analyze", "verify", "--man=no", *units]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (0, "") == (said.returncode, said.stderr)
