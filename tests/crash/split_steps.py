"""The steps of a batch that fails on chain for one transfer's sake, and is split if it can be.

What makes the transfer impossible comes when all is signed and sent and nothing has landed, so that
nobody could have known.
"""

from tests.crash.kinds import PAID_BY_ONE, WHOLE
from tests.crash.scene import Scene, until
from tests.crash.steps import DOOMED, State, Step, moves
from tests.support.svm_chain import Timing


def failed_not_stored(scene: Scene) -> None:
    """A transaction failed for good; the UPDATE that says so, or splits its batch, waits."""
    scene.all_sent()
    scene.trial.doom(DOOMED)
    scene.land()
    scene.lock("attempts")
    scene.desk.node.behave()
    scene.move_waits("attempts")


def confirmed_and_failed_not_stored(scene: Scene) -> None:
    """The same, and its error was seen confirmed before."""
    scene.chain.timing = Timing(1, 150)
    scene.all_sent()
    scene.trial.doom(DOOMED)
    scene.chain.release()
    until(lambda: scene.desk.attempts(scene.plan, "confirmed") == scene.plan.transaction_count)
    scene.lock("attempts")
    scene.chain.timing = Timing()
    scene.move_waits("attempts")


def split_not_signed(scene: Scene) -> None:
    """A batch has been split, and the blockhash for its halves is being asked for."""
    scene.all_sent()
    scene.trial.doom(DOOMED)
    hold = scene.desk.node.hold("getLatestBlockhash")
    scene.chain.release()
    until(lambda: bool(scene.desk.batches(scene.plan, "split")))
    until(hold.reached.is_set)


def halves_not_seen(scene: Scene) -> None:
    """The cluster has the halves of a batch that was split, and no block has them."""
    split_not_signed(scene)
    scene.chain.hold = True
    scene.desk.node.behave()
    until(lambda: bool(scene.desk.attempts(scene.plan, "sent")))


def partial_not_stored(scene: Scene) -> None:
    """All is decided and one is not done; the distribution's own last UPDATE waits."""
    scene.all_sent()
    scene.trial.doom(DOOMED)
    scene.lock("distributions")
    scene.chain.release()
    scene.move_waits("distributions")


def paused_partial_not_stored(scene: Scene) -> None:
    """The same, and somebody had paused it before."""
    scene.all_sent()
    scene.trial.doom(DOOMED)
    scene.trial.pause()
    scene.lock("distributions")
    scene.chain.release()
    scene.move_waits("distributions")


SOME_FAILED = State.STATE_PARTIALLY_FAILED
SPLIT_STEPS: dict[str, Step] = {
    "failed_not_stored": Step(
        failed_not_stored,
        moves("attempt sent failed", "batch in_flight failed"),
        SOME_FAILED,
        kinds=WHOLE,
    ),
    "failed_and_split_not_stored": Step(
        failed_not_stored,
        moves("attempt sent failed", "batch in_flight split"),
        SOME_FAILED,
        kinds=PAID_BY_ONE,
    ),
    "confirmed_and_failed_not_stored": Step(
        confirmed_and_failed_not_stored, moves("attempt confirmed failed"), SOME_FAILED
    ),
    "split_not_signed": Step(split_not_signed, end=SOME_FAILED, kinds=PAID_BY_ONE),
    "halves_not_seen": Step(halves_not_seen, end=SOME_FAILED, kinds=PAID_BY_ONE),
    "partial_not_stored": Step(
        partial_not_stored, moves("distribution executing partially_failed"), SOME_FAILED
    ),
    "paused_and_partial_not_stored": Step(
        paused_partial_not_stored,
        moves("distribution paused partially_failed"),
        SOME_FAILED,
        kinds=WHOLE,
        goes_on=False,
    ),
}
