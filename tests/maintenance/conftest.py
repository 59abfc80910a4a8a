"""Houses: a real signer, a database and a real gateway each."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.adapters.postgres import migrate
from tests.maintenance.house import House, MakeHouse, no_settings
from tests.signer.process import SignerProcess, signer_process
from tests.support.databases import Databases
from tests.support.processes import GatewayProcess
from tests.support.svm_rpc import SvmRpc


@pytest.fixture
def make_house(
    databases: Databases,
    svm_rpc: SvmRpc,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[MakeHouse]:
    """Make houses with secrets and a database of their own, everything stopped at the end."""
    no_settings(monkeypatch)
    with ExitStack() as stack:

        def make() -> House:
            signer: SignerProcess = stack.enter_context(signer_process())
            signer.configure(exports=True)
            signer.start()
            name = databases.create(databases.template("migrated", migrate))
            stack.callback(databases.drop, name)
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sw-")))
            gateway = GatewayProcess(
                root,
                signer_socket=signer.socket,
                database_url=databases.server.url(name),
                rpc_url=svm_rpc.url,
            )
            stack.callback(gateway.close)
            gateway.start()
            return House(signer, gateway, capsys)

        yield make


@pytest.fixture
def house(make_house: MakeHouse) -> House:
    """One house."""
    return make_house()
