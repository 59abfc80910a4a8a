"""kill -9 at random moments, orders of all kinds, on a network that misbehaves as well.

CRASH_KILLS says how often (200 for the whole proof, some minutes), CRASH_SEED which moments.
"""

import itertools
import os
import random
import sys
import time
from collections import Counter

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.conftest import MakeDesk, open_vault
from tests.crash.desk import ENDED, Desk
from tests.crash.kinds import KINDS
from tests.crash.node import delay, drop, lose_reply, sometimes, too_many, twice
from tests.crash.trials import Trial
from tests.crash.vault import Vault

KILLS = int(os.environ.get("CRASH_KILLS", "5"))
SEED = int(os.environ.get("CRASH_SEED", "20261122"))
# So many kills come to every kind of order, whatever the moments.
KILLS_OF_ALL_KINDS = 150
# Times the count that makes 6 to 8 transactions: few kills are to hit several kinds, too.
SIZE = 3 if KILLS > 20 else 1
VICTIMS = ("gateway", "gateway", "signer", "postgres")
WEATHER = {delay: 0.02, lose_reply: 0.02, drop: 0.02, too_many: 0.02, twice: 0.02}


@pytest.mark.timeout(60 + 15 * KILLS)
def test_kills_at_random_moments(make_desk: MakeDesk, capsys: pytest.CaptureFixture[str]) -> None:
    """Orders go on through all kills; each transfer happens exactly once, or is impossible."""
    vault = open_vault(make_desk())
    desk = vault.desk
    chance = random.Random(SEED)
    desk.node.spoil("*", sometimes(random.Random(SEED), WEATHER))
    told: Counter[str] = Counter()
    kinds = itertools.cycle(chance.sample(list(KINDS), len(KINDS)))
    kind = next(kinds)
    trial = start(vault, kind, chance)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0, 0.5))
        victim = chance.choice(VICTIMS)
        told[victim] += 1
        desk.kill(victim)
        weather_turns(desk, chance, told)
        desk.start(victim)
        found = desk.get(trial.plan)
        told["in the middle"] += found.state not in ENDED
        told[f"in the middle of {kind}"] += found.state not in ENDED
        if found.state in ENDED:
            end(trial, told)
            kind = next(kinds)
            trial = start(vault, kind, chance)
        elif victim != "postgres":
            trial.execute()
    desk.node.chain.release()
    end(trial, told)
    with capsys.disabled():
        sys.stdout.write(f"\n{dict(told)}\n")
    if KILLS >= KILLS_OF_ALL_KINDS:
        assert all(told[f"in the middle of {kind}"] for kind in KINDS)


def start(vault: Vault, kind: str, chance: random.Random) -> Trial:
    """Plans and executes one more order; one of four has transfers that are impossible by then."""
    trial = KINDS[kind].make(vault, SIZE * KINDS[kind].count)
    if chance.random() < 0.25:
        trial.doom(*chance.sample(range(len(trial.effects)), 2))
    trial.execute()
    return trial


def end(trial: Trial, told: Counter[str]) -> None:
    """Waits for the end of an order and judges it."""
    done = trial.desk.finish(trial.plan, timeout_s=90)
    trial.settle()
    assert trial.doomed <= trial.failed()
    if not trial.doomed:
        assert pb.Distribution.STATE_COMPLETED == done.state
    told["orders"] += 1
    told["transfers"] += len(trial.effects)
    told["impossible"] += len(trial.doomed)
    told["expired"] += trial.desk.attempts(trial.plan, "expired")
    told["split"] += trial.desk.batches(trial.plan, "split")


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
