"""Rows of the distribution tables as values, and plans as parameters."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from gateway.adapters.postgres.connection import Row
from gateway.domain.packing import TransactionVersion
from gateway.domain.plans import CostEstimate, Distribution, Plan, Tally, Transfer
from gateway.domain.splits import RandomSplit, WeightedSplit
from gateway.domain.states import BatchState, DistributionState


def plan_parameters(plan: Plan) -> list[object]:
    """Returns what distributions' INSERT takes after the id."""
    kind, seed = "even", b""
    if isinstance(plan.split, RandomSplit):
        kind, seed = "random", plan.split.seed
    elif isinstance(plan.split, WeightedSplit):
        kind = "weighted"
    estimate = plan.estimate
    return [
        plan.etag,
        plan.source_wallet_id,
        plan.source_address,
        plan.total_lamports,
        len(plan.transfers),
        len(plan.batches),
        kind,
        seed,
        plan.version.value,
        plan.compute_unit_price,
        plan.compute_units_per_transfer,
        estimate.base_fee_lamports,
        estimate.priority_fee_lamports,
        estimate.rent_lamports,
        estimate.required_lamports,
        estimate.rent_floor_lamports,
        estimate.new_account_count,
    ]


def tallies_from_rows(rows: Sequence[Row]) -> dict[UUID, Tally]:
    """Makes one Tally for each distribution of rows grouped by distribution and state."""
    grouped: dict[UUID, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row["distribution_id"]].append(row)
    return {
        distribution_id: Tally(
            transfers={BatchState(row["state"]): int(row["transfers"]) for row in group},
            lamports={BatchState(row["state"]): int(row["lamports"]) for row in group},
            batches={BatchState(row["state"]): int(row["batches"]) for row in group},
        )
        for distribution_id, group in grouped.items()
    }


def distribution_from_row(row: Row, tally: Tally, fees_paid_lamports: int) -> Distribution:
    """Makes a Distribution of a row of distributions."""
    return Distribution(
        id=row["id"],
        state=DistributionState(row["state"]),
        etag=row["etag"],
        source_wallet_id=row["source_wallet_id"],
        source_address=row["source_address"],
        total_lamports=int(row["total_lamports"]),
        transfer_count=row["transfer_count"],
        batch_count=row["batch_count"],
        split_kind=row["split_kind"],
        split_seed=bytes(row["split_seed"]),
        version=TransactionVersion(row["transaction_version"]),
        compute_unit_price=int(row["compute_unit_price"]),
        compute_units_per_transfer=row["compute_units_per_transfer"],
        estimate=CostEstimate(
            transaction_count=row["batch_count"],
            base_fee_lamports=int(row["base_fee_lamports"]),
            priority_fee_lamports=int(row["priority_fee_lamports"]),
            rent_lamports=int(row["rent_lamports"]),
            required_lamports=int(row["required_lamports"]),
            rent_floor_lamports=int(row["rent_floor_lamports"]),
            new_account_count=row["new_account_count"],
        ),
        tally=tally,
        fees_paid_lamports=fees_paid_lamports,
        last_error=row["last_error"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def transfer_from_row(row: Row) -> Transfer:
    """Makes a Transfer of a transfer's row with its batch's state and its last signature."""
    return Transfer(
        position=row["position"],
        recipient_address=row["recipient_address"],
        amount_lamports=int(row["amount_lamports"]),
        state=BatchState(row["state"]),
        transaction_signature=row["signature"],
        error=row["error"],
    )
