"""The same troubles on Surfpool, a chain that somebody else wrote, behind a proxy that spoils.

Smaller, because Surfpool executes some 15 transactions in a second.
"""

import random
import time
from collections.abc import Callable, Iterator

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client.devstack.surfpool import Surfpool
from tests.crash import node as faults
from tests.crash.conftest import MakeDesk
from tests.crash.desk import EVERYTHING
from tests.crash.ground import SurfpoolGround
from tests.crash.kinds import KINDS
from tests.crash.trials import Trial
from tests.crash.vault import Vault

FUNDS = 10**11
SEED = 4
VICTIMS = ("gateway", "signer", "postgres")
SAMPLE = [("pay", "gateway"), ("drain tokens with fee", "gateway")]
KILLS = [(kind, victim) for kind in KINDS for victim in VICTIMS] if EVERYTHING else SAMPLE
# The part of a kind's usual count: two or three transactions, three or four of the dearest.
SHARE = 3
pytestmark = pytest.mark.localnet
TROUBLES: dict[str, dict[faults.Fault, float]] = {
    "drops, lost replies, 429": {
        faults.drop: 0.15,
        faults.lose_reply: 0.15,
        faults.too_many: 0.1,
    },
    "duplicates, malformed, stale": {
        faults.twice: 0.15,
        faults.malformed: 0.15,
        faults.stale(40): 0.2,
    },
    "wrong heights and slots, forgotten signatures, delays": {
        faults.wrong_number(100_000): 0.2,
        faults.forgetful: 0.2,
        faults.delay: 0.1,
    },
}


def funder(ground: SurfpoolGround) -> Callable[[str], None]:
    """Asks the chain's faucet, and waits until it is there."""

    def fund(address: str) -> None:
        ground.ask("requestAirdrop", address, FUNDS)
        deadline = time.monotonic() + 20
        while ground.accounts([address]) == [None]:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    return fund


@pytest.fixture(scope="module")
def shared_vault(make_desk: MakeDesk, surfpool: Surfpool) -> Vault:
    """A desk on Surfpool, through a proxy."""
    ground = SurfpoolGround(surfpool.rpc_url)
    upstream = surfpool.rpc_url
    return Vault(make_desk(block_time_s=None, upstream_url=upstream, fund=funder(ground)), ground)


@pytest.fixture
def vault(shared_vault: Vault) -> Iterator[Vault]:
    """Its wallets, with an honest proxy before and after."""
    yield shared_vault
    shared_vault.desk.node.behave()


def make(vault: Vault, kind: str) -> Trial:
    """Plans a small order."""
    return KINDS[kind].make(vault, KINDS[kind].count // SHARE)


def end(trial: Trial) -> None:
    """Waits for the end, and judges."""
    done = trial.desk.finish(trial.plan, timeout_s=60)
    trial.settle()
    assert pb.Distribution.STATE_COMPLETED == done.state


@pytest.mark.parametrize(("kind", "victim"), KILLS)
def test_a_kill_with_transactions_on_their_way(vault: Vault, kind: str, victim: str) -> None:
    """Sent and not answered, then kill -9: it finishes after a restart, all done once."""
    trial = make(vault, kind)
    desk = vault.desk
    hold = desk.node.hold("sendTransaction", after=True)
    trial.execute()
    assert hold.reached.wait(20)
    desk.kill(victim)
    desk.start(victim)
    desk.node.behave()
    if victim == "gateway":
        trial.execute()
    end(trial)


@pytest.mark.skipif(not EVERYTHING, reason="8 s a case: CRASH_EVERYTHING=1 runs them")
@pytest.mark.parametrize("name", TROUBLES)
@pytest.mark.parametrize("kind", KINDS)
def test_trouble(vault: Vault, kind: str, name: str) -> None:
    """Calls go wrong for a second in several ways; all is done once."""
    trial = make(vault, kind)
    vault.desk.node.spoil("*", faults.sometimes(random.Random(SEED), TROUBLES[name]))
    trial.execute()
    time.sleep(1)
    vault.desk.node.behave()
    end(trial)


@pytest.mark.skipif(not EVERYTHING, reason="8 s a case: CRASH_EVERYTHING=1 runs them")
@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("drain by")])
def test_only_the_impossible_is_not_done(vault: Vault, kind: str) -> None:
    """One transfer became impossible: its transaction fails and is split, the others are done."""
    trial = make(vault, kind)
    trial.doom(3)
    trial.execute()
    done = vault.desk.finish(trial.plan, timeout_s=60)
    trial.settle()
    assert pb.Distribution.STATE_PARTIALLY_FAILED == done.state
    assert {3} == trial.failed()
