"""What can be asked for: payouts, consolidations and closings, as values.

`lookup_tables` are addresses of tables to use; naming any makes the transactions v0.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from gateway.domain.splits import Split

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


class TransferFee(StrEnum):
    """Who bears a mint's transfer fee. A mint that has one needs an answer."""

    UNSTATED = "unstated"
    RECIPIENT = "recipient"
    """The total is what leaves the source; each recipient gets less."""
    SOURCE = "source"
    """The total is what arrives; the source sends more."""


class FeePayment(StrEnum):
    """Who pays the fees of a consolidation that names no fee payer."""

    EACH_SOURCE = "each_source"
    """Each source in a transaction of its own."""
    FIRST_SOURCE = "first_source"
    """The first source of each transaction, for all in it: fewer transactions."""


class ClosingMode(StrEnum):
    """What is done with token accounts."""

    CLOSE = "close"
    """Empty ones are closed."""
    RECLAIM = "reclaim"
    """None is closed; rent above today's rate is withdrawn from all."""
    CLOSE_AND_RECLAIM = "close_and_reclaim"
    """Empty ones are closed, from the others excess rent is withdrawn."""


@dataclass(frozen=True, slots=True)
class DistributionOrder:
    """A payout: from whom, to whom, how much, split how. A seed may be missing (empty).

    The total is in base units of `mint`, lamports if that is "".
    """

    source_wallet_id: UUID
    recipients: Recipients
    total_amount: int
    split: Split
    mint: str = ""
    transfer_fee: TransferFee = TransferFee.UNSTATED
    memo: str = ""
    lookup_tables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConsolidationOrder:
    """Everything that the sources hold of an asset, to one wallet.

    Without a fee payer `fee_payment` says which sources pay.
    """

    source_wallet_ids: tuple[UUID, ...]
    destination_wallet_id: UUID
    fee_payer_wallet_id: UUID | None = None
    fee_payment: FeePayment = FeePayment.EACH_SOURCE
    mint: str = ""
    lookup_tables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClosingOrder:
    """The token accounts of wallets: rent goes to the destination, which pays the fees."""

    wallet_ids: tuple[UUID, ...]
    destination_wallet_id: UUID
    mode: ClosingMode = ClosingMode.CLOSE
    lookup_tables: tuple[str, ...] = ()


Order = DistributionOrder | ConsolidationOrder | ClosingOrder
