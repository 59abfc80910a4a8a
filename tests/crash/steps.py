"""The steps of an order at which a test can stop everything, each reached for certain.

A step executes a trial itself and returns when the step has been reached: nothing goes on, or what
is to be stored waits for the database. Then something is killed. `moves` are those that wait.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.moves import Move
from tests.crash.scene import Scene, until
from tests.crash.trials import Trial
from tests.support.svm_chain import Timing

State = pb.Distribution
Reach = Callable[[Scene], None]
_FINALITY_BLOCKS = 1_000


@dataclass(frozen=True, slots=True)
class Step:
    """A step, and what an order comes to that was stopped there.

    `kinds` are those that it is for, if it is not for all. `then` is what a person does about an
    order that nobody works on by itself any more. With `goes_on` there is no need of that if
    neither gateway nor signer died. Without `needs_chain` any chain will do, as it is.
    """

    reach: Reach
    moves: frozenset[Move] = frozenset()
    end: int = State.STATE_COMPLETED
    kinds: Collection[str] = ()
    then: Callable[[Trial], None] = Trial.execute
    goes_on: bool = True
    needs_chain: bool = True


def moves(*pairs: str) -> frozenset[Move]:
    """Returns moves written as "attempt sent expired"."""
    found: set[Move] = set()
    for pair in pairs:
        machine, was, becomes = pair.split()
        found.add((machine, was, becomes))
    return frozenset(found)


def _call(method: str, *, after: bool = False) -> Reach:
    def reach(scene: Scene) -> None:
        hold = scene.desk.node.hold(method, after=after)
        scene.trial.execute()
        until(hold.reached.is_set)

    return reach


def signed_not_stored(scene: Scene) -> None:
    """The signer has answered; the INSERT of the attempts waits."""
    scene.lock("attempts")
    scene.trial.execute()
    scene.until_waiting("attempts", "INSERT INTO attempts")


def confirmed_not_stored(scene: Scene) -> None:
    """The transactions are confirmed; the UPDATE that says so waits."""
    scene.chain.timing = Timing(1, 150)
    scene.all_sent()
    scene.lock("attempts")
    scene.chain.release()
    scene.move_waits("attempts")


def finalized_not_stored(scene: Scene) -> None:
    """The transactions are final, and nobody saw them before; the UPDATE that says so waits."""
    scene.all_sent()
    scene.land()
    scene.lock("attempts")
    scene.desk.node.behave()
    scene.move_waits("attempts")


def confirmed_not_finalized(scene: Scene) -> None:
    """The transactions are confirmed, and finality is far behind."""
    scene.chain.timing = Timing(1, 150)
    scene.trial.execute()
    until(lambda: bool(scene.desk.attempts(scene.plan, "confirmed")))


def expired_not_stored(scene: Scene) -> None:
    """The transactions were lost and have expired; the UPDATE that says so waits."""
    scene.all_sent()
    scene.lock("attempts")
    scene.chain.expire_blockhashes()
    scene.move_waits("attempts")


def expired_not_signed_again(scene: Scene) -> None:
    """The expiry is stored, and the blockhash for another attempt is being asked for."""
    scene.all_sent()
    hold = scene.desk.node.hold("getLatestBlockhash")
    scene.chain.expire_blockhashes()
    until(lambda: bool(scene.desk.attempts(scene.plan, "expired")))
    until(hold.reached.is_set)


def settled_not_stored(scene: Scene) -> None:
    """Everything is finalized; the distribution's own last UPDATE waits."""
    scene.all_sent()
    scene.lock("distributions")
    scene.chain.release()
    scene.move_waits("distributions")


def successor(*, meanwhile: Callable[[Scene], None]) -> Reach:
    """The gateway died before it stored that it had sent; its successor's first UPDATE waits.

    All it has is `signed`. `meanwhile` is what became of the transactions while it was dead.
    """

    def reach(scene: Scene) -> None:
        # Room for finality to be far behind: a successor takes seconds to start.
        scene.chain.advance(_FINALITY_BLOCKS)
        scene.chain.hold = True
        scene.desk.node.hold("sendTransaction", after=True)
        scene.trial.execute()
        until(lambda: 0 < scene.desk.attempts(scene.plan, "signed") == len(scene.chain.waiting))
        scene.desk.kill("gateway")
        scene.desk.node.behave()
        meanwhile(scene)
        scene.lock("attempts")
        scene.desk.start("gateway")
        scene.move_waits("attempts")
        assert not scene.desk.attempts(scene.plan, "sent")

    return reach


def _confirmed(scene: Scene) -> None:
    scene.chain.timing = Timing(1, _FINALITY_BLOCKS)
    scene.chain.release()
    scene.chain.advance()


def _finalized(scene: Scene) -> None:
    scene.chain.release()
    scene.chain.advance(scene.chain.timing.finalize_after_blocks + 1)


def _failed(scene: Scene) -> None:
    scene.trial.doom(DOOMED)
    _finalized(scene)


def _expired(scene: Scene) -> None:
    scene.chain.expire_blockhashes()


DOOMED = 3
"""The transfer that a step makes impossible."""

STEPS: dict[str, Step] = {
    "claimed_not_signed": Step(_call("getLatestBlockhash"), needs_chain=False),
    "signed_not_stored": Step(
        signed_not_stored, moves("batch planned in_flight"), needs_chain=False
    ),
    "stored_not_sent": Step(
        _call("sendTransaction"), moves("attempt signed sent"), needs_chain=False
    ),
    "sent_not_answered": Step(_call("sendTransaction", after=True), needs_chain=False),
    "sent_not_seen": Step(Scene.sent),
    "height_read_not_statuses": Step(_call("getBlockHeight", after=True), needs_chain=False),
    "statuses_not_read": Step(_call("getSignatureStatuses"), needs_chain=False),
    "confirmed_not_stored": Step(confirmed_not_stored, moves("attempt sent confirmed")),
    "finalized_not_stored": Step(
        finalized_not_stored, moves("attempt sent finalized", "batch in_flight finalized")
    ),
    "confirmed_not_finalized": Step(confirmed_not_finalized, moves("attempt confirmed finalized")),
    "expired_not_stored": Step(
        expired_not_stored, moves("attempt sent expired", "batch in_flight planned")
    ),
    "expired_not_signed_again": Step(expired_not_signed_again),
    "settled_not_stored": Step(settled_not_stored, moves("distribution executing completed")),
    "successor_sees_confirmed": Step(
        successor(meanwhile=_confirmed), moves("attempt signed confirmed"), goes_on=False
    ),
    "successor_sees_finalized": Step(
        successor(meanwhile=_finalized), moves("attempt signed finalized"), goes_on=False
    ),
    "successor_sees_failed": Step(
        successor(meanwhile=_failed),
        moves("attempt signed failed"),
        State.STATE_PARTIALLY_FAILED,
        goes_on=False,
    ),
    "successor_sees_expired": Step(
        successor(meanwhile=_expired), moves("attempt signed expired"), goes_on=False
    ),
}
