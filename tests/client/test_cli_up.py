"""`solward up` from start to Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from solward_client import Solward
from solward_client.admin import Admin
from tests.support.svm_rpc import SvmRpc

WITHOUT_LANDLOCK = Path(__file__).with_name("without_landlock.py")
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
@pytest.mark.parametrize("as_json", [False, True])
def test_a_kernel_without_landlock_takes_insecure_dev(
    short_dir: Path, database_url: str, svm_rpc: SvmRpc, as_json: bool
) -> None:
    """Without the option nothing is started; with it the signer runs, the missing measure is known,
    and a warning says what that means.
    """
    flags = ["--json"] if as_json else []
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "SOLANA_RPC_URL": svm_rpc.url,
    }
    state = ["--state-dir", str(short_dir / "state")]
    command = [sys.executable, str(WITHOUT_LANDLOCK), str(SOLWARD), "up", *flags, *state]
    plain = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (1, "") == (plain.returncode, plain.stdout)
    assert "landlock cannot be put in force" in plain.stderr

    with subprocess.Popen(
        [*command, "--insecure-dev"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as up:
        assert up.stdout is not None
        assert up.stderr is not None
        assert up.stdout.readline()
        warning = next(line for line in up.stderr if "--insecure-dev" in line)
        run = short_dir / "state" / "run"
        sockets = (f"unix:{next(run.rglob(name))}" for name in ("admin.sock", "signer.sock"))
        with Admin.connect(*sockets) as admin:
            status = admin.status()
        up.send_signal(signal.SIGINT)
        assert 0 == up.wait(timeout=60)
    if as_json:
        assert "Never with real money" in json.loads(warning)["warning"]
    else:
        assert warning.startswith("solward: WARNING: ")
        assert "Never with real money" in warning
    assert status.insecure_dev
    assert {"landlock"} == {measure.name for measure in status.measures if not measure.in_force}


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
