"""RPC nodes that lose, delay, lie and forget: never a double payment; doubt is parked."""

import random
import time
from collections.abc import Callable

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash import node as faults
from tests.crash.accounts import settle_accounts
from tests.crash.conftest import MakeDesk
from tests.crash.desk import EVERYTHING, Desk
from tests.support.svm_chain import Timing

RECIPIENTS, TOTAL = 150, 10**9
COMPLETED, PARKED = pb.Distribution.STATE_COMPLETED, pb.Distribution.STATE_PARKED
FAULTS: dict[str, tuple[str, faults.Fault]] = {
    "drops": ("*", faults.drop),
    "lost replies": ("*", faults.lose_reply),
    "delays": ("*", faults.delay),
    "429": ("*", faults.too_many),
    "duplicates": ("*", faults.twice),
    "malformed": ("*", faults.malformed),
    "mistyped": ("*", faults.mistyped),
    "errors without data": ("*", faults.error_without_data),
    "stale by 40 blocks": ("*", faults.stale(40)),
    "stale by 180 blocks": ("*", faults.stale(180)),
    "heights too high": ("getBlockHeight", faults.wrong_number(100_000)),
    "heights too low": ("getBlockHeight", faults.wrong_number(-100)),
    "slots too high": ("getSlot", faults.wrong_number(100_000)),
    "forgets signatures": ("getSignatureStatuses", faults.forgetful),
}

SAMPLE = ("lost replies", "malformed", "stale by 180 blocks", "heights too high")


@pytest.fixture(scope="module")
def shared_desk(make_desk: MakeDesk) -> Desk:
    """One desk for all cases; an attempt in doubt is parked after a second, not a minute."""
    return make_desk(doubt_s_max=1.0)


@pytest.mark.parametrize("name", FAULTS if EVERYTHING else SAMPLE)
def test_a_bad_node(shared_desk: Desk, name: str) -> None:
    """Every third call goes wrong in one way for as long as it takes; everybody is paid once."""
    desk = shared_desk
    method, fault = FAULTS[name]
    plan = desk.plan(RECIPIENTS, TOTAL)
    # Now and then nothing lands for a while: a node that lies then has something to lie about.
    desk.node.chain.hold = True
    desk.node.spoil(method, faults.sometimes(random.Random(name), {fault: 0.34}))
    desk.execute(plan)
    time.sleep(0.4)
    desk.node.chain.release()
    time.sleep(0.4)
    desk.node.behave()
    done = desk.finish(plan)
    settle_accounts(desk, plan)
    assert done.state == COMPLETED


def confirmed_then_forgotten(desk: Desk, plan: pb.Distribution) -> None:
    """Everything was seen confirmed, and past its last valid height the node knows nothing."""
    desk.node.chain.timing = Timing(1, 150)
    desk.execute(plan)
    desk.until(plan, lambda _: desk.attempts(plan, "confirmed") == plan.transaction_count)
    desk.node.spoil("getSignatureStatuses", faults.forgetful)
    desk.node.chain.expire_blockhashes()


def landed_before_the_nodes_history(desk: Desk, plan: pb.Distribution) -> None:
    """Everything landed unseen, and then the node began again from a snapshot."""
    hold = desk.node.hold("getBlockHeight")
    desk.execute(plan)
    assert hold.reached.wait(10)
    desk.until(plan, lambda _: desk.attempts(plan, "sent") > 0)
    desk.node.chain.expire_blockhashes()
    desk.node.chain.first_available_slot = desk.node.chain.slot
    desk.node.behave()
    desk.node.spoil("getSignatureStatuses", faults.forgetful)


@pytest.mark.parametrize("forget", [confirmed_then_forgotten, landed_before_the_nodes_history])
def test_what_is_forgotten_is_parked(
    shared_desk: Desk, forget: Callable[[Desk, pb.Distribution], None]
) -> None:
    """UNKNOWN, parked and never signed again; once the node remembers, a person lets it go on."""
    desk = shared_desk
    plan = desk.plan(RECIPIENTS, TOTAL)
    try:
        forget(desk, plan)
        parked = desk.until(plan, lambda found: found.transfer_counts.unknown_count > 0)
        settle_accounts(desk, plan)
        assert 0 == desk.attempts(plan, "expired")
        assert parked.transfer_counts.failed_count == 0
    finally:
        desk.node.chain.first_available_slot = 0
        desk.node.chain.timing = Timing()
        desk.node.behave()
    desk.until(plan, lambda found: found.state in {PARKED, COMPLETED})
    desk.execute(plan)
    done = desk.finish(plan)
    settle_accounts(desk, plan)
    assert COMPLETED == done.state
    assert plan.transaction_count == desk.attempts(plan, "finalized")
