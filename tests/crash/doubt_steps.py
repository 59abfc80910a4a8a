"""The steps of transactions that are UNKNOWN, on a desk that is in doubt for a second at most."""

from collections.abc import Callable
from functools import partial

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.kinds import PAID_BY_ONE, WHOLE
from tests.crash.scene import Scene, until
from tests.crash.steps import DOOMED, Reach, State, Step, moves, successor
from tests.crash.trials import Trial
from tests.support.svm_chain import Timing

PAY_AGAIN, GIVE_UP = pb.Resolution.VERDICT_PAY_AGAIN, pb.Resolution.VERDICT_GIVE_UP
LANDED = pb.Resolution.VERDICT_LANDED
_BEYOND_DOUBT_BLOCKS = 1_200


def forgotten(scene: Scene) -> None:
    """All has landed, and the node tells nothing of it any more."""
    scene.chain.forgets = lambda _: True
    scene.chain.release()
    scene.chain.expire_blockhashes()


def never_landed(scene: Scene) -> None:
    """Nothing has landed or can, and the node's history is too short to prove it."""
    scene.chain.first_available_slot = scene.chain.slot + 10**6
    scene.chain.expire_blockhashes()


def all_failed(scene: Scene) -> None:
    """All has landed, one of it in vain, and the node tells nothing of it any more."""
    scene.trial.doom(DOOMED)
    forgotten(scene)


def confirmed_then_forgotten(scene: Scene) -> None:
    """All was seen confirmed before the node forgot it."""
    scene.chain.timing = Timing(1, 150)
    scene.chain.release()
    until(lambda: scene.desk.attempts(scene.plan, "confirmed") == scene.plan.transaction_count)
    forgotten(scene)


def one_forgotten(scene: Scene) -> None:
    """All has landed, and the node tells nothing of the last."""
    lost = scene.chain.waiting[-1].signatures[0]
    scene.chain.forgets = lambda item: item.signature == lost
    scene.chain.release()
    others = scene.plan.transaction_count - 1
    until(lambda: scene.desk.attempts(scene.plan, "finalized") == others)
    scene.chain.expire_blockhashes()


def unknown_not_stored(
    *, loss: Callable[[Scene], None] = forgotten, act: Callable[[Trial], None] | None = None
) -> Reach:
    """All that was sent is in doubt for too long; the UPDATE that says so waits."""

    def reach(scene: Scene) -> None:
        scene.all_sent()
        if act is not None:
            act(scene.trial)
        if loss is not confirmed_then_forgotten:
            scene.lock("attempts")
            loss(scene)
        else:
            loss(scene)
            scene.lock("attempts")
        scene.move_waits("attempts")

    return reach


def parked_not_stored(*, act: Callable[[Trial], None] | None = None) -> Reach:
    """That UPDATE is stored; that of the distribution, which is parked by it, waits."""
    reach_unknown = unknown_not_stored(act=act)

    def reach(scene: Scene) -> None:
        reach_unknown(scene)
        scene.lock("distributions")
        scene.unlock("attempts")
        scene.move_waits("distributions")

    return reach


def parked(
    scene: Scene,
    loss: Callable[[Scene], None] = forgotten,
    act: Callable[[Trial], None] | None = None,
) -> None:
    """It is parked, and the node knows again what it knew. `act` comes before all is in doubt."""
    scene.all_sent()
    if act is not None:
        act(scene.trial)
    loss(scene)
    scene.desk.until(scene.plan, lambda found: found.state == State.STATE_PARKED)
    scene.chain.forgets = lambda _: False
    scene.chain.first_available_slot = 0
    scene.chain.timing = Timing()
    scene.chain.advance(_BEYOND_DOUBT_BLOCKS)


def called(act: Callable[[Trial], None]) -> Reach:
    """Somebody calls `act` for a parked order; the UPDATE of the distribution waits."""

    def reach(scene: Scene) -> None:
        parked(scene)
        scene.lock("distributions")
        scene.call(lambda: act(scene.trial))
        scene.move_waits("distributions")

    return reach


def truth_not_stored(*, loss: Callable[[Scene], None] = forgotten) -> Reach:
    """The truth is looked for again and comes out; the UPDATE that says so waits."""

    def reach(scene: Scene) -> None:
        parked(scene, loss)
        scene.lock("attempts")
        scene.call(scene.trial.execute)
        scene.move_waits("attempts")

    return reach


