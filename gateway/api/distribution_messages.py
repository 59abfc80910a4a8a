"""Distributions, plans and transfers as messages."""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.domain.outcomes import PaidCost, Resolution, Verdict
from gateway.domain.plans import (
    Asset,
    CostEstimate,
    Distribution,
    Kind,
    Plan,
    Receipts,
    Skip,
    Transfer,
)
from gateway.domain.splits import RandomSplit, WeightedSplit
from gateway.domain.states import BatchState, DistributionState
from gateway.workflows.distribution_watch import Progress
from solward.gateway.v1 import distribution_service_pb2 as pb

_STATES: Final[Mapping[DistributionState, "pb.Distribution.State.ValueType"]] = {
    DistributionState.PLANNED: pb.Distribution.STATE_PLANNED,
    DistributionState.EXECUTING: pb.Distribution.STATE_EXECUTING,
    DistributionState.PAUSED: pb.Distribution.STATE_PAUSED,
    DistributionState.CANCELLING: pb.Distribution.STATE_CANCELLING,
    DistributionState.CANCELLED: pb.Distribution.STATE_CANCELLED,
    DistributionState.COMPLETED: pb.Distribution.STATE_COMPLETED,
    DistributionState.PARTIALLY_FAILED: pb.Distribution.STATE_PARTIALLY_FAILED,
    DistributionState.PARKED: pb.Distribution.STATE_PARKED,
}
_KINDS: Final[Mapping[Kind, "pb.Distribution.Kind.ValueType"]] = {
    Kind.DISTRIBUTION: pb.Distribution.KIND_DISTRIBUTION,
    Kind.CONSOLIDATION: pb.Distribution.KIND_CONSOLIDATION,
    Kind.CLOSING: pb.Distribution.KIND_CLOSING,
}
_TRANSFER_STATES: Final[Mapping[BatchState, "pb.Transfer.State.ValueType"]] = {
    BatchState.PLANNED: pb.Transfer.STATE_PLANNED,
    BatchState.IN_FLIGHT: pb.Transfer.STATE_IN_FLIGHT,
    BatchState.FINALIZED: pb.Transfer.STATE_FINALIZED,
    BatchState.FAILED: pb.Transfer.STATE_FAILED,
    BatchState.UNKNOWN: pb.Transfer.STATE_UNKNOWN,
    BatchState.CANCELLED: pb.Transfer.STATE_CANCELLED,
}

VERDICTS: Final[Mapping[Verdict, "pb.Resolution.Verdict.ValueType"]] = {
    Verdict.PAY_AGAIN: pb.Resolution.VERDICT_PAY_AGAIN,
    Verdict.GIVE_UP: pb.Resolution.VERDICT_GIVE_UP,
    Verdict.LANDED: pb.Resolution.VERDICT_LANDED,
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
        maximum_lamports=value.maximum_lamports,
        refund_lamports=value.refund_lamports,
        withheld_amount=value.withheld_amount,
    )


def distribution(value: Distribution) -> pb.Distribution:
    """Returns a stored distribution."""
    message = pb.Distribution(
        id=str(value.id),
        state=_STATES[value.state],
        kind=_KINDS[value.kind],
        asset=_asset(value.asset),
        etag=value.etag,
        source_wallet_id=str(value.source_wallet_id),
        destination_address=value.destination_address,
        total_lamports=_lamports(value.asset, value.total_amount),
        total_amount=value.total_amount,
        transfer_count=value.transfer_count,
        transaction_count=value.batch_count,
        transaction_version=value.version.value,
        lookup_table_addresses=value.lookup_table_addresses,
        is_cancelled=value.is_cancelled,
        transfer_counts=_counts(value.tally.transfers),
        finalized_lamports=_lamports(value.asset, value.tally.finalized_amount),
        finalized_amount=value.tally.finalized_amount,
        estimate=estimate(value.estimate),
        fees_paid_lamports=value.fees_paid_lamports,
        last_error=value.last_error,
        split=_split(value.split_kind, value.split_seed),
        unlock_wallet_ids=[str(wallet_id) for wallet_id in value.unlock_wallet_ids],
        skipped=_skipped(value.skips),
        reconciliation=_reconciliation(value.receipts),
        resolutions=[_resolution(item) for item in value.resolutions],
        paid=_paid(value.paid),
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
        kind=_KINDS[value.kind],
        asset=_asset(value.asset),
        etag=value.etag,
        source_wallet_id=str(value.source_wallet_id),
        destination_address="" if value.destination is None else value.destination[0],
        total_lamports=_lamports(value.asset, value.total_amount),
        total_amount=value.total_amount,
        transfer_count=len(value.transfers),
        transaction_count=len(value.batches),
        transaction_version=value.version.value,
        lookup_table_addresses=[table.address for table in value.lookup_tables.tables],
        transfer_counts=pb.TransferCounts(planned_count=len(value.transfers)),
        estimate=estimate(value.estimate),
        split=_split(kind, seed),
        skipped=_skipped(value.skips),
    )


def _asset(value: Asset) -> pb.Asset:
    return pb.Asset(mint=value.mint, token_program=value.token_program, decimals=value.decimals)


def _lamports(asset: Asset, amount: int) -> int:
    """Returns an amount where it is one of lamports, 0 where it is one of tokens."""
    return 0 if asset.mint else amount


def _skipped(skips: Sequence[Skip]) -> list[pb.SkippedAccount]:
    return [pb.SkippedAccount(address=skip.address, reason=skip.reason) for skip in skips]


def _reconciliation(value: Receipts) -> pb.Reconciliation:
    return pb.Reconciliation(
        pending_count=value.pending,
        matched_count=value.matched,
        differing_count=value.differing,
        unavailable_count=value.unavailable,
    )


def _resolution(value: Resolution) -> pb.Resolution:
    message = pb.Resolution(
        transaction_signature=value.signature,
        verdict=VERDICTS[value.verdict],
        reason=value.reason,
        operator=value.operator,
        peer=value.peer,
        evidence=value.evidence,
        first_position=value.first_transfer,
        transfer_count=value.transfer_count,
    )
    message.create_time.FromDatetime(value.created_at)
    return message


def _paid(value: PaidCost) -> pb.PaidCost:
    return pb.PaidCost(
        fee_lamports=value.fee_lamports,
        rent_lamports=value.rent_lamports,
        refund_lamports=value.refund_lamports,
        transaction_count=value.transaction_count,
    )


def transfer(value: Transfer, asset: Asset) -> pb.Transfer:
    """Returns a transfer and what became of it."""
    return pb.Transfer(
        position=value.position,
        recipient_address=value.recipient_address,
        source_address=value.source_address,
        amount_lamports=_lamports(asset, value.amount),
        amount=value.amount,
        withheld_amount=value.withheld_amount,
        slot=value.slot,
        fee_lamports=value.fee_lamports,
        receipt=value.receipt,
        state=_TRANSFER_STATES[value.state],
        transaction_signature=value.transaction_signature,
        error=value.error,
    )


def progress(value: Progress) -> pb.WatchDistributionResponse:
    """Returns one report of a watch."""
    message = pb.WatchDistributionResponse(
        state=_STATES[value.state],
        transfer_counts=_counts(value.tally.transfers),
        finalized_lamports=_lamports(value.asset, value.tally.finalized_amount),
        finalized_amount=value.tally.finalized_amount,
        transfers_per_kilosecond=round(value.transfers_per_s * 1000),
        last_error=value.last_error,
    )
    if value.signing_wait_s:
        message.signing_wait_duration.FromMilliseconds(round(value.signing_wait_s * 1000))
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
