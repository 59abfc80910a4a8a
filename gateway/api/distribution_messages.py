"""Distributions, plans and transfers as messages."""

from collections.abc import Mapping
from typing import Final

from gateway.domain.plans import CostEstimate, Distribution, Plan, Transfer
from gateway.domain.splits import RandomSplit, WeightedSplit
from gateway.domain.states import BatchState, DistributionState
from gateway.workflows.distribution_watch import Progress
from solward.gateway.v1 import distribution_service_pb2 as pb

_STATES: Final[Mapping[DistributionState, "pb.Distribution.State.ValueType"]] = {
    DistributionState.PLANNED: pb.Distribution.STATE_PLANNED,
    DistributionState.EXECUTING: pb.Distribution.STATE_EXECUTING,
    DistributionState.PAUSED: pb.Distribution.STATE_PAUSED,
    # The contract has no state for it; what it says of PAUSED is true: nothing more is signed.
    DistributionState.CANCELLING: pb.Distribution.STATE_PAUSED,
    DistributionState.CANCELLED: pb.Distribution.STATE_CANCELLED,
    DistributionState.COMPLETED: pb.Distribution.STATE_COMPLETED,
    DistributionState.PARTIALLY_FAILED: pb.Distribution.STATE_PARTIALLY_FAILED,
    DistributionState.PARKED: pb.Distribution.STATE_PARKED,
}
_TRANSFER_STATES: Final[Mapping[BatchState, "pb.Transfer.State.ValueType"]] = {
    BatchState.PLANNED: pb.Transfer.STATE_PLANNED,
    BatchState.IN_FLIGHT: pb.Transfer.STATE_IN_FLIGHT,
    BatchState.FINALIZED: pb.Transfer.STATE_FINALIZED,
    BatchState.FAILED: pb.Transfer.STATE_FAILED,
    BatchState.UNKNOWN: pb.Transfer.STATE_UNKNOWN,
    BatchState.CANCELLED: pb.Transfer.STATE_CANCELLED,
}


def estimate(value: CostEstimate) -> pb.CostEstimate:
    """Returns what a plan costs."""
    return pb.CostEstimate(
        transaction_count=value.transaction_count,
        base_fee_lamports=value.base_fee_lamports,
        priority_fee_lamports=value.priority_fee_lamports,
        rent_lamports=value.rent_lamports,
        required_lamports=value.required_lamports,
        rent_floor_lamports=value.rent_floor_lamports,
        new_account_count=value.new_account_count,
    )


def distribution(value: Distribution) -> pb.Distribution:
    """Returns a stored distribution."""
    message = pb.Distribution(
        id=str(value.id),
        state=_STATES[value.state],
        etag=value.etag,
        source_wallet_id=str(value.source_wallet_id),
        total_lamports=value.total_lamports,
        transfer_count=value.transfer_count,
        transaction_count=value.batch_count,
        transfer_counts=_counts(value.tally.transfers),
        finalized_lamports=value.tally.finalized_lamports,
        estimate=estimate(value.estimate),
        fees_paid_lamports=value.fees_paid_lamports,
        last_error=value.last_error,
        split=_split(value.split_kind, value.split_seed),
    )
    message.create_time.FromDatetime(value.created_at)
    message.update_time.FromDatetime(value.updated_at)
    return message


def plan(value: Plan) -> pb.Distribution:
    """Returns a plan that is not stored: it has no id and no times."""
    seed = value.split.seed if isinstance(value.split, RandomSplit) else b""
    kind = "random" if seed else "weighted" if isinstance(value.split, WeightedSplit) else "even"
    return pb.Distribution(
        state=pb.Distribution.STATE_PLANNED,
        etag=value.etag,
        source_wallet_id=str(value.source_wallet_id),
        total_lamports=value.total_lamports,
        transfer_count=len(value.transfers),
        transaction_count=len(value.batches),
        transfer_counts=pb.TransferCounts(planned_count=len(value.transfers)),
        estimate=estimate(value.estimate),
        split=_split(kind, seed),
    )


def transfer(value: Transfer) -> pb.Transfer:
    """Returns a transfer and what became of it."""
    return pb.Transfer(
        position=value.position,
        recipient_address=value.recipient_address,
        amount_lamports=value.amount_lamports,
        state=_TRANSFER_STATES[value.state],
        transaction_signature=value.transaction_signature,
        error=value.error,
    )


def progress(value: Progress) -> pb.WatchDistributionResponse:
    """Returns one report of a watch."""
    message = pb.WatchDistributionResponse(
        state=_STATES[value.state],
        transfer_counts=_counts(value.tally.transfers),
        finalized_lamports=value.tally.finalized_lamports,
        transfers_per_kilosecond=round(value.transfers_per_s * 1000),
        last_error=value.last_error,
    )
    if value.remaining_s is not None:
        message.remaining_duration.FromMilliseconds(round(value.remaining_s * 1000))
    return message


def _counts(transfers: Mapping[BatchState, int]) -> pb.TransferCounts:
    return pb.TransferCounts(
        planned_count=transfers.get(BatchState.PLANNED, 0),
        in_flight_count=transfers.get(BatchState.IN_FLIGHT, 0),
        finalized_count=transfers.get(BatchState.FINALIZED, 0),
        failed_count=transfers.get(BatchState.FAILED, 0),
        unknown_count=transfers.get(BatchState.UNKNOWN, 0),
        cancelled_count=transfers.get(BatchState.CANCELLED, 0),
    )


def _split(kind: str, seed: bytes) -> pb.Split:
    """Returns how a total was split; the weights of a weighted split are in the amounts only."""
    if kind == "random":
        return pb.Split(random=pb.RandomSplit(seed=seed))
    if kind == "weighted":
        return pb.Split(weighted=pb.WeightedSplit())
    return pb.Split(even=pb.EvenSplit())
