"""The processes that all crash tests share, and desks on them.

`make test` takes a sample. The whole suite:

    CRASH_EVERYTHING=1 CRASH_KILLS=200 CRASH_RECIPIENTS=10000 CRASH_TRANSACTIONS=40 \\
        pytest tests/crash
"""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.crash.desk import Desk
from tests.crash.ground import MemoryGround
from tests.crash.node import ScriptedNode
from tests.crash.parts import POLICY, Postgres
from tests.crash.vault import Vault
from tests.support.processes import SignerProcess
from tests.support.svm_chain import SvmChain, Timing

MakeDesk = Callable[..., Desk]
BLOCK_S = 0.02
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A durable PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="sw-") as directory:
        server = Postgres(Path(directory))
        yield server
        server.close()


@pytest.fixture(scope="session")
def fast_signer() -> Iterator[SignerProcess]:
    """A signer whose rate limit is not what is tested."""
    with unspent_signer() as signer:
        yield signer


@contextmanager
def unspent_signer() -> Iterator[SignerProcess]:
    """A new signer, under no limit that counts here."""
    with tempfile.TemporaryDirectory(prefix="sw-") as directory:
        signer = SignerProcess(Path(directory), policy=POLICY.format(rate=1_000_000))
        try:
            yield signer.start()
        finally:
            signer.close()


@pytest.fixture(scope="module")
def make_desk(postgres: Postgres, fast_signer: SignerProcess) -> Iterator[MakeDesk]:
    """Make desks: `make_desk(block_time_s=..., **settings of the launcher)`."""
    with ExitStack() as stack:

        def make(
            *,
            block_time_s: float | None = BLOCK_S,
            upstream_url: str = "",
            fund: Callable[[str], None] | None = None,
            signer: SignerProcess | None = None,
            **launch: Any,
        ) -> Desk:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sw-")))
            node = ScriptedNode(SvmChain(), block_time_s, upstream_url)
            stack.enter_context(node)
            stack.callback(node.close)
            database = f"crash{next(_numbers)}"
            desk = Desk(root, postgres, signer or fast_signer, node, database)
            desk.revive()
            desk.prepare()
            stack.callback(desk.close)
            desk.add_gateway(**launch)
            desk.open_source(fund)
            return desk

        yield make


def open_vault(desk: Desk) -> Vault:
    """The wallets of a desk on a chain in memory."""
    return Vault(desk, MemoryGround(desk.node.chain))


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """A desk whose chain makes 50 blocks a second."""
    return make_desk()


@pytest.fixture(scope="module")
def shared_vault(make_desk: MakeDesk) -> Vault:
    """One desk for all cases: what one of them leaves behind must not hurt the next."""
    return open_vault(make_desk())


@pytest.fixture
def vault(shared_vault: Vault) -> Iterator[Vault]:
    """Its wallets, with an honest chain before and after."""
    yield shared_vault
    node = shared_vault.desk.node
    node.behave()
    node.chain.release()
    node.chain.timing = Timing()
