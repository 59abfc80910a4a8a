"""Transactions that fail for good because of one transfer: only that one is not done.

After the plan was made somebody freezes a recipient's account, spends a source's money, or takes an
account over. Batches are halved until only the impossible transfer is left, killed at any step.
"""

from typing import Any

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.cases import cases_of, come_to_an_end, kill_at
from tests.crash.desk import EVERYTHING
from tests.crash.ground import held
from tests.crash.kinds import KINDS, WHOLE
from tests.crash.scene import Scene
from tests.crash.split_steps import SPLIT_STEPS
from tests.crash.steps import DOOMED
from tests.crash.trials import Trial
from tests.crash.vault import Vault

FIRST_BATCH = set(range(9))


@pytest.fixture(scope="module")
def launch() -> dict[str, Any]:
    """A gateway that pays for priority, for what fails as well."""
    return {"price": 7_777}


@pytest.mark.parametrize(("step", "kind", "victim"), cases_of(SPLIT_STEPS))
def test_only_the_impossible_is_not_done(vault: Vault, step: str, kind: str, victim: str) -> None:
    """Killed at a split, it still does all that can be done, once, and lists what cannot."""
    trial = KINDS[kind].make(vault, KINDS[kind].count)
    kill_at(trial, SPLIT_STEPS[step], victim)
    come_to_an_end(trial, SPLIT_STEPS[step], victim)
    assert (FIRST_BATCH if kind == "drain by first" else {DOOMED}) == trial.failed()


@pytest.mark.parametrize("kind", KINDS if EVERYTHING else ("drain tokens", "drain by each"))
def test_what_is_impossible_before_it_is_signed(vault: Vault, kind: str) -> None:
    """It happens before anything is signed: the same, and no fee is wasted where it can be seen."""
    trial = KINDS[kind].make(vault, KINDS[kind].count)
    trial.doom(DOOMED)
    trial.execute()
    end(trial, kind)


@pytest.mark.parametrize("kind", WHOLE if EVERYTHING else WHOLE[:1])
def test_a_payer_that_is_empty_by_then(vault: Vault, kind: str) -> None:
    """Signed and sent, its transaction cannot land any more. That is proved, and nothing was paid.

    Nobody goes on signing for it: it is listed as not done, and the others are done.
    """
    desk = vault.desk
    trial = KINDS[kind].make(vault, KINDS[kind].count)

    def empty(position: int) -> None:
        target = trial.effects[position].target
        vault.ground.fund(target, -held(vault.ground.accounts([target])[0]).lamports)

    trial.spoil = empty
    scene = Scene(trial)
    try:
        scene.all_sent()
        trial.doom(0)
    finally:
        scene.release()
    others = trial.plan.transaction_count - 1
    desk.until(trial.plan, lambda _: desk.attempts(trial.plan, "finalized") == others)
    desk.node.chain.expire_blockhashes()
    done = desk.finish(trial.plan)
    trial.settle()
    assert pb.Distribution.STATE_PARTIALLY_FAILED == done.state
    assert (FIRST_BATCH if kind == "drain by first" else {0}) == trial.failed()
    assert 1 == desk.attempts(trial.plan, "expired")


def end(trial: Trial, kind: str) -> None:
    """Waits for the end: all is done but the impossible, or what could not be parted from it."""
    done = trial.desk.finish(trial.plan)
    trial.settle()
    assert pb.Distribution.STATE_PARTIALLY_FAILED == done.state
    assert (FIRST_BATCH if kind == "drain by first" else {DOOMED}) == trial.failed()
