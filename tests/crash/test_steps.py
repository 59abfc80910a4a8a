"""kill -9 at every step of a distribution: nobody is paid twice, nothing is forgotten."""

from collections.abc import Iterator

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.accounts import settle_accounts
from tests.crash.conftest import MakeDesk
from tests.crash.desk import EVERYTHING, Desk
from tests.crash.steps import STEPS
from tests.support.svm_chain import Timing

# 8 transactions, so that some are on their way and others are not begun when it happens.
RECIPIENTS, TOTAL = 150, 10**9
VICTIMS = ("gateway", "signer", "postgres")
SAMPLE = [
    ("signed_not_stored", "gateway"),
    ("stored_not_sent", "gateway"),
    ("sent_not_answered", "gateway"),
    ("seen_not_stored", "gateway"),
    ("expired_not_stored", "gateway"),
    ("cancelling", "gateway"),
    ("signed_not_stored", "signer"),
    ("signed_not_stored", "postgres"),
    ("seen_not_stored", "postgres"),
]
CASES = [(step, victim) for victim in VICTIMS for step in STEPS] if EVERYTHING else SAMPLE


@pytest.fixture(scope="module")
def shared_desk(make_desk: MakeDesk) -> Desk:
    """One desk for all cases: what one of them leaves behind must not hurt the next."""
    return make_desk()


@pytest.fixture
def desk(shared_desk: Desk) -> Iterator[Desk]:
    """The desk, with an honest chain before and after."""
    yield shared_desk
    shared_desk.node.behave()
    shared_desk.node.chain.release()
    shared_desk.node.chain.timing = Timing()


@pytest.mark.parametrize(("step", "victim"), CASES)
def test_a_kill_at_a_step(desk: Desk, step: str, victim: str) -> None:
    """Held at a step, one process is killed and started again; then it finishes by itself.

    A killed gateway or signer takes the session with it, and so a new one is given; a killed
    database needs nothing. What a dead gateway had on its way arrives after its successor began.
    """
    plan = desk.plan(RECIPIENTS, TOTAL)
    reach, release = STEPS[step](desk, plan)
    try:
        desk.execute(plan)
        reach()
        desk.kill(victim)
        desk.start(victim)
    finally:
        release()
    if victim == "gateway" and step not in {"paused", "cancelling"}:
        desk.execute(plan)
    given = desk.sessions_given
    if step == "cancelling":
        done = desk.until(plan, lambda found: found.state == pb.Distribution.STATE_CANCELLED)
    else:
        done = desk.finish(plan)
        assert done.state == pb.Distribution.STATE_COMPLETED
    settle_accounts(desk, plan)
    if victim == "postgres" and step != "paused":
        assert given == desk.sessions_given
