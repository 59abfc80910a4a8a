"""The processes that all crash tests share, and desks on them.

`make test` takes a sample, `make crash` all of it.
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


class Vaults:
    """One desk for all cases of a file, as long as each leaves it as it was."""

    def __init__(self, make: Callable[[], Vault]) -> None:
        self._make = make
        self._present: Vault | None = None

    def get(self) -> Vault:
        """Returns the vault of the last case, or a new one if that left something at work."""
        self._present = self._present or self._make()
        return self._present

    def tidy(self) -> None:
        """Makes the chain honest; what a failed case left executing is left to it."""
        if self._present is None:
            return
        desk = self._present.desk
        desk.node.behave()
        desk.node.chain.release()
        desk.node.chain.timing = Timing()
        desk.node.chain.forgets = lambda _: False
        desk.node.chain.first_available_slot = 0
        desk.revive()
        if desk.is_at_work() or not desk.gateways[0].is_alive:
            desk.gateways[0].kill()
            self._present = None


@pytest.fixture(scope="module")
def launch() -> dict[str, Any]:
    """Settings of the desk of a file: those of `make_desk`."""
    return {}


@pytest.fixture(scope="module")
def vaults(make_desk: MakeDesk, launch: dict[str, Any]) -> Vaults:
    """The desk of a file."""
    return Vaults(lambda: open_vault(make_desk(**launch)))


@pytest.fixture
def vault(vaults: Vaults) -> Iterator[Vault]:
    """Its wallets, with an honest chain before and after."""
    yield vaults.get()
    vaults.tidy()
