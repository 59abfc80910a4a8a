"""How RPC nodes go wrong: by calls, and by forgetting what they had."""

from collections.abc import Callable

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash import node as faults
from tests.crash.desk import Desk
from tests.support.svm_chain import Timing

Forget = Callable[[Desk, pb.Distribution, Callable[[], None]], None]
FAULTS: dict[str, tuple[str, faults.Fault]] = {
    "drops": ("*", faults.drop),
    "lost replies": ("*", faults.lose_reply),
    "delays": ("*", faults.delay),
    "429": ("*", faults.too_many),
    "duplicates": ("*", faults.twice),
    "malformed": ("*", faults.malformed),
    "mistyped": ("*", faults.mistyped),
    "errors without data": ("*", faults.error_without_data),
    "stale by 40 blocks": ("*", faults.stale(40)),
    "stale by 180 blocks": ("*", faults.stale(180)),
    "heights too high": ("getBlockHeight", faults.wrong_number(100_000)),
    "heights too low": ("getBlockHeight", faults.wrong_number(-100)),
    "slots too high": ("getSlot", faults.wrong_number(100_000)),
    "forgets signatures": ("getSignatureStatuses", faults.forgetful),
}


def confirmed_then_forgotten(
    desk: Desk, plan: pb.Distribution, execute: Callable[[], None]
) -> None:
    """Everything was seen confirmed, and past its last valid height the node knows nothing."""
    desk.node.chain.timing = Timing(1, 150)
    execute()
    desk.until(plan, lambda _: desk.attempts(plan, "confirmed") == plan.transaction_count)
    desk.node.spoil("getSignatureStatuses", faults.forgetful)
    desk.node.chain.expire_blockhashes()


def landed_before_the_nodes_history(
    desk: Desk, plan: pb.Distribution, execute: Callable[[], None]
) -> None:
    """Everything landed unseen, and then the node began again from a snapshot."""
    hold = desk.node.hold("getBlockHeight")
    execute()
    assert hold.reached.wait(10)
    desk.until(plan, lambda _: desk.attempts(plan, "sent") > 0)
    desk.node.chain.expire_blockhashes()
    desk.node.chain.first_available_slot = desk.node.chain.slot
    desk.node.behave()
    desk.node.spoil("getSignatureStatuses", faults.forgetful)


FORGETTING: dict[str, Forget] = {
    "confirmed, then forgotten": confirmed_then_forgotten,
    "landed before the node's history": landed_before_the_nodes_history,
}
