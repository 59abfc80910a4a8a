"""The whole stack: four processes up, used, stopped in order, restarted, killed without a trace."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from solward.signer.v1 import signer_service_pb2, signer_service_pb2_grpc
from solward_client.channel import open_channel
from solward_client.devstack.errors import StartupError, StateInUseError
from solward_client.devstack.stack import DevStack, StackOptions

pytestmark = pytest.mark.stack
NAMES = ["postgres", "surfpool", "signer", "gateway"]

UP = """
import json, sys
from pathlib import Path
from solward_client.devstack.up import describe, run_up
ready = lambda endpoints: print(json.dumps(describe(endpoints)), flush=True)
failed = lambda why: print(json.dumps({"failed": why}), flush=True)
sys.exit(run_up(Path(sys.argv[1]), ready=ready, failed=failed))
"""


@contextmanager
def running_up(state: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], Any]]:
    """Run `run_up` as a process; yield it with what it printed first."""
    parent = subprocess.Popen(
        [sys.executable, "-c", UP, str(state)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"], **environment},
    )
    with parent:
        try:
            assert parent.stdout is not None
            yield parent, json.loads(parent.stdout.readline())
        finally:
            parent.kill()


@contextmanager
def ends_with(parent: subprocess.Popen[bytes], timeout_s: float = 15) -> Iterator[None]:
    """Assert that all descendants, taken at the start, have ended soon after the block."""
    family = psutil.Process(parent.pid).children(recursive=True)
    descriptors = {os.pidfd_open(child.pid): " ".join(child.cmdline()[:4]) for child in family}
    try:
        yield
        waiting = set(descriptors)
        while waiting:
            ended, _, _ = select.select(waiting, [], [], timeout_s)
            assert ended, f"still running: {[descriptors[one] for one in waiting]}"
            waiting -= set(ended)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def sockets(state: Path) -> list[Path]:
    """Return the sockets below a state directory."""
    return [path for path in state.rglob("*") if path.is_socket()]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_ends_everything_in_order(stop: signal.Signals, short_dir: Path) -> None:
    """After Ctrl-C, SIGTERM or SIGHUP: exit code 0, no process, no socket, the state kept."""
    state = short_dir / "st"
    with running_up(state) as (parent, endpoints):
        assert f"unix:{state}/run/gateway/gateway.sock" == endpoints["gateway"]
        with ends_with(parent):
            parent.send_signal(stop)
            assert 0 == parent.wait(30)
    assert [] == sockets(state)
    assert {"secrets", "postgres", "signer", "config", "logs", "lock"} == {
        path.name for path in state.iterdir()
    }


def test_a_killed_stack_leaves_no_process_and_starts_again(short_dir: Path) -> None:
    """SIGKILL of `solward up` ends all four; the next start on the same state works."""
    state = short_dir / "st"
    with running_up(state) as (parent, _), ends_with(parent):
        parent.kill()
    with DevStack(state, StackOptions(environment={})) as stack:
        assert NAMES == [process.name for process in stack.processes]
        assert box_key(stack.endpoints.signer_socket)


def test_secrets_reach_the_signer_and_nobody_else(short_dir: Path) -> None:
    """With all four variables set: two processes, and the gateway's environment has no secret."""
    secrets = {"ENCRYPTION_KEY": "ab" * 32, "MASTER_PASSWORD": "correct horse battery staple " * 2}
    keys = []
    for name in ("one", "two"):
        with DevStack(short_dir / name, StackOptions(environment=secrets, durable=False)) as stack:
            keys.append(box_key(stack.endpoints.signer_socket))
            others = [process.pid for process in stack.processes if process.name != "signer"]
            found = [Path(f"/proc/{pid}/environ").read_bytes() for pid in others]
        assert [] == list((short_dir / name / "secrets").iterdir())
        for secret in secrets.values():
            assert [] == [text for text in found if secret.encode() in text]
            assert [] == _files_with(short_dir / name, secret.encode())
    # The same two secrets give the same signer, whatever else the directory holds.
    assert keys[0] == keys[1]


def test_servers_that_are_given_are_not_started(short_dir: Path, database_url: str) -> None:
    """DATABASE_URL and SOLANA_RPC_URL replace PostgreSQL and the chain, and are not repeated."""
    environment = {"DATABASE_URL": database_url, "SOLANA_RPC_URL": "http://127.0.0.1:1"}
    with DevStack(short_dir / "st", StackOptions(environment=environment)) as stack:
        assert ["signer", "gateway"] == [process.name for process in stack.processes]
        assert (None, None) == (stack.endpoints.database_url, stack.endpoints.solana_rpc_url)


def test_a_process_that_ends_ends_the_stack(short_dir: Path) -> None:
    """When the signer dies, `solward up` says so, stops the rest and exits with 1."""
    with running_up(short_dir / "st") as (parent, _), ends_with(parent):
        signer = next(
            child
            for child in psutil.Process(parent.pid).children()
            if "signer_daemon" in child.cmdline()
        )
        signer.kill()
        assert 1 == parent.wait(30)
        assert parent.stdout is not None
        assert "signer ended with exit code -9" in json.loads(parent.stdout.readline())["failed"]


def test_a_start_that_fails_half_way_leaves_nothing(short_dir: Path) -> None:
    """With a policy that the signer refuses, what had started is stopped; the reason is shown."""
    policy = short_dir / "policy.toml"
    policy.write_text("version = 1\nsurprise = true\n")
    state = short_dir / "st"
    options = StackOptions(environment={}, policy=policy, durable=False)
    before = psutil.Process().children()
    with pytest.raises(StartupError, match="surprise"), DevStack(state, options):
        pass
    assert [] == sockets(state)
    assert before == psutil.Process().children()


def test_two_stacks_do_not_share_a_directory(short_dir: Path, database_url: str) -> None:
    """The second is told that the first is running; the first is not disturbed."""
    environment = {"DATABASE_URL": database_url, "SOLANA_RPC_URL": "http://127.0.0.1:1"}
    options = StackOptions(environment=environment)
    with DevStack(short_dir / "st", options) as stack:
        with pytest.raises(StateInUseError), DevStack(short_dir / "st", options):
            pass
        assert box_key(stack.endpoints.signer_socket)


def box_key(socket: Path) -> bytes:
    """Return the signer's sealing key: it answers, and it is the one with these secrets."""
    with open_channel(f"unix:{socket}") as channel:
        stub = signer_service_pb2_grpc.SignerServiceStub(channel)
        reply = stub.GetSignerInfo(signer_service_pb2.GetSignerInfoRequest(), timeout=10)
    return reply.box_public_key


def _files_with(root: Path, secret: bytes) -> list[Path]:
    return [
        path
        for path in root.rglob("*")
        if path.is_file() and "postgres" not in path.parts and secret in path.read_bytes()
    ]
