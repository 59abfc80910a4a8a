"""Controls: an engine with one deliberate mistake is found out by the judge of this suite."""

import time
from collections.abc import Callable

import pytest

from tests.crash.accounts import PaidTwiceError, settle_accounts
from tests.crash.conftest import MakeDesk
from tests.crash.desk import EVERYTHING, Desk


def slow_landing(desk: Desk) -> None:
    """The cluster takes its time; everything lands in the end."""
    desk.node.chain.hold = True
    time.sleep(0.6)
    desk.node.chain.release()


def lost_from_sight(desk: Desk) -> None:
    """Transactions have landed, and 200 blocks go by before anybody can ask about them."""
    hold = desk.node.hold("getBlockHeight")
    assert hold.reached.wait(10)
    desk.node.chain.advance(200)
    desk.node.behave()


CONTROLS = [("sign_again_when_unseen", slow_landing), ("forget_what_expired", lost_from_sight)]


@pytest.mark.parametrize(("mistake", "trouble"), CONTROLS[: None if EVERYTHING else 1])
def test_a_wrong_engine_is_found_out(
    make_desk: MakeDesk, mistake: str, trouble: Callable[[Desk], None]
) -> None:
    """The same trouble: the right engine pays once, the wrong one twice, and the judge says so."""
    found = []
    for launch in ({}, {"mistake": mistake}):
        desk = make_desk(**launch)
        plan = desk.plan(40, 10**9)
        desk.execute(plan)
        trouble(desk)
        desk.finish(plan)
        try:
            settle_accounts(desk, plan)
            found.append("paid once")
        except PaidTwiceError:
            found.append("paid twice")
    assert ["paid once", "paid twice"] == found
