"""Transactions that fail for good because of one transfer: only that one is not done.

After the plan was made somebody freezes a recipient's account, spends a source's money, or takes an
account over. Batches are halved until only the impossible transfer is left, killed at any step.
"""

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.desk import EVERYTHING
from tests.crash.ground import held
from tests.crash.kinds import KINDS
from tests.crash.split_steps import SPLIT_STEPS, all_sent
from tests.crash.trials import Trial
from tests.crash.vault import Vault

VICTIMS = ("gateway", "signer", "postgres")
# Whose batches are not split: one transfer each, or a payer whose money the failed fee was.
WHOLE = ("drain by each", "drain by first")
FIRST_BATCH = set(range(9))
SAMPLE = [
    ("pay tokens", "failed_not_stored", "gateway"),
    ("drain tokens with fee", "split_not_signed", "gateway"),
    ("close and reclaim", "halves_not_seen", "gateway"),
    ("drain by first", "failed_not_stored", "gateway"),
    ("drain by payer", "failed_not_stored", "postgres"),
]
CASES = (
    [
        (kind, step, victim)
        for kind in KINDS
        for victim in VICTIMS
        for step in SPLIT_STEPS
        if kind not in WHOLE or step == "failed_not_stored"
    ]
    if EVERYTHING
    else SAMPLE
)


@pytest.mark.parametrize(("kind", "step", "victim"), CASES)
def test_only_the_impossible_is_not_done(vault: Vault, kind: str, step: str, victim: str) -> None:
    """Killed at a split, it still does all that can be done, once, and lists what cannot."""
    trial = KINDS[kind].make(vault, KINDS[kind].count)
    step_of = SPLIT_STEPS[step](vault.desk, trial.plan, lambda: trial.doom(3))
    trial.killed_at(step_of, victim)
    if victim == "gateway":
        trial.execute()
    end(trial, kind)


@pytest.mark.parametrize("kind", KINDS if EVERYTHING else ("drain tokens", "drain by each"))
def test_what_is_impossible_before_it_is_signed(vault: Vault, kind: str) -> None:
    """It happens before anything is signed: the same, and no fee is wasted where it can be seen."""
    trial = KINDS[kind].make(vault, KINDS[kind].count)
    trial.doom(3)
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
    reach, land = all_sent(desk, trial.plan)
    trial.execute()
    reach()
    trial.doom(0)
    land()
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
    assert (FIRST_BATCH if kind == "drain by first" else {3}) == trial.failed()
