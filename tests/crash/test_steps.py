"""kill -9 at every step of every kind of order: nothing happens twice, nothing is forgotten."""

import pytest

from tests.crash.cases import cases_of, come_to_an_end, kill_at
from tests.crash.kinds import KINDS
from tests.crash.order_steps import ORDER_STEPS
from tests.crash.steps import STEPS
from tests.crash.vault import Vault

EVERY = {**STEPS, **ORDER_STEPS}


@pytest.mark.parametrize(("step", "kind", "victim"), cases_of(EVERY))
def test_a_kill_at_a_step(vault: Vault, step: str, kind: str, victim: str) -> None:
    """Held at a step, one process is killed and started again; then it finishes by itself.

    What a dead gateway had on its way arrives after its successor began.
    """
    trial = KINDS[kind].make(vault, KINDS[kind].count)
    kill_at(trial, EVERY[step], victim)
    come_to_an_end(trial, EVERY[step], victim)
    assert trial.doomed == trial.failed() or kind == "drain by first"
