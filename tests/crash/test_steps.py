"""kill -9 at every step of every kind of order: nothing happens twice, nothing is forgotten."""

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.desk import EVERYTHING
from tests.crash.kinds import KINDS
from tests.crash.steps import STEPS
from tests.crash.vault import Vault

VICTIMS = ("gateway", "signer", "postgres")
SAMPLE = [
    ("pay", "signed_not_stored", "gateway"),
    ("drain by payer", "stored_not_sent", "gateway"),
    ("pay tokens with fee", "sent_not_answered", "gateway"),
    ("close", "seen_not_stored", "gateway"),
    ("drain tokens with fee", "expired_not_stored", "gateway"),
    ("drain by first", "cancelling", "gateway"),
    ("pay tokens", "signed_not_stored", "signer"),
    ("close and reclaim", "signed_not_stored", "postgres"),
    ("drain tokens", "seen_not_stored", "postgres"),
]
CASES = (
    [(kind, step, victim) for kind in KINDS for victim in VICTIMS for step in STEPS]
    if EVERYTHING
    else SAMPLE
)


@pytest.mark.parametrize(("kind", "step", "victim"), CASES)
def test_a_kill_at_a_step(vault: Vault, kind: str, step: str, victim: str) -> None:
    """Held at a step, one process is killed and started again; then it finishes by itself.

    A killed gateway or signer takes the session with it, and so a new one is given; a killed
    database needs nothing. What a dead gateway had on its way arrives after its successor began.
    """
    desk = vault.desk
    trial = KINDS[kind].make(vault, KINDS[kind].count)
    plan = trial.plan
    trial.killed_at(STEPS[step](desk, plan), victim)
    if victim == "gateway" and step not in {"paused", "cancelling"}:
        trial.execute()
    given = desk.sessions_given
    if step == "cancelling":
        done = desk.until(plan, lambda found: found.state == pb.Distribution.STATE_CANCELLED)
    else:
        done = desk.finish(plan)
        assert done.state == pb.Distribution.STATE_COMPLETED
    trial.settle()
    if victim == "postgres" and step != "paused":
        assert given == desk.sessions_given
