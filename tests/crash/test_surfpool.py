"""The same troubles on Surfpool, a chain that somebody else wrote, behind a proxy that spoils.

Smaller, because Surfpool executes some 15 transactions in a second.
"""

import random
import time
from collections.abc import Callable
from functools import partial

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client.devstack.surfpool import Surfpool
from tests.crash import node_faults as faults
from tests.crash.cases import cases_of, come_to_an_end, kill_at
from tests.crash.conftest import MakeDesk, Vaults
from tests.crash.desk import ENDED, EVERYTHING
from tests.crash.ground import SurfpoolGround
from tests.crash.kinds import KINDS
from tests.crash.node import Fault
from tests.crash.node_faults import Sometimes
from tests.crash.order_steps import ORDER_STEPS
from tests.crash.scene import until
from tests.crash.steps import STEPS
from tests.crash.trials import Trial
from tests.crash.vault import Vault

FUNDS = 10**11
SEED = 4
# The part of a kind's usual count: two or three transactions, three or four of the dearest.
SHARE = 3
pytestmark = pytest.mark.localnet
# Those that only a node has to do with: nobody tells this chain when to make blocks.
HELD_STEPS = {name: step for name, step in {**STEPS, **ORDER_STEPS}.items() if not step.needs_chain}
SAMPLE = [
    ("sent_not_answered", "pay", "gateway"),
    ("sent_not_answered", "drain tokens with fee", "postgres"),
]
TROUBLES: dict[str, dict[str, tuple[Fault, float]]] = {
    "lost": {
        "drops": (faults.drop, 0.15),
        "lost replies": (faults.lose_reply, 0.15),
        "429": (faults.too_many, 0.1),
    },
    "garbled": {
        "repeated requests": (faults.twice, 0.1),
        "repeated replies": (faults.answered_twice, 0.1),
        "malformed": (faults.malformed, 0.1),
        "stale": (faults.stale(40), 0.2),
    },
    "untrue": {
        "wrong heights and slots": (faults.wrong_number(100_000), 0.2),
        "forgets signatures": (faults.forgetful, 0.2),
        "delays": (faults.delay, 0.1),
        "slow": (faults.slow, 0.05),
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
def vaults(make_desk: MakeDesk, surfpool: Surfpool) -> Vaults:
    """A desk on Surfpool, through a proxy."""
    ground = SurfpoolGround(surfpool.rpc_url)

    def open_vault() -> Vault:
        desk = make_desk(
            block_time_s=None,
            upstream_url=surfpool.rpc_url,
            fund=funder(ground),
            request_timeout_ms=faults.PATIENCE_MS,
        )
        return Vault(desk, ground)

    return Vaults(open_vault)


def make(vault: Vault, kind: str) -> Trial:
    """Plans a small order."""
    return KINDS[kind].make(vault, KINDS[kind].count // SHARE)


def end(trial: Trial) -> None:
    """Waits for the end, and judges."""
    done = trial.desk.finish(trial.plan, timeout_s=60)
    trial.settle()
    assert pb.Distribution.STATE_COMPLETED == done.state


@pytest.mark.parametrize(("step", "kind", "victim"), cases_of(HELD_STEPS) if EVERYTHING else SAMPLE)
def test_a_kill_at_a_step(vault: Vault, step: str, kind: str, victim: str) -> None:
    """Kill -9 with an order held at a step: it finishes after a restart, all done once."""
    trial = make(vault, kind)
    kill_at(trial, HELD_STEPS[step], victim)
    come_to_an_end(trial, HELD_STEPS[step], victim)


@pytest.mark.parametrize("kind", KINDS if EVERYTHING else ["drain by payer"])
def test_trouble(vault: Vault, kind: str) -> None:
    """Calls go wrong in every way, several at a time; all is done once.

    Each way has happened, and nobody had to give another session.
    """
    trial = make(vault, kind)
    desk = vault.desk
    troubles = [Sometimes(random.Random(SEED), ways) for ways in TROUBLES.values()]
    desk.node.spoil("*", troubles[0])
    trial.execute()
    given = desk.sessions_given
    for trouble in troubles:
        desk.node.behave()
        desk.node.spoil("*", trouble)
        desk.until(trial.plan, partial(has_happened, trouble))
    desk.node.behave()
    end(trial)
    assert given == desk.sessions_given
    assert all(trouble.have_all_happened for trouble in troubles)


def has_happened(trouble: Sometimes, found: pb.Distribution) -> bool:
    """True once all has gone wrong that is to, or it is too late for that."""
    return trouble.have_all_happened or found.state in ENDED


@pytest.mark.parametrize("kind", KINDS if EVERYTHING else ["close"])
def test_a_node_that_is_started_again(vault: Vault, kind: str) -> None:
    """It breaks all connections with transactions on their way, and serves again: as before."""
    trial = make(vault, kind)
    desk = vault.desk
    hold = desk.node.hold("sendTransaction")
    trial.execute()
    given = desk.sessions_given
    until(hold.reached.is_set)
    desk.node.go_away()
    try:
        desk.until(trial.plan, lambda found: "connection failed" in found.last_error)
    finally:
        desk.node.come_back()
    end(trial)
    assert given == desk.sessions_given


@pytest.mark.skipif(not EVERYTHING, reason="8 s a case")
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
