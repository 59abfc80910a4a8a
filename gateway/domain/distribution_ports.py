"""Where distributions are kept, as a protocol. Errors are written at the adapter."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from gateway.domain.attempts import (
    NOTHING,
    AttemptMove,
    ClaimedBatch,
    LandedAttempt,
    LiveAttempt,
    NewAttempt,
    PassedOver,
    Pending,
    Receipt,
)
from gateway.domain.outcomes import Verdict
from gateway.domain.pages import Page
from gateway.domain.plans import Distribution, Plan, Transfer
from gateway.domain.resolutions import Declaration
from gateway.domain.states import DistributionState


class Distributions(Protocol):
    """Plans, their state, and the work on them."""

    async def create(self, distribution_id: UUID, plan: Plan) -> None:
        """Stores a plan whole; the source must be stored and stays until the end."""
        ...

    async def get(self, distribution_id: UUID) -> Distribution:
        """Returns a distribution with its tally."""
        ...

    async def list_page(self, page_size: int = 0, page_token: str = "") -> Page[Distribution]:
        """Returns distributions, newest first."""
        ...

    async def list_transfers(
        self, distribution_id: UUID, page_size: int = 0, page_token: str = ""
    ) -> Page[Transfer]:
        """Returns transfers in the order of the plan."""
        ...

    async def lock(self, distribution_id: UUID) -> DistributionState:
        """Returns the state and keeps it until the transaction ends."""
        ...

    async def set_state(self, distribution_id: UUID, state: DistributionState) -> None:
        """Moves a distribution that is locked; cancelling gives up its planned batches."""
        ...

    async def note_error(self, distribution_id: UUID, error: str) -> None:
        """Stores what went wrong last, in words; "" clears it."""
        ...

    async def settle(self, distribution_id: UUID) -> DistributionState | None:
        """Moves a distribution with nothing left to happen to its last state, and returns that."""
        ...

    async def unsettled(self) -> list[UUID]:
        """Returns those with signed transactions, or nothing at all, left to follow up."""
        ...

    async def claim(
        self,
        distribution_id: UUID,
        worker: UUID,
        lease_s: float,
        limit: int,
        passed_over: PassedOver = NOTHING,
    ) -> list[ClaimedBatch]:
        """Leases planned batches that nobody works on."""
        ...

    async def pending(self, distribution_id: UUID) -> Pending:
        """Returns what is signed, by whichever gateway, and not seen confirmed yet."""
        ...

    async def adopt(self, distribution_id: UUID, worker: UUID, lease_s: float) -> int:
        """Leases in-flight and unknown batches that nobody works on; returns how many."""
        ...

    async def renew(self, distribution_id: UUID, worker: UUID, lease_s: float) -> set[int]:
        """Extends the worker's leases; returns the positions that are still its own."""
        ...

    async def release(
        self, distribution_id: UUID, worker: UUID, *, planned_only: bool = False
    ) -> None:
        """Gives up the worker's leases."""
        ...

    async def store_attempts(
        self,
        distribution_id: UUID,
        worker: UUID,
        attempts: Sequence[NewAttempt],
        lease_s: float,
    ) -> set[str]:
        """Stores signed bytes; returns the signatures that may now be sent, and no others."""
        ...

    async def refuse(
        self,
        distribution_id: UUID,
        worker: UUID,
        errors: Mapping[int, str],
        splittable: Collection[int] = (),
    ) -> None:
        """Fails or splits leased planned batches, by position, that were refused before signing."""
        ...

    async def live_attempts(self, distribution_id: UUID, worker: UUID) -> list[LiveAttempt]:
        """Returns undecided attempts of the worker's batches."""
        ...

    async def move_attempts(self, distribution_id: UUID, moves: Sequence[AttemptMove]) -> None:
        """Moves attempts and their batches; a move that is not allowed any more is left out."""
        ...

    async def without_receipt(self, distribution_id: UUID, limit: int) -> list[LandedAttempt]:
        """Returns finalized attempts that nobody has compared with the chain's record yet."""
        ...

    async def store_receipts(self, receipts: Sequence[Receipt]) -> None:
        """Stores what the comparisons said."""
        ...

    async def attempt(self, distribution_id: UUID, signature: str) -> LiveAttempt:
        """Returns one attempt, whatever its state."""
        ...

    async def verdict(self, signature: str) -> Verdict | None:
        """Returns what was declared of an attempt, None if nothing was."""
        ...

    async def resolve(self, distribution_id: UUID, declaration: Declaration, evidence: str) -> None:
        """Stores a declaration with its effect, once."""
        ...

    async def others_at_work(self, distribution_id: UUID, worker: UUID) -> bool:
        """Returns whether another worker holds batches."""
        ...

    async def note_pace(self, distribution_id: UUID, wait_s: float) -> None:
        """Stores that the signer asked to wait, and how many batches it lets through that way."""
        ...

    async def note_waiting(self, note: str, idle_s: float, at_work: Sequence[UUID] = ()) -> int:
        """Notes at every distribution that executes, with nobody at work, what it waits for."""
        ...
