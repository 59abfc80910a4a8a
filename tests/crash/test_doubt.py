"""kill -9 at every step of transactions that nobody knows the truth of: UNKNOWN, and out of it."""

from typing import Any

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.bad_nodes import FORGETTING
from tests.crash.cases import cases_of, come_to_an_end, kill_at
from tests.crash.desk import EVERYTHING
from tests.crash.doubt_steps import DOUBT_STEPS
from tests.crash.kinds import KINDS
from tests.crash.vault import Vault
from tests.support.svm_chain import Timing

COMPLETED, PARKED = pb.Distribution.STATE_COMPLETED, pb.Distribution.STATE_PARKED
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
def launch() -> dict[str, Any]:
    """An attempt in doubt is parked after a second, not a minute."""
    return {"doubt_s_max": 1.0}


@pytest.mark.parametrize(("step", "kind", "victim"), cases_of(DOUBT_STEPS))
def test_a_kill_in_doubt(vault: Vault, step: str, kind: str, victim: str) -> None:
    """Held at a step, one process is killed and started again; nobody is ever paid twice.

    What is parked goes on when a person says so: nothing is signed for it before.
    """
    trial = KINDS[kind].make(vault, max(6, KINDS[kind].count // 2))
    kill_at(trial, DOUBT_STEPS[step], victim)
    come_to_an_end(trial, DOUBT_STEPS[step], victim)


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
