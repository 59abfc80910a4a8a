"""How RPC nodes go wrong: by calls, and by forgetting what they had."""

from collections.abc import Callable

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash import node_faults as faults
from tests.crash.desk import Desk
from tests.crash.node import Fault
from tests.support.svm_chain import Timing

Forget = Callable[[Desk, pb.Distribution, Callable[[], None]], None]
FAULTS: dict[str, tuple[str, Fault]] = {
    "drops": ("*", faults.drop),
    "lost replies": ("*", faults.lose_reply),
    "delays": ("*", faults.delay),
    "slow beyond all patience": ("*", faults.slow),
    "429": ("*", faults.too_many),
    "repeated requests": ("*", faults.twice),
    "repeated replies": ("*", faults.answered_twice),
    "malformed": ("*", faults.malformed),
    "mistyped": ("*", faults.mistyped),
    "errors without data": ("*", faults.error_without_data),
    "stale by 40 blocks": ("*", faults.stale(40)),
    "stale by 180 blocks": ("*", faults.stale(180)),
    "heights too high": ("getBlockHeight", faults.wrong_number(100_000)),
    "heights too low": ("getBlockHeight", faults.wrong_number(-100)),
    "slots too high": ("getSlot", faults.wrong_number(100_000)),
    "blockhashes that end at once": ("getLatestBlockhash", faults.ends_at_once),
    "forgets signatures": ("getSignatureStatuses", faults.forgetful),
}
# Calls that are only made when a blockhash has expired.
ASKED_AFTER_EXPIRY = {"getSlot"}


def confirmed_then_forgotten(
    desk: Desk, plan: pb.Distribution, execute: Callable[[], None]
) -> None:
    """Everything was seen confirmed, and past its last valid height the node knows nothing."""
    desk.node.chain.timing = Timing(1, 150)
    execute()
    desk.until(plan, lambda _: desk.attempts(plan, "confirmed") == plan.transaction_count)
    desk.node.spoil("getSignatureStatuses", faults.forgetful)
    desk.node.chain.expire_blockhashes()


def landed_unseen(desk: Desk, plan: pb.Distribution, execute: Callable[[], None]) -> None:
    """Everything landed, nobody has looked yet, and no blockhash is good any more."""
    hold = desk.node.hold("getBlockHeight")
    execute()
    assert hold.reached.wait(10)
    desk.until(plan, lambda _: desk.attempts(plan, "sent") > 0)
    desk.node.chain.expire_blockhashes()


def landed_before_the_nodes_history(
    desk: Desk, plan: pb.Distribution, execute: Callable[[], None]
) -> None:
    """Everything landed unseen, and then the node began again from a snapshot."""
    landed_unseen(desk, plan, execute)
    desk.node.chain.first_available_slot = desk.node.chain.slot
    desk.node.behave()
    desk.node.spoil("getSignatureStatuses", faults.forgetful)


def forgets_one_for_ever(desk: Desk, plan: pb.Distribution, execute: Callable[[], None]) -> None:
    """The node lost one transaction from its history and its lists, and claims to have all."""
    landed_unseen(desk, plan, execute)
    lost = next(reversed(desk.node.chain.landed))
    desk.node.chain.forgets = lambda item: item.signature == lost
    desk.node.behave()


def forgets_a_range_of_slots(
    desk: Desk, plan: pb.Distribution, execute: Callable[[], None]
) -> None:
    """The node lost all blocks of the plan's time, and claims to have them."""
    landed_unseen(desk, plan, execute)
    query = (
        "SELECT min(blockhash_slot) AS slot FROM attempts WHERE distribution_id = $1::text::uuid"
    )
    (first,) = desk.fetch(query, plan.id)
    height = first["slot"] - (desk.node.chain.slot - desk.node.chain.height)
    desk.node.chain.forgets = lambda item: item.height >= height
    desk.node.behave()


def prunes_and_says_it_searched(
    desk: Desk, plan: pb.Distribution, execute: Callable[[], None]
) -> None:
    """The node has no transaction left at all, and says that its history begins at 0."""
    landed_unseen(desk, plan, execute)
    desk.node.chain.forgets = lambda _: True
    desk.node.behave()


def denies_what_it_lists(desk: Desk, plan: pb.Distribution, execute: Callable[[], None]) -> None:
    """The node has no status of anything, but lists it all among the payers' transactions."""
    landed_unseen(desk, plan, execute)
    desk.node.behave()
    desk.node.spoil("getSignatureStatuses", faults.forgetful)


FORGETTING: dict[str, Forget] = {
    "confirmed, then forgotten": confirmed_then_forgotten,
    "landed before the node's history": landed_before_the_nodes_history,
    "forgets one for ever": forgets_one_for_ever,
    "forgets a range of slots": forgets_a_range_of_slots,
    "prunes and says it searched": prunes_and_says_it_searched,
    "denies what it lists": denies_what_it_lists,
}
