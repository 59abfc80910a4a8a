"""The planner: from an order, recipients and the cluster's rates to a frozen plan. Pure."""

import dataclasses
from collections.abc import Sequence
from itertools import accumulate
from typing import Final
from uuid import UUID

from gateway.domain.amounts import U64_MAX
from gateway.domain.errors import InvalidArgumentError, OutOfRangeError, PreconditionFailedError
from gateway.domain.instructions import (
    Instruction,
    set_compute_unit_limit,
    set_compute_unit_price,
    transfer_lamports,
)
from gateway.domain.packing import TransactionVersion, pack
from gateway.domain.plans import (
    RECIPIENTS_MAX,
    CostEstimate,
    FeeRates,
    Plan,
    PlannedBatch,
    PlannedTransfer,
)
from gateway.domain.splits import Split, split_total

COMPUTE_UNITS_PER_TRANSFER: Final = 300
"""Twice what a System transfer uses (150), and the same for the compute-budget instructions."""
_MICRO: Final = 1_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class PlanInput:
    """What a plan is made from. `recipient_balances` says what each recipient holds now."""

    source_wallet_id: UUID
    source_address: str
    recipient_addresses: Sequence[str]
    recipient_balances: Sequence[int]
    total_lamports: int
    split: Split
    rates: FeeRates
    version: TransactionVersion = TransactionVersion.LEGACY


def plan_distribution(order: PlanInput) -> Plan:
    """Splits the total and packs the transfers into transactions paid by the source.

    Raises InvalidArgumentError for recipients that repeat, are too many or are the source itself,
    TotalTooSmallError for a total under the rent floors, OutOfRangeError if it and its fees exceed
    u64.
    """
    _require_recipients(order)
    floors = [rent_floor(held, order.rates) for held in order.recipient_balances]
    shares = split_total(order.split, order.total_lamports, floors)
    opening = _opening(order.version, COMPUTE_UNITS_PER_TRANSFER, order.rates.compute_unit_price)
    counts = pack(
        order.version,
        order.source_address,
        opening,
        (
            (transfer_lamports(order.source_address, address, share),)
            for address, share in zip(order.recipient_addresses, shares, strict=True)
        ),
    )
    batches = _batches(counts, shares)
    plan = Plan(
        source_wallet_id=order.source_wallet_id,
        source_address=order.source_address,
        total_lamports=order.total_lamports,
        split=order.split,
        version=order.version,
        compute_unit_price=order.rates.compute_unit_price,
        compute_units_per_transfer=COMPUTE_UNITS_PER_TRANSFER,
        estimate=_estimate(order, batches),
        transfers=[
            PlannedTransfer(position, batch.position, address, shares[position])
            for batch in batches
            for position, address in enumerate(
                order.recipient_addresses[
                    batch.first_transfer : batch.first_transfer + batch.transfer_count
                ],
                start=batch.first_transfer,
            )
        ],
        batches=batches,
    )
    return dataclasses.replace(plan, etag=plan.digest())


def rent_floor(held_lamports: int, rates: FeeRates) -> int:
    """Returns the least a wallet can be paid: what it lacks to be rent-exempt, and at least 1."""
    return max(1, rates.rent_floor_lamports - held_lamports)


def compute_unit_limit(transfer_count: int, units_per_transfer: int) -> int:
    """Returns the compute limit of a batch: its transfers and the two budget instructions."""
    return (transfer_count + 2) * units_per_transfer


def priority_fee(transfer_count: int, units_per_transfer: int, price: int) -> int:
    """Returns a batch's priority fee in lamports, rounded up as the runtime does."""
    return -(-compute_unit_limit(transfer_count, units_per_transfer) * price // _MICRO)


def batch_instructions(
    source: str,
    transfers: Sequence[tuple[str, int]],
    version: TransactionVersion,
    units_per_transfer: int,
    price: int,
) -> list[Instruction]:
    """Returns the instructions of one transaction, the same ones that the plan was packed with.

    A v1 transaction has its limits in its configuration and so no budget instructions.
    """
    units = compute_unit_limit(len(transfers), units_per_transfer)
    return [
        *_opening(version, units, price),
        *(transfer_lamports(source, address, amount) for address, amount in transfers),
    ]


def choose_price(recent_micro_lamports: Sequence[int], floor: int, cap: int) -> int:
    """Returns the median of the recent prices, kept between `floor` and `cap`."""
    ordered = sorted(recent_micro_lamports)
    median = ordered[len(ordered) // 2] if ordered else 0
    return min(max(median, floor), cap)


def require_funds(estimate: CostEstimate, balance_lamports: int) -> None:
    """Returns if the source can pay for the plan; raises PreconditionFailedError otherwise.

    What is left must be nothing or rent-exempt: the runtime refuses a transaction that leaves less.
    """
    left = balance_lamports - estimate.required_lamports
    if left == 0 or left >= estimate.rent_floor_lamports:
        return
    advice = (
        f"it holds {balance_lamports} lamports and needs {estimate.required_lamports}"
        if left < 0
        else f"{left} lamports would be left, under the rent floor {estimate.rent_floor_lamports}"
    )
    raise PreconditionFailedError(
        f"the source cannot pay: {advice}", field="source_wallet_id", reason="INSUFFICIENT_FUNDS"
    )


def _require_recipients(order: PlanInput) -> None:
    addresses = order.recipient_addresses
    if not 1 <= len(addresses) <= RECIPIENTS_MAX:
        raise InvalidArgumentError(
            f"recipients must be between 1 and {RECIPIENTS_MAX}", field="recipients"
        )
    if len(set(addresses)) != len(addresses):
        raise InvalidArgumentError("a recipient is named twice", field="recipients")
    if order.source_address in addresses:
        raise InvalidArgumentError("the source is among the recipients", field="recipients")


def _opening(version: TransactionVersion, units: int, price: int) -> list[Instruction]:
    if version is TransactionVersion.V1:
        return []
    return [set_compute_unit_limit(units), set_compute_unit_price(price)]


def _batches(counts: Sequence[int], shares: Sequence[int]) -> list[PlannedBatch]:
    starts = accumulate(counts, initial=0)
    return [
        PlannedBatch(position, start, count, sum(shares[start : start + count]))
        for position, (start, count) in enumerate(zip(starts, counts, strict=False))
    ]


def _estimate(order: PlanInput, batches: Sequence[PlannedBatch]) -> CostEstimate:
    rates = order.rates
    base = rates.lamports_per_signature * len(batches)
    priority = sum(
        priority_fee(batch.transfer_count, COMPUTE_UNITS_PER_TRANSFER, rates.compute_unit_price)
        for batch in batches
    )
    required = order.total_lamports + base + priority
    if required > U64_MAX:
        raise OutOfRangeError("the total and its fees exceed u64", field="total_lamports")
    return CostEstimate(
        transaction_count=len(batches),
        base_fee_lamports=base,
        priority_fee_lamports=priority,
        # A System transfer creates an account with the lamports it brings: nothing on top.
        rent_lamports=0,
        required_lamports=required,
        rent_floor_lamports=rates.rent_floor_lamports,
        new_account_count=sum(held == 0 for held in order.recipient_balances),
    )
