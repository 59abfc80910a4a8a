"""`solward up` from start to Ctrl-C."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from solward_client import Solward

SOLWARD = Path(sys.executable).with_name("solward")


@pytest.mark.stack
@pytest.mark.localnet
def test_up_serves_until_ctrl_c_and_leaves_nothing(short_dir: Path) -> None:
    """It says where everything is, serves, ends with 0 on SIGINT, and its data is there again."""
    command = [str(SOLWARD), "up", "--json", "--state-dir", str(short_dir / "state")]
    fingerprints: list[list[str]] = []
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as up:
            assert up.stdout is not None
            told = json.loads(up.stdout.readline())
            children = psutil.Process(up.pid).children(recursive=True)
            with Solward.connect(told["gateway"]) as solward:
                if not fingerprints:
                    solward.masters.create("correct horse battery")
                fingerprints.append([master.fingerprint for master in solward.masters.list()])
            up.send_signal(signal.SIGINT)
            assert 0 == up.wait(timeout=60)
        assert len(children) >= 4
        assert [] == [child for child in children if child.is_running()]

    assert 1 == len(fingerprints[0])
    assert fingerprints[0] == fingerprints[1]


@pytest.mark.stack
def test_up_that_cannot_start_says_why_and_exits_1(short_dir: Path) -> None:
    """A state directory that others may write to is refused in one line."""
    state = short_dir / "state"
    state.mkdir()
    state.chmod(0o777)

    done = subprocess.run(
        [SOLWARD, "up", "--state-dir", state], capture_output=True, text=True, check=False
    )

    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("solward: ")
    assert 1 == len(done.stderr.splitlines())
