"""kill -9 at random moments, on a network that misbehaves as well.

CRASH_KILLS says how often (200 for the whole proof, a few minutes), CRASH_SEED which moments.
"""

import os
import random
import sys
import time
from collections import Counter

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.accounts import settle_accounts
from tests.crash.conftest import MakeDesk
from tests.crash.desk import ENDED, Desk
from tests.crash.node import delay, drop, lose_reply, sometimes, too_many, twice

KILLS = int(os.environ.get("CRASH_KILLS", "3"))
SEED = int(os.environ.get("CRASH_SEED", "20261122"))
RECIPIENTS, TOTAL = 600, 10**9
VICTIMS = ("gateway", "gateway", "signer", "postgres")
WEATHER = {delay: 0.02, lose_reply: 0.02, drop: 0.02, too_many: 0.02, twice: 0.02}


@pytest.mark.timeout(60 + 10 * KILLS)
def test_kills_at_random_moments(make_desk: MakeDesk, capsys: pytest.CaptureFixture[str]) -> None:
    """Distributions go on through all kills; each recipient of each is paid exactly once."""
    desk = make_desk()
    chance = random.Random(SEED)
    desk.node.spoil("*", sometimes(random.Random(SEED), WEATHER))
    told: Counter[str] = Counter()
    plan = start(desk)
    plans = [plan]
    for _ in range(KILLS):
        time.sleep(chance.uniform(0, 0.5))
        victim = chance.choice(VICTIMS)
        told[victim] += 1
        desk.kill(victim)
        weather_turns(desk, chance, told)
        desk.start(victim)
        found = desk.get(plan)
        told["in the middle"] += found.state not in ENDED
        if found.state in ENDED:
            settle_accounts(desk, plan)
            plan = start(desk)
            plans.append(plan)
        elif victim != "postgres":
            desk.execute(plan)
    desk.node.chain.release()
    desk.finish(plan, timeout_s=90)
    for one in plans:
        done = settle_accounts(desk, one)
        assert done.state == pb.Distribution.STATE_COMPLETED
        told["expired"] += desk.attempts(one, "expired")
    told |= Counter(distributions=len(plans), recipients=RECIPIENTS * len(plans), seed=SEED)
    with capsys.disabled():
        sys.stdout.write(f"\n{dict(told)}\n")


def start(desk: Desk) -> pb.Distribution:
    """Plans and executes one more distribution."""
    plan = desk.plan(RECIPIENTS, TOTAL)
    desk.execute(plan)
    return plan


def weather_turns(desk: Desk, chance: random.Random, told: Counter[str]) -> None:
    """While something is dead, the chain may go on, lose what it has not seen, or stand still."""
    turn = chance.choice(("nothing", "nothing", "stalls", "goes on", "loses", "forks"))
    told[f"chain {turn}"] += turn != "nothing"
    chain = desk.node.chain
    if turn == "stalls":
        chain.hold = True
    elif turn == "goes on":
        chain.release()
    elif turn == "loses":
        chain.expire_blockhashes()
        chain.release()
    elif turn == "forks":
        # As deep as a cluster's forks can be: what is confirmed stays.
        chain.fork(1)
