"""RPC nodes that lose, delay, lie and forget: never a double payment; doubt is parked."""

import random
import time

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash import node as faults
from tests.crash.accounts import settle_accounts
from tests.crash.conftest import MakeDesk
from tests.crash.desk import EVERYTHING, Desk

RECIPIENTS, TOTAL = 150, 10**9
COMPLETED, PARKED = pb.Distribution.STATE_COMPLETED, pb.Distribution.STATE_PARKED
FAULTS: dict[str, tuple[str, faults.Fault]] = {
    "drops": ("*", faults.drop),
    "lost replies": ("*", faults.lose_reply),
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
