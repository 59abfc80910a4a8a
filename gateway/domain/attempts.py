"""Attempts to carry out a batch, as values: on their way in, under way, landed, compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.domain.history import read_wire
from gateway.domain.instructions import Instruction
from gateway.domain.lookup_tables import NO_TABLES, LookupTables
from gateway.domain.plans import Kind, Move
from gateway.domain.states import AttemptState


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """A batch that this worker has leased, with its moves and its plan's lookup tables."""

    position: int
    fee_payer_address: str
    moves: Sequence[Move]
    lookup_tables: LookupTables = NO_TABLES


@dataclass(frozen=True, slots=True)
class PassedOver:
    """What is not to be claimed yet: batches by position, and all that some payers pay for."""

    positions: Sequence[int] = ()
    fee_payer_addresses: Sequence[str] = ()


NOTHING: Final = PassedOver()


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
    blockhash: str
    last_valid_block_height: int
    blockhash_slot: int
    state: AttemptState

    @property
    def fee_payer(self) -> str:
        """The address that pays for it even if it fails: the first account of the bytes."""
        return read_wire(self.wire).keys[0]


@dataclass(frozen=True, slots=True)
class Pending:
    """What is signed and not seen confirmed yet: how many attempts, what they may still take."""

    count: int = 0
    fee_lamports: int = 0
    amount: int = 0
    rent_lamports: int = 0


@dataclass(frozen=True, slots=True)
class AttemptMove:
    """An attempt's new state, and why."""

    signature: str
    state: AttemptState
    error: str = ""
    slot: int = 0


@dataclass(frozen=True, slots=True)
class LandedAttempt:
    """A finalized attempt with what its batch was to do, for comparison with the chain's record.

    `rent_lamports` is what each account that is made must hold by the plan, 0 if none is.
    """

    signature: str
    wire: bytes
    fee_lamports: int
    moves: Sequence[Move]
    lookup_tables: LookupTables = NO_TABLES
    kind: Kind = Kind.DISTRIBUTION
    prologue: Sequence[Instruction] = ()
    rent_lamports: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the chain's record of a transaction says: "matched", "differs: ..." or "unavailable".

    Rent is what went into accounts that it made, refunds what came out of those that it closed or
    relieved.
    """

    signature: str
    verdict: str
    slot: int = 0
    fee_lamports: int = 0
    rent_lamports: int = 0
    refund_lamports: int = 0