def first_declared(verdict: "pb.Resolution.Verdict.ValueType") -> Reach:
    """An operator declares what became of one of several; the UPDATE of the attempt waits."""

    def reach(scene: Scene) -> None:
        parked(scene, never_landed)
        scene.lock("attempts")
        scene.call(partial(scene.trial.resolve, verdict, scene.trial.unknown()[0]))
        scene.until_waiting("attempts", "UPDATE attempts SET state = 'expired'")

    return reach


def last_declared(
    verdict: "pb.Resolution.Verdict.ValueType",
    loss: Callable[[Scene], None] = never_landed,
    act: Callable[[Trial], None] | None = None,
) -> Reach:
    """An operator declares what became of the last; the UPDATE of the distribution waits."""

    def reach(scene: Scene) -> None:
        parked(scene, loss, act)
        *others, last = scene.trial.unknown()
        for signature in others:
            scene.trial.resolve(verdict, signature)
        scene.lock("distributions")
        scene.call(partial(scene.trial.resolve, verdict, last))
        scene.move_waits("distributions")

    return reach


def _pay_again(trial: Trial) -> None:
    for signature in trial.unknown():
        trial.resolve(PAY_AGAIN, signature)
    trial.execute()


def _give_up(trial: Trial) -> None:
    for signature in trial.unknown():
        trial.resolve(GIVE_UP, signature)


SOME_FAILED, CANCELLED = State.STATE_PARTIALLY_FAILED, State.STATE_CANCELLED
DOUBT_STEPS: dict[str, Step] = {
    "unknown_not_stored": Step(
        unknown_not_stored(),
        moves("attempt sent unknown", "batch in_flight unknown"),
        goes_on=False,
    ),
    "successor_in_doubt": Step(
        successor(meanwhile=forgotten), moves("attempt signed unknown"), goes_on=False
    ),
    "confirmed_and_unknown_not_stored": Step(
        unknown_not_stored(loss=confirmed_then_forgotten),
        moves("attempt confirmed unknown"),
        goes_on=False,
    ),
    "parked_not_stored": Step(
        parked_not_stored(), moves("distribution executing parked"), goes_on=False
    ),
    "paused_and_parked_not_stored": Step(
        parked_not_stored(act=Trial.pause), moves("distribution paused parked"), goes_on=False
    ),
    "cancelled_and_parked_not_stored": Step(
        parked_not_stored(act=Trial.cancel),
        moves("distribution cancelling parked"),
        CANCELLED,
        then=Trial.cancel,
        goes_on=False,
    ),
    "execute_of_a_parked_not_stored": Step(
        called(Trial.execute), moves("distribution parked executing"), goes_on=False
    ),
    "cancel_of_a_parked_not_stored": Step(
        called(Trial.cancel),
        moves("distribution parked cancelling"),
        CANCELLED,
        then=Trial.cancel,
        goes_on=False,
    ),
    "truth_not_stored": Step(
        truth_not_stored(),
        moves("attempt unknown finalized", "batch unknown finalized"),
        goes_on=False,
    ),
    "failed_in_truth_not_stored": Step(
        truth_not_stored(loss=all_failed),
        moves("attempt unknown failed", "batch unknown failed"),
        SOME_FAILED,
        kinds=WHOLE,
        goes_on=False,
    ),
    "split_in_truth_not_stored": Step(
        truth_not_stored(loss=all_failed),
        moves("attempt unknown failed", "batch unknown split"),
        SOME_FAILED,
        kinds=PAID_BY_ONE,
        goes_on=False,
    ),
    "pay_again_not_stored": Step(
        first_declared(PAY_AGAIN),
        moves("attempt unknown expired", "batch unknown planned"),
        then=_pay_again,
        goes_on=False,
    ),
    "give_up_not_stored": Step(
        first_declared(GIVE_UP),
        moves("batch unknown failed"),
        SOME_FAILED,
        then=_give_up,
        goes_on=False,
    ),
    "resolved_not_stored": Step(
        last_declared(PAY_AGAIN),
        moves("distribution parked paused"),
        then=_pay_again,
        goes_on=False,
    ),
    "all_given_up_not_stored": Step(
        last_declared(GIVE_UP),
        moves("distribution parked partially_failed"),
        SOME_FAILED,
        then=_give_up,
        goes_on=False,
    ),
    "all_given_up_of_a_cancelled_not_stored": Step(
        last_declared(GIVE_UP, act=Trial.cancel),
        moves("distribution parked cancelled"),
        CANCELLED,
        then=_give_up,
        goes_on=False,
    ),
    "all_landed_not_stored": Step(
        last_declared(LANDED, one_forgotten), moves("distribution parked completed"), goes_on=False
    ),
}
