"""What became of a distribution, besides its states: what it cost, and what operators declared."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Verdict(StrEnum):
    """What is declared of an UNKNOWN transaction. LANDED asks the chain, and is never stored."""

    PAY_AGAIN = "pay_again"
    GIVE_UP = "give_up"
    LANDED = "landed"


@dataclass(frozen=True, slots=True)
class Resolution:
    """A declaration as it is kept, with what the providers said and the transfers it is about."""

    signature: str
    verdict: Verdict
    reason: str
    operator: str
    peer: str
    evidence: str
    created_at: datetime
    first_transfer: int
    transfer_count: int


@dataclass(frozen=True, slots=True)
class PaidCost:
    """What the transactions that landed cost, by the chain's own record as far as it was read.

    Fees are also those of transactions that failed. `rent_lamports` went into accounts that they
    made, `refund_lamports` came out of accounts that they closed or relieved.
    """

    fee_lamports: int = 0
    rent_lamports: int = 0
    refund_lamports: int = 0
    transaction_count: int = 0


@dataclass(frozen=True, slots=True)
class SigningPace:
    """How the signer's policy slows a distribution down, if it does at present.

    `batches_per_kilosecond` is what it lets through, by what it let through lately, 0 if that is
    not known; `wait_s` is how long it asked to wait, from when this was read.
    """

    batches_per_kilosecond: int = 0
    wait_s: float = 0.0
