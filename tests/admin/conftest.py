"""A real signer whose operator may export, and a second one that may not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.signer.client import Client, connected
from tests.signer.process import SignerProcess, signer_process

PASSWORD = "a password of the desk"
EXPORTS = "\n[export]\nmnemonics = true\nprivate_keys = true\nvault = true\n"


def allow_exports(signer: SignerProcess) -> None:
    """Turn all exports on in a signer's configuration."""
    signer.config.write_text(signer.config.read_text() + EXPORTS)


@pytest.fixture
def signer() -> Iterator[SignerProcess]:
    """A signer, serving, that may export; each test has its own, to kill or to freeze."""
    with signer_process() as process:
        allow_exports(process)
        process.start()
        yield process


@pytest.fixture
def client(signer: SignerProcess) -> Iterator[Client]:
    """A gateway and an operator in one."""
    with connected(signer) as connection:
        yield connection


def rewrite_policy(path: Path, version: int, **changes: str) -> None:
    """Write the policy file again with another version and, by name, other text for old."""
    text = path.read_text().replace("version = 7", f"version = {version}", 1)
    for old, new in changes.items():
        text = text.replace(old, new)
    path.write_text(text)
