"""Distributions as values: who asks for what, the frozen plan, what it costs, how far it is."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from gateway.domain.instructions import Instruction
from gateway.domain.lookup_tables import NO_TABLES, LookupTables
from gateway.domain.outcomes import PaidCost, Resolution, SigningPace
from gateway.domain.packing import TransactionVersion
from gateway.domain.splits import RandomSplit, Split, WeightedSplit
from gateway.domain.states import BatchState, DistributionState


class Kind(StrEnum):
    """What a distribution does."""

    DISTRIBUTION = "distribution"
    CONSOLIDATION = "consolidation"
    CLOSING = "closing"


@dataclass(frozen=True, slots=True)
class Asset:
    """What is moved; SOL has neither mint nor program. `decimals` is as the chain said."""

    mint: str = ""
    token_program: str = ""
    decimals: int = 9


SOL: Final = Asset()


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
    """What a distribution costs besides its total, and what the payer must hold for it.

    Fees and rent are what is expected. `maximum_lamports` is the most that fees and rent can come
    to: every batch split down to single transfers, and each of those failing on the way.
    `refund_lamports` is rent that comes back by closing accounts, `withheld_amount` what the token
    program keeps of the total, in base units.
    """

    transaction_count: int
    base_fee_lamports: int
    priority_fee_lamports: int
    rent_lamports: int
    required_lamports: int
    rent_floor_lamports: int
    new_account_count: int
    maximum_lamports: int = 0
    refund_lamports: int = 0
    withheld_amount: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """One transfer with what carries it out.

    `amount` leaves `source_address`'s hands; `withheld_amount` of it does not arrive. No `steps`
    means a System transfer from source to recipient. `rent_lamports` is what whoever pays the fee
    adds to what the account that is made already holds.
    """

    source_address: str
    recipient_address: str
    amount: int
    compute_units: int
    steps: tuple[Instruction, ...] = ()
    withheld_amount: int = 0
    rent_lamports: int = 0


@dataclass(frozen=True, slots=True)
class PlannedTransfer:
    """A move in its place of the plan, from 0, and the batch that carries it."""

    position: int
    batch_position: int
    move: Move

    @property
    def recipient_address(self) -> str:
        """Who is paid."""
        return self.move.recipient_address

    @property
    def amount(self) -> int:
        """How much leaves the source, in base units."""
        return self.move.amount


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """What one transaction carries: transfers first_transfer, ... in order of the plan."""

    position: int
    first_transfer: int
    transfer_count: int
    total_amount: int
    fee_payer_address: str
    signature_count: int
    fee_lamports: int


@dataclass(frozen=True, slots=True)
class Skip:
    """What a plan leaves out, and why."""

    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A frozen plan. `etag` is a digest of all that is approved with it.

    `source_*` is the wallet that pays the fees (of a consolidation whose sources pay their own, the
    first source). `wallets` are all that sign, by address, `destination` whoever receives where
    that is one wallet of the vault, `lookup_tables` those that its v0 transactions use,
    `account_rent_lamports` what each token account that is made must hold, `genesis_hash` the
    cluster that it was made for.
    """

    source_wallet_id: UUID
    source_address: str
    total_amount: int
    split: Split
    version: TransactionVersion
    compute_unit_price: int
    opening_units: int
    lamports_per_signature: int
    estimate: CostEstimate
    transfers: Sequence[PlannedTransfer]
    batches: Sequence[PlannedBatch]
    wallets: Mapping[str, UUID]
    kind: Kind = Kind.DISTRIBUTION
    asset: Asset = SOL
    source_account: str = ""
    destination: tuple[str, UUID] | None = None
    prologue: tuple[Instruction, ...] = ()
    skips: Sequence[Skip] = ()
    lookup_tables: LookupTables = NO_TABLES
    account_rent_lamports: int = 0
    genesis_hash: str = ""
    etag: str = field(default="")

    def digest(self) -> str:
        """SHA-256 in hex, shortened to 128 bits, over the plan's content."""
        content = {
            "kind": self.kind.value,
            "cluster": self.genesis_hash,
            "asset": [self.asset.mint, self.asset.token_program],
            "source": self.source_address,
            "total": self.total_amount,
            "split": describe_split(self.split),
            "version": self.version.value,
            "price": self.compute_unit_price,
            "units": self.opening_units,
            "prologue": repr(self.prologue),
            "tables": [(table.address, table.digest) for table in self.lookup_tables.tables],
            "payers": [item.fee_payer_address for item in self.batches],
            "transfers": [
                (
                    item.batch_position,
                    item.recipient_address,
                    item.amount,
                    item.move.compute_units,
                    repr(item.move.steps) if item.move.steps else item.move.source_address,
                )
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
    """How many transfers, base units and batches are in each state; none is left out."""

    transfers: Mapping[BatchState, int]
    amounts: Mapping[BatchState, int]
    batches: Mapping[BatchState, int]

    @property
    def finalized_amount(self) -> int:
        """Base units that were moved for good."""
        return self.amounts.get(BatchState.FINALIZED, 0)


@dataclass(frozen=True, slots=True)
class Receipts:
    """How many finalized transactions the chain's own record confirms, and how many it does not."""

    pending: int = 0
    matched: int = 0
    differing: int = 0
    unavailable: int = 0


@dataclass(frozen=True, slots=True)
class Distribution:
    """A stored distribution. `source_wallet_id` stays when the wallet is deleted later.

    `unlock_wallet_ids` is one signing wallet of each key group: what a session has to unlock.
    `account_rent_lamports` is what each token account that is made must hold.
    `fees_paid_lamports` are as the plan reckons them, `paid` as the chain's record says. Once
    cancelled, `is_cancelled` stays true, and nothing is signed for it any more. `genesis_hash` is
    "" if it was planned by a gateway that did not keep it.
    """

    id: UUID
    state: DistributionState
    kind: Kind
    asset: Asset
    etag: str
    source_wallet_id: UUID
    source_address: str
    source_account: str
    destination_address: str
    total_amount: int
    transfer_count: int
    batch_count: int
    split_kind: str
    split_seed: bytes
    version: TransactionVersion
    compute_unit_price: int
    opening_units: int
    lamports_per_signature: int
    prologue: tuple[Instruction, ...]
    estimate: CostEstimate
    tally: Tally
    receipts: Receipts
    fees_paid_lamports: int
    paid: PaidCost
    pace: SigningPace
    last_error: str
    created_at: datetime
    updated_at: datetime
    unlock_wallet_ids: Sequence[UUID] = ()
    skips: Sequence[Skip] = ()
    resolutions: Sequence[Resolution] = ()
    lookup_table_addresses: Sequence[str] = ()
    is_cancelled: bool = False
    account_rent_lamports: int = 0
    genesis_hash: str = ""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer and what became of it.

    Signature, slot, fee (the transaction's) and receipt are those of the last attempt.
    """

    position: int
    source_address: str
    recipient_address: str
    amount: int
    withheld_amount: int
    state: BatchState
    transaction_signature: str
    slot: int
    fee_lamports: int
    receipt: str
    error: str
