"""The steps of what people do to an order, and of what an order does about itself."""

from solward.signer.v1 import admin_service_pb2 as admin
from tests.crash.ground import held
from tests.crash.kinds import PAID_BY_ONE, WHOLE
from tests.crash.scene import Scene, until
from tests.crash.steps import DOOMED, Reach, State, Step, moves
from tests.crash.trials import Trial
from tests.gateway.support import new_id
from tests.signer.client import connected
from tests.support.processes import SignerProcess


def called(act: str, *, before: Reach = Scene.all_sent) -> Reach:
    """Somebody calls `act`, a method of a trial; the UPDATE that it makes waits."""

    def reach(scene: Scene) -> None:
        before(scene)
        scene.lock("distributions")
        scene.call(getattr(scene.trial, act))
        scene.move_waits("distributions")

    return reach


def settled(*, before: Reach) -> Reach:
    """Everything has landed after that; the distribution's own last UPDATE waits."""

    def reach(scene: Scene) -> None:
        before(scene)
        scene.lock("distributions")
        scene.chain.release()
        scene.move_waits("distributions")

    return reach


def paused(scene: Scene) -> None:
    """Somebody has paused it, with transactions on their way."""
    scene.sent()
    scene.trial.pause()


def paused_all_sent(scene: Scene) -> None:
    """The same, and nothing is left to sign."""
    scene.all_sent()
    scene.trial.pause()


def cancelling(scene: Scene) -> None:
    """Somebody has cancelled it, with transactions on their way."""
    scene.sent()
    scene.trial.cancel()


def half_signed(scene: Scene) -> None:
    """Some of it is on its way, and the blockhash for the rest is being asked for."""
    hold = scene.desk.node.hold("getBlockHeight")
    scene.chain.hold = True
    scene.trial.execute()
    until(hold.reached.is_set)
    assert scene.desk.batches(scene.plan, "planned")


def nothing(scene: Scene) -> None:
    """It is planned, and nobody has done anything about it."""
    scene.trial.remember()


def _stops_itself(trouble: Reach) -> Reach:
    """Trouble comes before the first signature; the UPDATE of its own pause waits."""

    def reach(scene: Scene) -> None:
        hold = scene.desk.node.hold("getLatestBlockhash")
        scene.trial.execute()
        until(hold.reached.is_set)
        trouble(scene)
        scene.lock("distributions")
        scene.desk.node.behave()
        scene.move_waits("distributions")

    return reach


def _broke(scene: Scene) -> None:
    """The payer has spent its money elsewhere, and gets it again in the end."""
    ground, payer = scene.trial.ground, scene.trial.payers[0]
    spent = held(ground.accounts([payer])[0]).lamports
    ground.fund(payer, -spent)
    scene.undo(lambda: ground.fund(payer, spent))


def _frozen(scene: Scene) -> None:
    """The signer's operator freezes everything, until the end."""
    with connected(scene.desk.signer) as client:
        client.admin.Freeze(admin.FreezeRequest(request_id=new_id(), all=True))
    scene.undo(lambda: _thaw(scene.desk.signer))


def _thaw(signer: SignerProcess) -> None:
    with connected(signer) as client:
        client.admin.Unfreeze(admin.UnfreezeRequest(request_id=new_id(), all=True))


def refused_not_stored(scene: Scene) -> None:
    """What a source was to give is gone before it is signed; the refusal's UPDATE waits."""
    hold = scene.desk.node.hold("getMultipleAccounts")
    scene.trial.doom(DOOMED)
    scene.trial.execute()
    until(hold.reached.is_set)
    scene.lock("distribution_batches")
    scene.desk.node.behave()
    scene.until_waiting("distribution_batches", "")


CANCELLED = State.STATE_CANCELLED
ORDER_STEPS: dict[str, Step] = {
    "execute_not_stored": Step(
        called("execute", before=nothing),
        moves("distribution planned executing"),
        goes_on=False,
        needs_chain=False,
    ),
    "cancel_of_a_plan_not_stored": Step(
        called("cancel", before=nothing),
        moves("distribution planned cancelled", "batch planned cancelled"),
        CANCELLED,
        then=Trial.cancel,
        needs_chain=False,
    ),
    "pause_not_stored": Step(
        called("pause"), moves("distribution executing paused"), goes_on=False
    ),
    "paused": Step(paused, goes_on=False),
    "resume_not_stored": Step(
        called("execute", before=paused_all_sent),
        moves("distribution paused executing"),
        goes_on=False,
    ),
    "paused_and_settled_not_stored": Step(
        settled(before=paused_all_sent), moves("distribution paused completed"), goes_on=False
    ),
    "cancel_not_stored": Step(
        called("cancel", before=half_signed),
        moves("distribution executing cancelling", "batch planned cancelled"),
        CANCELLED,
        then=Trial.cancel,
    ),
    "cancel_of_a_pause_not_stored": Step(
        called("cancel", before=paused_all_sent),
        moves("distribution paused cancelling"),
        CANCELLED,
        then=Trial.cancel,
    ),
    "cancelling": Step(cancelling, end=CANCELLED, then=Trial.cancel),
    "cancelled_not_stored": Step(
        settled(before=cancelling),
        moves("distribution cancelling cancelled"),
        CANCELLED,
        then=Trial.cancel,
    ),
    "out_of_money_not_stored": Step(
        _stops_itself(_broke),
        moves("distribution executing paused"),
        kinds=PAID_BY_ONE,
        goes_on=False,
    ),
    "frozen_not_stored": Step(
        _stops_itself(_frozen), moves("distribution executing paused"), goes_on=False
    ),
    "refused_not_stored": Step(
        refused_not_stored,
        moves("batch planned failed"),
        State.STATE_PARTIALLY_FAILED,
        kinds=WHOLE,
    ),
    "refused_and_split_not_stored": Step(
        refused_not_stored,
        moves("batch planned split"),
        State.STATE_PARTIALLY_FAILED,
        kinds=["drain by payer"],
    ),
}
