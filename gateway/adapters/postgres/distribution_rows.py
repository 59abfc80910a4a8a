"""Rows of the distribution tables as values, and plans as parameters."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from uuid import UUID

from gateway.adapters.postgres.connection import Row
from gateway.domain.attempts import LiveAttempt
from gateway.domain.outcomes import PaidCost, Resolution, SigningPace, Verdict
from gateway.domain.packing import TransactionVersion
from gateway.domain.plans import (
    Asset,
    CostEstimate,
    Distribution,
    Kind,
    Move,
    Plan,
    Receipts,
    Skip,
    Tally,
    Transfer,
)
from gateway.domain.splits import RandomSplit, WeightedSplit
from gateway.domain.states import AttemptState, BatchState, DistributionState
from gateway.domain.steps import decode_steps, encode_steps

BATCH_COLUMNS: Final = (
    "distribution_id",
    "position",
    "first_transfer",
    "transfer_count",
    "total_amount",
    "fee_payer_address",
    "signature_count",
    "fee_lamports",
)
TRANSFER_COLUMNS: Final = (
    "distribution_id",
    "position",
    "batch_position",
    "recipient_address",
    "amount",
    "source_address",
    "withheld_amount",
    "compute_units",
    "steps",
    "rent_lamports",
)

_BIGINT_MAX: Final = 2**63 - 1
# A minute is the window of the signer's limits.
_PACE_FORGOTTEN_AFTER_S: Final = 60.0


def plan_columns(plan: Plan) -> dict[str, object]:
    """Returns what distributions' INSERT takes besides the id, by column."""
    kind, seed = "even", b""
    if isinstance(plan.split, RandomSplit):
        kind, seed = "random", plan.split.seed
    elif isinstance(plan.split, WeightedSplit):
        kind = "weighted"
    estimate = plan.estimate
    return {
        "etag": plan.etag,
        "source_wallet_id": plan.source_wallet_id,
        "source_address": plan.source_address,
        "total_amount": plan.total_amount,
        "transfer_count": len(plan.transfers),
        "batch_count": len(plan.batches),
        "split_kind": kind,
        "split_seed": seed,
        "transaction_version": plan.version.value,
        "compute_unit_price": plan.compute_unit_price,
        "opening_units": plan.opening_units,
        "base_fee_lamports": estimate.base_fee_lamports,
        "priority_fee_lamports": estimate.priority_fee_lamports,
        "rent_lamports": estimate.rent_lamports,
        "required_lamports": estimate.required_lamports,
        "rent_floor_lamports": estimate.rent_floor_lamports,
        "new_account_count": estimate.new_account_count,
        "maximum_lamports": estimate.maximum_lamports,
        "refund_lamports": estimate.refund_lamports,
        "withheld_amount": estimate.withheld_amount,
        "kind": plan.kind.value,
        "mint": plan.asset.mint,
        "token_program": plan.asset.token_program,
        "decimals": plan.asset.decimals,
        "source_account": plan.source_account,
        "destination_address": "" if plan.destination is None else plan.destination[0],
        "prologue": encode_steps(plan.prologue),
        "lamports_per_signature": plan.lamports_per_signature,
        "genesis_hash": plan.genesis_hash,
        "account_rent_lamports": plan.account_rent_lamports,
    }


def batch_lines(distribution_id: UUID, plan: Plan) -> Iterator[str]:
    """Yields BATCH_COLUMNS as COPY takes them. Addresses are base58 and need no escaping."""
    for batch in plan.batches:
        yield (
            f"{distribution_id}\t{batch.position}\t{batch.first_transfer}"
            f"\t{batch.transfer_count}\t{batch.total_amount}\t{batch.fee_payer_address}"
            f"\t{batch.signature_count}\t{batch.fee_lamports}"
        )


def transfer_lines(distribution_id: UUID, plan: Plan) -> Iterator[str]:
    """Yields TRANSFER_COLUMNS as COPY takes them."""
    for item in plan.transfers:
        move = item.move
        yield (
            f"{distribution_id}\t{item.position}\t{item.batch_position}"
            f"\t{move.recipient_address}\t{move.amount}\t{move.source_address}"
            f"\t{move.withheld_amount}\t{move.compute_units}"
            f"\t{encode_steps(move.steps) if move.steps else ''}\t{move.rent_lamports}"
        )


def tallies_from_rows(rows: Sequence[Row]) -> dict[UUID, Tally]:
    """Makes one Tally for each distribution of rows grouped by distribution and state."""
    grouped: dict[UUID, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row["distribution_id"]].append(row)
    return {
        distribution_id: Tally(
            transfers={BatchState(row["state"]): int(row["transfers"]) for row in group},
            amounts={BatchState(row["state"]): int(row["total"]) for row in group},
            batches={BatchState(row["state"]): int(row["batches"]) for row in group},
        )
        for distribution_id, group in grouped.items()
    }


def receipts_from_row(row: Row | None) -> tuple[Receipts, int, PaidCost]:
    """Makes receipts, fees as planned and costs of a row of sums; None where nothing landed."""
    if row is None:
        return Receipts(), 0, PaidCost()
    counts = Receipts(row["pending"], row["matched"], row["differing"], row["unavailable"])
    paid = PaidCost(
        int(row["fees_charged"]), int(row["rent"]), int(row["refunds"]), row["transactions"]
    )
    return counts, int(row["fees"]), paid


