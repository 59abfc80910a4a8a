"""The steps of a batch that fails on chain and is split, each reached for certain.

A step gets, besides the desk and the plan, what makes a transfer impossible: it is called when all
is signed and sent and nothing has landed, so that nobody could have known.
"""

from collections.abc import Callable

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.desk import Desk
from tests.crash.steps import Act, TableLock, sent_not_seen, somebody_waits_for, until

SplitStep = Callable[[Desk, pb.Distribution, Act], tuple[Act, Act]]


def failed_not_stored(desk: Desk, plan: pb.Distribution, spoil: Act) -> tuple[Act, Act]:
    """A transaction of several failed for good; the UPDATE that splits its batch waits."""
    reach_sent, land = all_sent(desk, plan)
    locks: list[TableLock] = []

    def reach() -> None:
        reach_sent()
        spoil()
        locks.append(TableLock(desk.database_url, "attempts", "SHARE ROW EXCLUSIVE"))
        land()
        until(lambda: somebody_waits_for(desk, "attempts"))

    def release() -> None:
        land()
        for lock in locks:
            lock.release()

    return reach, release


def split_not_signed(desk: Desk, plan: pb.Distribution, spoil: Act) -> tuple[Act, Act]:
    """A batch has been split, and the blockhash for its halves is being asked for."""
    reach_sent, land = all_sent(desk, plan)

    def reach() -> None:
        reach_sent()
        spoil()
        hold = desk.node.hold("getLatestBlockhash")
        land()
        until(lambda: bool(desk.batches(plan, "split")))
        until(hold.reached.is_set)

    def release() -> None:
        land()
        desk.node.behave()

    return reach, release


def halves_not_seen(desk: Desk, plan: pb.Distribution, spoil: Act) -> tuple[Act, Act]:
    """The cluster has the halves of a batch that was split, and no block has them."""
    reach_split, release_split = split_not_signed(desk, plan, spoil)

    def reach() -> None:
        reach_split()
        desk.node.chain.hold = True
        desk.node.behave()
        until(lambda: bool(desk.attempts(plan, "sent")))

    return reach, release_split


def all_sent(desk: Desk, plan: pb.Distribution) -> tuple[Act, Act]:
    """The cluster has all transactions and no block has them."""
    reach_sent, land = sent_not_seen(desk, plan)

    def reach() -> None:
        reach_sent()
        until(lambda: desk.attempts(plan, "sent") == plan.transaction_count)

    return reach, land


SPLIT_STEPS: dict[str, SplitStep] = {
    "failed_not_stored": failed_not_stored,
    "split_not_signed": split_not_signed,
    "halves_not_seen": halves_not_seen,
}
