"""The fixtures that every test may ask for.

short_dir             a temporary directory whose path is short enough for sockets
databases             the run's PostgreSQL server; postgres_url is its URL
empty_database_url    a database with nothing in it
database_url          a migrated database
svm_rpc               a scriptable RPC node, time standing still; make_svm_rpc for other kinds
surfpool              the run's local chain, an independent implementation
signer_process        a real signer; make_signer for one with a policy or limits of its own
gateway_process       a real gateway on signer_process, database_url and svm_rpc; make_gateway
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.postgres import migrate
from solward_client.devstack.surfpool import Surfpool
from tests.support.databases import Databases
from tests.support.processes import GatewayProcess, SignerProcess
from tests.support.svm_rpc import SvmRpc

MakeSigner = Callable[..., SignerProcess]
MakeGateway = Callable[..., GatewayProcess]
MakeSvmRpc = Callable[..., SvmRpc]


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A temporary directory, mode 0700; pytest's own have names too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="sw-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """The run's database server, started when the first test asks."""
    with Databases() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(databases: Databases) -> str:
    """The URL of the run's database server."""
    return databases.server.url()


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """The URL of a database with nothing in it."""
    name = databases.create()
    yield databases.server.url(name)
    databases.drop(name)


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """The URL of a migrated database of this test's own."""
    name = databases.create(databases.template("migrated", migrate))
    yield databases.server.url(name)
    databases.drop(name)


@pytest.fixture
def make_svm_rpc() -> Iterator[MakeSvmRpc]:
    """Start RPC nodes: `make_svm_rpc(chain=..., block_time_s=...)`. Stopped after the test."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(SvmRpc(*args, **options))


@pytest.fixture
def svm_rpc(make_svm_rpc: MakeSvmRpc) -> SvmRpc:
    """An RPC node whose blocks only the test adds."""
    return make_svm_rpc()


@pytest.fixture(scope="session")
def surfpool() -> Iterator[Surfpool]:
    """The run's local chain. Its state is shared: use accounts of your own."""
    with (
        tempfile.TemporaryDirectory(prefix="sw-") as directory,
        Surfpool(Path(directory) / "surfpool.log") as chain,
    ):
        yield chain


@pytest.fixture
def make_signer() -> Iterator[MakeSigner]:
    """Start signers: `make_signer(policy=..., limits=...)`."""
    with ExitStack() as stack:

        def make(**options: Any) -> SignerProcess:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sw-")))
            signer = SignerProcess(root, **options)
            stack.callback(signer.close)
            return signer.start()

        yield make


@pytest.fixture
def signer_process(make_signer: MakeSigner) -> SignerProcess:
    """A signer with the development policy."""
    return make_signer()


@pytest.fixture
def make_gateway(
    signer_process: SignerProcess, database_url: str, svm_rpc: SvmRpc
) -> Iterator[MakeGateway]:
    """Start gateways; whatever is not given (signer_socket, ...) comes from the fixtures."""
    with ExitStack() as stack:

        def make(**options: Any) -> GatewayProcess:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sw-")))
            options.setdefault("signer_socket", signer_process.socket)
            options.setdefault("database_url", database_url)
            options.setdefault("rpc_url", svm_rpc.url)
            gateway = GatewayProcess(root, **options)
            stack.callback(gateway.close)
            return gateway.start()

        yield make


@pytest.fixture
def gateway_process(make_gateway: MakeGateway) -> GatewayProcess:
    """A gateway on a signer, a database and an RPC node of this test's own."""
    return make_gateway()