def pace_from_row(row: Row) -> SigningPace:
    """Makes a SigningPace of a row of distributions; the default once the signer has let go."""
    if row["signing_resumes_at"] is None:
        return SigningPace()
    wait_s = (row["signing_resumes_at"] - row["read_at"]).total_seconds()
    if wait_s < -_PACE_FORGOTTEN_AFTER_S:
        return SigningPace()
    return SigningPace(row["signing_pace"], max(0.0, wait_s))


def resolution_from_row(row: Row) -> Resolution:
    """Makes a Resolution of a row of attempt_resolutions with its batch's range."""
    return Resolution(
        signature=row["signature"],
        verdict=Verdict(row["verdict"]),
        reason=row["reason"],
        operator=row["operator"],
        peer=row["peer"],
        evidence=row["evidence"],
        created_at=row["created_at"],
        first_transfer=row["first_transfer"],
        transfer_count=row["transfer_count"],
    )


def distribution_from_row(
    row: Row,
    tally: Tally,
    landed: Row | None,
    unlock: Mapping[UUID, Sequence[UUID]],
    skips: Sequence[Row],
    resolutions: Sequence[Row],
    *,
    tables: Mapping[UUID, Sequence[str]],
) -> Distribution:
    """Makes a Distribution of a row of distributions and what other tables have of it."""
    receipts, fees_paid_lamports, paid = receipts_from_row(landed)
    return Distribution(
        id=row["id"],
        state=DistributionState(row["state"]),
        kind=Kind(row["kind"]),
        asset=Asset(row["mint"], row["token_program"], row["decimals"]),
        etag=row["etag"],
        source_wallet_id=row["source_wallet_id"],
        source_address=row["source_address"],
        source_account=row["source_account"],
        destination_address=row["destination_address"],
        total_amount=int(row["total_amount"]),
        transfer_count=row["transfer_count"],
        batch_count=row["batch_count"],
        split_kind=row["split_kind"],
        split_seed=bytes(row["split_seed"]),
        version=TransactionVersion(row["transaction_version"]),
        compute_unit_price=int(row["compute_unit_price"]),
        opening_units=row["opening_units"],
        lamports_per_signature=int(row["lamports_per_signature"]),
        prologue=decode_steps(row["prologue"]),
        estimate=CostEstimate(
            transaction_count=row["batch_count"],
            base_fee_lamports=int(row["base_fee_lamports"]),
            priority_fee_lamports=int(row["priority_fee_lamports"]),
            rent_lamports=int(row["rent_lamports"]),
            required_lamports=int(row["required_lamports"]),
            rent_floor_lamports=int(row["rent_floor_lamports"]),
            new_account_count=row["new_account_count"],
            maximum_lamports=int(row["maximum_lamports"]),
            refund_lamports=int(row["refund_lamports"]),
            withheld_amount=int(row["withheld_amount"]),
        ),
        tally=tally,
        receipts=receipts,
        fees_paid_lamports=fees_paid_lamports,
        paid=paid,
        pace=pace_from_row(row),
        last_error=row["last_error"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        unlock_wallet_ids=tuple(unlock.get(row["id"], ())),
        skips=[
            Skip(skip["address"], skip["reason"])
            for skip in skips
            if skip["distribution_id"] == row["id"]
        ],
        resolutions=[
            resolution_from_row(found)
            for found in resolutions
            if found["distribution_id"] == row["id"]
        ],
        lookup_table_addresses=tables.get(row["id"], ()),
        is_cancelled=row["is_cancelled"],
        account_rent_lamports=int(row["account_rent_lamports"]),
        genesis_hash=row["genesis_hash"],
    )


def live_attempt_from_row(row: Row) -> LiveAttempt:
    """Makes a LiveAttempt of a row of attempts."""
    return LiveAttempt(
        batch_position=row["batch_position"],
        signature=row["signature"],
        wire=bytes(row["wire"]),
        blockhash=row["blockhash"],
        last_valid_block_height=row["last_valid_block_height"],
        blockhash_slot=row["blockhash_slot"],
        state=AttemptState(row["state"]),
    )


def storable_slot(slot: int) -> int:
    """Returns a slot as far as a bigint holds it.

    What a node says is a slot may be any u64; nothing is decided by it.
    """
    return min(slot, _BIGINT_MAX)


def move_from_row(row: Row, source_address: str) -> Move:
    """Makes a Move of a row of transfers."""
    return Move(
        source_address=row["source_address"] or source_address,
        recipient_address=row["recipient_address"],
        amount=int(row["amount"]),
        compute_units=row["compute_units"],
        steps=decode_steps(row["steps"]) if row["steps"] else (),
        withheld_amount=int(row["withheld_amount"]),
        rent_lamports=int(row["rent_lamports"]),
    )


def transfer_from_row(row: Row) -> Transfer:
    """Makes a Transfer of a transfer's row with its batch's state and its last attempt."""
    return Transfer(
        position=row["position"],
        source_address=row["source_address"],
        recipient_address=row["recipient_address"],
        amount=int(row["amount"]),
        withheld_amount=int(row["withheld_amount"]),
        state=BatchState(row["state"]),
        transaction_signature=row["signature"],
        slot=row["slot"],
        fee_lamports=int(row["fee_lamports"]),
        receipt=row["receipt"],
        error=row["error"],
    )
