"""kill -9 at random moments, orders of all kinds, on a network that misbehaves as well.

CRASH_KILLS says how often (200 for the whole proof, some minutes), CRASH_SEED which moments. Only
kills in the middle of an order count.
"""

import itertools
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.cases import VICTIMS
from tests.crash.conftest import MakeDesk, open_vault
from tests.crash.desk import ENDED, Desk
from tests.crash.kinds import KINDS
from tests.crash.node_faults import Sometimes, delay, drop, lose_reply, too_many, twice
from tests.crash.trials import Trial
from tests.crash.vault import Vault

KILLS = int(os.environ.get("CRASH_KILLS", "5"))
SEED = int(os.environ.get("CRASH_SEED", "20261122"))
# So many kills come to every kind of order, whatever the moments.
KILLS_OF_ALL_KINDS = 150
# Times the count that makes 6 to 8 transactions: few kills are to hit several kinds, too.
SIZE = 3 if KILLS > 20 else 1
# As long as an order of that size takes, or less: later it is over.
PAUSE_S_MAX = 0.5
WEATHER = {
    "delay": (delay, 0.02),
    "lost reply": (lose_reply, 0.02),
    "drop": (drop, 0.02),
    "429": (too_many, 0.02),
    "repeated request": (twice, 0.02),
}


@pytest.mark.timeout(60 + 25 * KILLS)
def test_kills_at_random_moments(make_desk: MakeDesk, capsys: pytest.CaptureFixture[str]) -> None:
    """Orders go on through all kills; each transfer happens exactly once, or is impossible.

    Where neither the gateway nor the signer died, nobody has to give another session.
    """
    vault = open_vault(make_desk())
    desk = vault.desk
    chance = random.Random(SEED)
    weather = Sometimes(random.Random(SEED), WEATHER)
    desk.node.spoil("*", weather)
    told: Counter[str] = Counter()
    kinds = itertools.cycle(chance.sample(list(KINDS), len(KINDS)))
    victims = in_turn(chance)
    victim = next(victims)
    while told["in the middle"] < KILLS:
        kind = next(kinds)
        trial = start(vault, kind, chance)
        killed: set[str] = set()
        while told["in the middle"] < KILLS:
            time.sleep(chance.uniform(0, PAUSE_S_MAX))
            desk.kill(victim)
            killed.add(victim)
            weather_turns(desk, chance, told)
            desk.start(victim)
            if desk.get(trial.plan).state in ENDED:
                break
            told.update([victim, "in the middle", f"in the middle of {kind}"])
            if victim != "postgres":
                trial.execute()
            victim = next(victims)
        desk.node.chain.release()
        end(trial, told, is_helped=bool(killed - {"postgres"}))
    with capsys.disabled():
        sys.stdout.write(f"\n{dict(told)}\n{dict(weather.happened)}\n")
    assert weather.have_all_happened
    assert KILLS < len(VICTIMS) or all(told[one] for one in VICTIMS)
    if KILLS >= KILLS_OF_ALL_KINDS:
        assert all(told[f"in the middle of {kind}"] for kind in KINDS)


def in_turn(chance: random.Random) -> Iterator[str]:
    """The gateway first, then everybody as often as the others, in changing order."""
    yield "gateway"
    turn = [victim for victim in VICTIMS if victim != "gateway"]
    while True:
        yield from chance.sample(turn, len(turn))
        turn = list(VICTIMS)


def start(vault: Vault, kind: str, chance: random.Random) -> Trial:
    """Plans and executes one more order; one of four has transfers that are impossible by then."""
    trial = KINDS[kind].make(vault, SIZE * KINDS[kind].count)
    if chance.random() < 0.25:
        trial.doom(*chance.sample(range(len(trial.effects)), 2))
    trial.execute()
    return trial


def end(trial: Trial, told: Counter[str], *, is_helped: bool) -> None:
    """Waits for the end of an order and judges it."""
    given = trial.desk.sessions_given
    done = trial.desk.finish(trial.plan, timeout_s=90)
    trial.settle()
    assert trial.doomed <= trial.failed()
    assert is_helped or given == trial.desk.sessions_given
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
