"""Which steps are reached with which kind of order, who is killed there, and how it goes on."""

from collections.abc import Mapping

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.desk import EVERYTHING
from tests.crash.kinds import KINDS
from tests.crash.scene import Scene
from tests.crash.steps import Step
from tests.crash.trials import Trial

VICTIMS = ("gateway", "signer", "postgres")
Case = tuple[str, str, str]


def cases_of(steps: Mapping[str, Step]) -> list[Case]:
    """Returns (step, kind, victim): all, or each step once with kinds and victims in rotation."""
    cases = [
        (name, kind, victim)
        for name, step in steps.items()
        for kind in step.kinds or KINDS
        for victim in VICTIMS
    ]
    if EVERYTHING:
        return cases
    found: list[Case] = []
    for number, (name, step) in enumerate(steps.items()):
        kinds = list(step.kinds or KINDS)
        found.append((name, kinds[number % len(kinds)], VICTIMS[number % len(VICTIMS)]))
    return found


def kill_at(trial: Trial, step: Step, victim: str) -> None:
    """Reaches a step, and kills a process there and starts it again."""
    scene = Scene(trial)
    try:
        step.reach(scene)
        assert not step.moves & trial.desk.moves_made(trial.plan), "the step is over already"
        trial.desk.kill(victim)
        trial.desk.start(victim)
    finally:
        scene.release()


def come_to_an_end(trial: Trial, step: Step, victim: str) -> pb.Distribution:
    """Waits for the end that the step has, and judges all of it.

    A killed gateway or signer takes the session with it, and so a new one is given; a killed
    database needs nothing. What waited for the database while the signer died was stored.
    """
    desk = trial.desk
    if victim == "gateway" and step.goes_on:
        step.then(trial)
    given = desk.sessions_given
    done = desk.finish(trial.plan, then=lambda: step.then(trial))
    assert step.end == done.state, done
    if step.goes_on and victim == "postgres":
        assert given == desk.sessions_given
    if victim == "signer":
        assert step.moves <= desk.moves_made(trial.plan)
    return trial.settle()
