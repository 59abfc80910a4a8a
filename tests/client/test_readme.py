"""The README says what is so: its commands run, its paths exist."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from solward_client.devstack.stack import DevStack, StackOptions

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text()


@pytest.fixture
def environment(short_dir: Path) -> Iterator[dict[str, str]]:
    """What a terminal beside `solward up` has: the stack's socket and the command in PATH."""
    options = StackOptions(environment={}, durable=False)
    with DevStack(short_dir, options) as stack:
        binaries = str(Path(sys.executable).parent)
        yield {
            "PATH": os.pathsep.join((binaries, os.environ.get("PATH", os.defpath))),
            "SOLWARD_TARGET": stack.endpoints.gateway,
        }


@pytest.mark.stack
@pytest.mark.localnet
def test_the_quickstart_runs_as_it_stands(environment: dict[str, str], tmp_path: Path) -> None:
    """The shell commands and both Python programs of the README end well on a fresh stack."""
    shell, python = _blocks("bash"), _blocks("python")
    assert (1, 2) == (len(shell), len(python))
    programs = [["bash", "-euo", "pipefail", "-c", shell[0]]]
    programs += [[sys.executable, "-c", program] for program in python]

    for program in programs:
        done = subprocess.run(
            program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert 0 == done.returncode, f"{program[-1]}\n{done.stdout}\n{done.stderr}"


def test_every_path_in_the_readme_exists() -> None:
    """No link leads nowhere, and every test that stands for a claim is there."""
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", README)

    assert [] == [path for path in links if not (REPOSITORY / path).exists()]
    assert [] == [f"{path}::{name}" for path, name in tests if not _has_test(path, name)]
    assert len(tests) > 20


def _has_test(path: str, name: str) -> bool:
    file = REPOSITORY / path
    found = file.exists() and re.search(rf"^(async )?def {name}\(", file.read_text(), re.MULTILINE)
    return bool(found)


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
