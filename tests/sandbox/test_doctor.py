"""`solward doctor` against a signer as the development stack starts it."""

import json

import pytest

from solward_client.cli import main
from tests.sandbox.process import probed
from tests.signer.process import SignerProcess
from tests.support.processes import SignerProcess as StackSigner

MEASURES = [
    "own_uid",
    "no_capabilities",
    "not_dumpable",
    "no_core_dumps",
    "no_new_privs",
    "private_umask",
    "landlock",
    "seccomp",
]


def doctor(
    signer: StackSigner | SignerProcess, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, bool]]:
    """Run it; return its exit code, and whether each measure is in force."""
    sockets = ["--admin-socket", str(signer.admin_socket), "--signer-socket", str(signer.socket)]
    code = main(["doctor", "--json", *sockets])
    measures = json.loads(capsys.readouterr().out)["measures"]
    return code, {measure["name"]: measure["in_force"] for measure in measures}


def test_all_is_well(signer_process: StackSigner, capsys: pytest.CaptureFixture[str]) -> None:
    """Every measure is in force, also where root started the stack; the exit code is 0."""
    assert (0, dict.fromkeys(MEASURES, True)) == doctor(signer_process, capsys)


def test_what_is_missing_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    """One measure left out turns its row and the exit code."""
    with probed("--insecure-dev", without=["landlock"]) as signer:
        signer.start()
        assert (1, dict.fromkeys(MEASURES, True) | {"landlock": False}) == doctor(signer, capsys)
