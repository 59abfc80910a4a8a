"""What a distribution of many costs and takes, on real processes.

CRASH_RECIPIENTS says how many recipients (10,000 for the whole proof).
"""

import os
import time

import pytest
from solders.pubkey import Pubkey

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.accounts import settle_accounts
from tests.crash.conftest import MakeDesk
from tests.crash.desk import EVERYTHING, FUNDS
from tests.crash.parts import POLICY
from tests.support.fixtures import MakeSigner

RECIPIENTS = int(os.environ.get("CRASH_RECIPIENTS", "700"))
# Production's own: what counts here is the number of transactions, and how long they take.
PACE = {"poll_s": 0.1}
PER_TRANSACTION = {"legacy": 20, "1": 62}
PRICE = 7_777


@pytest.mark.timeout(60 + RECIPIENTS // 50)
@pytest.mark.parametrize("version", PER_TRANSACTION)
def test_the_bill_is_the_estimate(make_desk: MakeDesk, version: str) -> None:
    """10,000 recipients take 500 legacy or 162 v1 transactions; fees are as estimated, those for
    priority included.
    """
    desk = make_desk(version=version, price=PRICE, pace=PACE)
    assert desk.source is not None
    plan = desk.plan(RECIPIENTS, 10**12)
    assert -(-RECIPIENTS // PER_TRANSACTION[version]) == plan.transaction_count
    desk.execute(plan)
    done = desk.finish(plan, timeout_s=60 + RECIPIENTS / 50)
    settle_accounts(desk, plan)
    fees = plan.estimate.base_fee_lamports + plan.estimate.priority_fee_lamports
    left = desk.node.chain.balance(Pubkey.from_string(desk.source.address))
    assert pb.Distribution.STATE_COMPLETED == done.state
    assert plan.transaction_count == len(desk.node.chain.landed)
    assert plan.estimate.priority_fee_lamports >= plan.transaction_count
    assert fees == done.fees_paid_lamports == FUNDS - 10**12 - left


@pytest.mark.timeout(200)
def test_it_paces_itself_by_the_signers_word(make_desk: MakeDesk, make_signer: MakeSigner) -> None:
    """Over the limit of a wallet's signatures it waits as long as the signer says, and goes on.

    The limit is production's 100 in a minute: 100 transactions go out, and then it says for how
    long the signer asks to wait. Nothing fails, and nothing is asked in vain meanwhile.
    """
    desk = make_desk(signer=make_signer(policy=POLICY.format(rate=100)), pace=PACE)
    plan = desk.plan(2_100, 10**10)
    desk.execute(plan)
    waiting = desk.until(plan, lambda found: "asks to wait" in found.last_error)
    seconds = float(waiting.last_error.split("wait ")[1].split(" s")[0])
    assert 30 < seconds <= 60
    found = desk.until(plan, lambda one: one.transfer_counts.finalized_count == 2_000)
    calls = desk.node.count("getLatestBlockhash")
    time.sleep(0.5)
    assert calls == desk.node.count("getLatestBlockhash")
    assert (100, pb.Distribution.STATE_EXECUTING) == (
        found.transfer_counts.planned_count,
        found.state,
    )
    if EVERYTHING:
        done = desk.finish(plan, timeout_s=90)
        assert pb.Distribution.STATE_COMPLETED == done.state
    settle_accounts(desk, plan)
