"""Secrets that a person hands to the `solward` command stay out of sight of everybody else."""

import argparse
import base64
import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc

from solward_client.cli import build_parser
from tests.client.fake_gateway import FakeGateway

SOLWARD = Path(sys.executable).with_name("solward")
CANARY = "canary-Zq7-password"
FORMS = (
    CANARY,
    CANARY.encode().hex(),
    base64.b64encode(CANARY.encode()).decode().rstrip("=")[:-1],
)


def test_no_option_takes_a_secret_itself() -> None:
    """Whatever is named after a secret takes a file: argv is readable by every local user."""
    secret = [
        action.dest
        for leaf in _leaves(build_parser())
        for action in leaf._actions
        if any(word in action.dest for word in ("password", "passphrase", "mnemonic", "token"))
    ]
    assert {"password_file", "new_password_file", "mnemonic_file", "passphrase_file"} <= set(secret)
    assert [] == [name for name in secret if not name.endswith("_file")]


def test_a_password_from_stdin_is_in_no_argv_environment_or_log(gateway: FakeGateway) -> None:
    """While the call runs, /proc shows nothing; nor does gRPC's own trace at its most talkative."""
    seen: list[bytes] = []

    def look(pid: int) -> None:
        seen.extend(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))

    environment = {**os.environ, "GRPC_VERBOSITY": "debug", "GRPC_TRACE": "api,http,call_error"}
    with subprocess.Popen(
        [SOLWARD, "master", "create", "--password-file", "-", "--target", gateway.target],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
    ) as child:
        gateway.on_call = lambda: look(child.pid)
        output, _ = child.communicate(CANARY.encode(), timeout=60)

    assert 0 == child.returncode
    assert [CANARY.encode()] == [secret for secret, _binding in gateway.secrets]
    assert len(seen) >= 2
    for form in FORMS:
        assert not [where for where in [*seen, output] if form.encode() in where]


def test_a_refused_password_is_not_in_the_error(gateway: FakeGateway) -> None:
    """An error shows the server's words and the request's id only: no traceback, no secret."""
    gateway.fail["CreateMasterWallet"] = [(grpc.StatusCode.INTERNAL, "internal error")]

    done = subprocess.run(
        [SOLWARD, "master", "create", "--password-file", "-", "--target", gateway.target],
        input=CANARY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (1, "") == (done.returncode, done.stdout)
    error, hint = done.stderr.splitlines()
    assert hint.startswith("solward: to repeat it safely, give --request-id ")
    assert "solward: INTERNAL: internal error" == error


def test_a_prompt_asks_twice_and_echoes_nothing(gateway: FakeGateway) -> None:
    """On a terminal a new password is typed twice, unseen."""
    shown = _on_a_terminal(
        ["master", "create", "--target", gateway.target], [f"{CANARY}\n", f"{CANARY}\n"]
    )

    assert "Password: " in shown
    assert "Password, again: " in shown
    assert CANARY not in shown
    assert [CANARY.encode()] == [secret for secret, _binding in gateway.secrets]


def test_two_different_passwords_are_refused(gateway: FakeGateway) -> None:
    """A slip of the finger creates nothing."""
    shown = _on_a_terminal(
        ["master", "create", "--target", gateway.target], [f"{CANARY}\n", "another one\n"]
    )

    assert "solward: the two do not match" in shown
    assert [] == gateway.calls


def _leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from _leaves(child)


def _on_a_terminal(argv: list[str], answers: list[str]) -> str:
    """Run the command on a terminal, answer its prompts in turn, return all that it showed."""
    master, slave = pty.openpty()
    try:
        child = subprocess.Popen(
            [SOLWARD, *argv], stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        shown, waiting = "", list(answers)
        while select.select([master], [], [], 30)[0]:
            try:
                shown += os.read(master, 4096).decode()
            except OSError:  # the other end is closed
                break
            if waiting and shown.count(": ") > len(answers) - len(waiting):
                os.write(master, waiting.pop(0).encode())
        child.wait(timeout=30)
    finally:
        os.close(master)
    return shown
