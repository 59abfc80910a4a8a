"""Every move that the state machine allows has a step at which everything is killed."""

from tests.crash.doubt_steps import DOUBT_STEPS
from tests.crash.moves import ALLOWED, Move
from tests.crash.order_steps import ORDER_STEPS
from tests.crash.split_steps import SPLIT_STEPS
from tests.crash.steps import STEPS, Step

EVERY: list[dict[str, Step]] = [STEPS, ORDER_STEPS, DOUBT_STEPS, SPLIT_STEPS]
# Moves without a step of their own, each with the reason.
WITHOUT: dict[Move, str] = {}


def test_every_move_has_a_step() -> None:
    """A move that is added to gateway.domain.states is stopped halfway by a step, or says why not.

    The steps of one name are one, and none claims a move that there is not.
    """
    names = [name for steps in EVERY for name in steps]
    claimed = {move for steps in EVERY for step in steps.values() for move in step.moves}
    assert len(names) == len(set(names))
    assert claimed <= ALLOWED
    assert ALLOWED - claimed == WITHOUT.keys()
