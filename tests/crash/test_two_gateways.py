"""Two gateways on one database share a distribution, and either finishes what the other left.

CRASH_RECIPIENTS says how many recipients (10,000 for the whole proof).
"""

import os

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.accounts import settle_accounts
from tests.crash.conftest import MakeDesk, open_vault
from tests.crash.desk import EVERYTHING
from tests.crash.kinds import KINDS
from tests.crash.node import ScriptedNode
from tests.crash.scene import until

RECIPIENTS = int(os.environ.get("CRASH_RECIPIENTS", "2000"))
TOTAL = 10**12
TRANSACTIONS = -(-RECIPIENTS // 20)


@pytest.mark.timeout(200)
@pytest.mark.skipif(not EVERYTHING, reason="3 s a case: CRASH_EVERYTHING=1 runs them")
@pytest.mark.parametrize("kind", KINDS)
def test_two_gateways_share_any_order(make_desk: MakeDesk, kind: str) -> None:
    """The same for every kind of order, some 40 transactions each, one of the two killed midway."""
    vault = open_vault(make_desk())
    desk = vault.desk
    with ScriptedNode(desk.node.chain) as second_node:
        second = desk.add_gateway(node=second_node)
        trial = KINDS[kind].make(vault, 6 * KINDS[kind].count)
        # Each has only so much in flight, so the other gets its part.
        desk.node.chain.hold = True
        trial.execute()
        desk.execute(trial.plan, second)
        until(lambda: desk.node.count("sendTransaction") > 0)
        until(lambda: second_node.count("sendTransaction") > 0)
        desk.node.chain.release()
        desk.until(trial.plan, lambda found: found.transfer_counts.finalized_count > 0)
        second.kill()
        done = desk.finish(trial.plan)
    trial.settle()
    assert pb.Distribution.STATE_COMPLETED == done.state
    assert trial.plan.transaction_count == len(desk.node.chain.landed)


@pytest.mark.timeout(60 + RECIPIENTS // 20)
@pytest.mark.parametrize("killed", [True, False] if EVERYTHING else [True])
def test_two_gateways(make_desk: MakeDesk, *, killed: bool) -> None:
    """Both send, each transaction lands once, nobody is paid twice, and one is enough to finish."""
    desk = make_desk()
    # Another node of the same chain, so that one can tell who sent what.
    with ScriptedNode(desk.node.chain) as second_node:
        second = desk.add_gateway(node=second_node)
        plan = desk.plan(RECIPIENTS, TOTAL)
        assert TRANSACTIONS == plan.transaction_count
        desk.execute(plan)
        desk.execute(plan, second)
        if killed:
            desk.until(plan, lambda found: found.transfer_counts.finalized_count > RECIPIENTS // 5)
            second.kill()
        done = desk.finish(plan, timeout_s=60 + RECIPIENTS / 50)
        sent = [node.count("sendTransaction") for node in (desk.node, second_node)]
        second.kill()
    settle_accounts(desk, plan)
    assert pb.Distribution.STATE_COMPLETED == done.state
    assert all(count > 0 for count in sent)
    assert TRANSACTIONS == len(desk.node.chain.landed)
    assert plan.estimate.base_fee_lamports == done.fees_paid_lamports
