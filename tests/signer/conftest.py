"""A running signer for the tests of one module, whose operator may export."""

from collections.abc import Iterator

import pytest

from tests.signer.client import Client, connected
from tests.signer.house import House
from tests.signer.process import SignerProcess, signer_process


@pytest.fixture(scope="module")
def signer() -> Iterator[SignerProcess]:
    """One process for the module: its tests leave it as they found it."""
    with signer_process() as process:
        process.configure(exports=True)
        process.start()
        yield process


@pytest.fixture(scope="module")
def client(signer: SignerProcess) -> Iterator[Client]:
    """A gateway and an operator in one."""
    with connected(signer) as connection:
        yield connection


@pytest.fixture(scope="module")
def house(client: Client) -> House:
    """A master with wallets, an imported wallet and an open session of each."""
    return House.built(client)
