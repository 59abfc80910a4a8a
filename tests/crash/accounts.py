"""The judge of the suite: what the chain says, against what the gateway says."""

from collections.abc import Callable, Sequence

from solders.pubkey import Pubkey

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.desk import Desk

Balances = Callable[[Sequence[str]], list[int]]
_NOT_PAID = {
    pb.Transfer.STATE_PLANNED,
    pb.Transfer.STATE_FAILED,
    pb.Transfer.STATE_CANCELLED,
}


class PaidTwiceError(AssertionError):
    """Somebody holds more than the plan gives. Recipients begin with nothing."""


class NotPaidError(AssertionError):
    """The gateway says that somebody was paid, and the chain does not."""


def settle_accounts(
    desk: Desk, plan: pb.Distribution, balances: Balances | None = None
) -> pb.Distribution:
    """Compares every recipient, the sums and the fees; returns the distribution.

    Each recipient holds exactly the planned amount or, where the gateway lists the transfer as not
    paid, nothing; an UNKNOWN transfer may be either. Raises PaidTwiceError, NotPaidError.
    """
    read = balances or (
        lambda addresses: [desk.node.chain.balance(Pubkey.from_string(one)) for one in addresses]
    )
    found = desk.get(plan)
    transfers = desk.transfers(plan)
    held = read([one.recipient_address for one in transfers])
    for transfer, lamports in zip(transfers, held, strict=True):
        _settle_one(transfer, lamports)
    assert plan.transfer_count == len(transfers)
    assert plan.total_lamports == sum(one.amount_lamports for one in transfers)
    paid = sum(held)
    known = not found.transfer_counts.unknown_count
    if known:
        assert found.finalized_lamports == paid
    if found.state == pb.Distribution.STATE_COMPLETED:
        assert plan.total_lamports == paid
    if known and balances is None and desk.orders == 1 and desk.source is not None:
        left = desk.node.chain.balance(Pubkey.from_string(desk.source.address))
        assert desk.funds - paid - found.fees_paid_lamports == left
    return found


def _settle_one(transfer: pb.Transfer, lamports: int) -> None:
    if lamports > transfer.amount_lamports:
        raise PaidTwiceError(f"{lamports} lamports arrived for {transfer}")
    if lamports not in (0, transfer.amount_lamports):
        raise NotPaidError(f"{lamports} lamports arrived for {transfer}")
    if transfer.state == pb.Transfer.STATE_FINALIZED and lamports == 0:
        raise NotPaidError(f"nothing arrived for {transfer}")
    if transfer.state in _NOT_PAID and lamports != 0:
        raise PaidTwiceError(f"it counts as not paid and can be paid again: {transfer}")
