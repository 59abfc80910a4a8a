"""Distributions as values: who asks for what, the frozen plan, what it costs, how far it is."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from gateway.domain.packing import TransactionVersion
from gateway.domain.splits import RandomSplit, Split, WeightedSplit
from gateway.domain.states import AttemptState, BatchState, DistributionState

RECIPIENTS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class RecipientIds:
    """Wallets of this vault, by id."""

    ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class RecipientAddresses:
    """Any addresses."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecipientRange:
    """A range of a master's wallets, all of which must be stored."""

    master_wallet_id: UUID
    first_index: int
    count: int


Recipients = RecipientIds | RecipientAddresses | RecipientRange


@dataclass(frozen=True, slots=True)
class DistributionOrder:
    """What is asked for: from whom, to whom, how much, split how. A seed may be missing (empty)."""

    source_wallet_id: UUID
    recipients: Recipients
    total_lamports: int
    split: Split

    def digest(self) -> bytes:
        """SHA-256 by which a repeated request is told from another with the same request id."""
        return hashlib.sha256(repr(self).encode()).digest()


@dataclass(frozen=True, slots=True)
class FeeRates:
    """What the cluster charges, as read when the plan was made.

    `compute_unit_price` is in micro-lamports for each compute unit of the limit.
    """

    lamports_per_signature: int
    rent_floor_lamports: int
    compute_unit_price: int


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What a distribution costs besides its total, and what the source must hold for it."""

    transaction_count: int
    base_fee_lamports: int
    priority_fee_lamports: int
    rent_lamports: int
    required_lamports: int
    rent_floor_lamports: int
    new_account_count: int


@dataclass(frozen=True, slots=True)
class PlannedTransfer:
    """A transfer of the plan: its place from 0, the batch that carries it, to whom, how much."""

    position: int
    batch_position: int
    recipient_address: str
    amount_lamports: int


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """What one transaction carries: transfers first_transfer, ... in order of the plan."""

    position: int
    first_transfer: int
    transfer_count: int
    total_lamports: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A frozen plan. `etag` is a digest of all that is approved with it."""

    source_wallet_id: UUID
    source_address: str
    total_lamports: int
    split: Split
    version: TransactionVersion
    compute_unit_price: int
    compute_units_per_transfer: int
    estimate: CostEstimate
    transfers: Sequence[PlannedTransfer]
    batches: Sequence[PlannedBatch]
    etag: str = field(default="")

    def digest(self) -> str:
        """SHA-256 in hex, shortened to 128 bits, over the plan's content."""
        content = {
            "source": self.source_address,
            "total": self.total_lamports,
            "split": describe_split(self.split),
            "version": self.version.value,
            "price": self.compute_unit_price,
            "units": self.compute_units_per_transfer,
            "transfers": [
                (item.batch_position, item.recipient_address, item.amount_lamports)
                for item in self.transfers
            ],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def describe_split(split: Split) -> dict[str, object]:
    """The split as it is stored. A weighted one's weights are in the amounts already."""
    match split:
        case RandomSplit(seed):
            return {"kind": "random", "seed": seed.hex()}
        case WeightedSplit():
            return {"kind": "weighted"}
        case _:
            return {"kind": "even"}


@dataclass(frozen=True, slots=True)
class Tally:
    """How many transfers and lamports are in each state; states with none are left out."""

    transfers: Mapping[BatchState, int]
    lamports: Mapping[BatchState, int]
    batches: Mapping[BatchState, int]

    @property
    def finalized_lamports(self) -> int:
        """Lamports that have arrived for good."""
        return self.lamports.get(BatchState.FINALIZED, 0)


@dataclass(frozen=True, slots=True)
class Distribution:
    """A stored distribution. `source_wallet_id` stays when the wallet is deleted later."""

    id: UUID
    state: DistributionState
    etag: str
    source_wallet_id: UUID
    source_address: str
    total_lamports: int
    transfer_count: int
    batch_count: int
    split_kind: str
    split_seed: bytes
    version: TransactionVersion
    compute_unit_price: int
    compute_units_per_transfer: int
    estimate: CostEstimate
    tally: Tally
    fees_paid_lamports: int
    last_error: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer and what became of it. `transaction_signature` is that of the last attempt."""

    position: int
    recipient_address: str
    amount_lamports: int
    state: BatchState
    transaction_signature: str
    error: str


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """A batch that this worker has leased, with its transfers as (recipient, lamports)."""

    position: int
    transfers: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """Signed bytes on their way into the database, before anybody sends them."""

    batch_position: int
    signature: str
    wire: bytes
    blockhash: str
    last_valid_block_height: int
    blockhash_slot: int


@dataclass(frozen=True, slots=True)
class LiveAttempt:
    """A stored attempt that has no final state yet."""

    batch_position: int
    signature: str
    wire: bytes
    last_valid_block_height: int
    blockhash_slot: int
    state: AttemptState


@dataclass(frozen=True, slots=True)
class AttemptMove:
    """An attempt's new state, and why."""

    signature: str
    state: AttemptState
    error: str = ""
