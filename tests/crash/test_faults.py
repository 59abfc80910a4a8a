"""RPC nodes that lose, delay, lie and forget: nothing happens twice; doubt is parked."""

import random
import time

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.bad_nodes import FAULTS, FORGETTING
from tests.crash.conftest import MakeDesk, open_vault
from tests.crash.desk import EVERYTHING
from tests.crash.kinds import KINDS
from tests.crash.node import sometimes
from tests.crash.vault import Vault
from tests.support.svm_chain import Timing

COMPLETED, PARKED = pb.Distribution.STATE_COMPLETED, pb.Distribution.STATE_PARKED
SAMPLE = [
    ("drain by payer", "lost replies"),
    ("pay", "malformed"),
    ("pay tokens", "stale by 180 blocks"),
    ("drain tokens", "heights too high"),
    ("close and reclaim", "duplicates"),
]
CASES = [(kind, name) for kind in KINDS for name in FAULTS] if EVERYTHING else SAMPLE
FORGOTTEN = [
    ("pay tokens with fee", "confirmed, then forgotten"),
    ("drain by first", "landed before the node's history"),
    ("pay", "forgets one for ever"),
    ("drain by first", "forgets a range of slots"),
    ("pay tokens with fee", "prunes and says it searched"),
    ("pay", "denies what it lists"),
]
FORGET_CASES = [(kind, name) for kind in KINDS for name in FORGETTING] if EVERYTHING else FORGOTTEN


@pytest.fixture(scope="module")
def vault(make_desk: MakeDesk) -> Vault:
    """One desk for all cases; an attempt in doubt is parked after a second, not a minute."""
    return open_vault(make_desk(doubt_s_max=1.0))


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_bad_node(vault: Vault, kind: str, name: str) -> None:
    """Every third call goes wrong in one way for as long as it takes; all is done once."""
    desk = vault.desk
    method, fault = FAULTS[name]
    trial = KINDS[kind].make(vault, KINDS[kind].count)
    # Now and then nothing lands for a while: a node that lies then has something to lie about.
    desk.node.chain.hold = True
    desk.node.spoil(method, sometimes(random.Random(name), {fault: 0.34}))
    trial.execute()
    time.sleep(0.4)
    desk.node.chain.release()
    time.sleep(0.4)
    desk.node.behave()
    done = desk.finish(trial.plan)
    trial.settle()
    assert done.state == COMPLETED


@pytest.mark.parametrize(("kind", "forget"), FORGET_CASES)
def test_what_is_forgotten_is_parked(vault: Vault, kind: str, forget: str) -> None:
    """UNKNOWN, parked and never signed again; once the node remembers, a person lets it go on."""
    desk = vault.desk
    trial = KINDS[kind].make(vault, KINDS[kind].count)
    plan = trial.plan
    try:
        FORGETTING[forget](desk, plan, trial.execute)
        parked = desk.until(plan, lambda found: found.transfer_counts.unknown_count > 0)
        trial.settle()
        assert 0 == desk.attempts(plan, "expired")
        assert parked.transfer_counts.failed_count == 0
    finally:
        desk.node.chain.first_available_slot = 0
        desk.node.chain.forgets = lambda _: False
        desk.node.chain.timing = Timing()
        desk.node.behave()
    desk.until(plan, lambda found: found.state in {PARKED, COMPLETED})
    trial.execute()
    done = desk.finish(plan)
    trial.settle()
    assert COMPLETED == done.state
    assert plan.transaction_count == desk.attempts(plan, "finalized")
