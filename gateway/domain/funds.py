"""Whether those who pay can still pay: what a round of transactions needs against what is held.

Pure. A payer that runs dry in the middle would let one transaction after the other fail on chain,
each for a fee. So a round is weighed before it is signed: short of money, the distribution pauses
and nothing is signed. A source of a consolidation that is not what it was when the plan was made is
found here too, and fails alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.domain.attempts import ClaimedBatch, Pending
from gateway.domain.instructions import Instruction
from gateway.domain.plans import Distribution, Kind, Move
from gateway.domain.rent import may_be_left
from gateway.domain.steps import FeeTerms
from gateway.domain.token_programs import (
    ASSOCIATED_TOKEN,
    TOKEN_PROGRAMS,
    TRANSFER_CHECKED,
    TRANSFER_CHECKED_WITH_FEE,
)

AMOUNT_SLICE: Final = (64, 8)
"""Where both token programs keep an account's amount, little-endian: (offset, length)."""
INSUFFICIENT: Final = "INSUFFICIENT_FUNDS"


@dataclass(frozen=True, slots=True)
class Held:
    """What was read of an account; `amount` is None where it is no token account."""

    lamports: int
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class Weighed:
    """What may be signed. `refused` says why a batch may not, by position.

    `waits` is True while what is in flight may still decide, `stop` why nothing can be paid.
    """

    refused: Mapping[int, str]
    waits: bool = False
    stop: str = ""


def accounts_to_read(plan: Distribution, batches: Sequence[ClaimedBatch]) -> list[str]:
    """Returns the accounts whose holdings `weigh` needs."""
    found = {batch.fee_payer_address: None for batch in batches}
    if plan.source_account:
        found[plan.source_account] = None
    found.update((step.accounts[1].address, None) for step in creations(plan.prologue))
    if plan.kind is Kind.CONSOLIDATION:
        found.update((giver_of(move), None) for batch in batches for move in batch.moves)
    return list(found)


def weigh(
    plan: Distribution,
    batches: Sequence[ClaimedBatch],
    pending: Pending,
    held: Mapping[str, Held],
) -> Weighed:
    """Says which batches can be paid. `pending` must have been read before `held` was."""
    refused: dict[int, str] = {}
    if plan.kind is Kind.CONSOLIDATION:
        found = ((batch.position, _changed_source(plan, batch, held)) for batch in batches)
        refused = {position: why for position, why in found if why}
    rest = [batch for batch in batches if batch.position not in refused]
    stop = _short_of_lamports(plan, rest, pending, held) or _short_of_tokens(
        plan, rest, pending, held
    )
    if stop and pending.count:
        return Weighed(refused, waits=True)
    return Weighed(refused, stop=stop and f"{INSUFFICIENT}: {stop}")


def giver_of(move: Move) -> str:
    """Returns the account that a move takes its amount from."""
    for step in move.steps:
        if step.program in TOKEN_PROGRAMS and (
            step.data[0] == TRANSFER_CHECKED or step.data[:2] == TRANSFER_CHECKED_WITH_FEE
        ):
            return step.accounts[0].address
    return move.source_address


def _short_of_lamports(
    plan: Distribution, batches: Sequence[ClaimedBatch], pending: Pending, held: Mapping[str, Held]
) -> str:
    """Returns why the payer of fees (and of rent, and of SOL) cannot pay; "" if it can.

    What it keeps must be nothing or rent-exempt: the runtime refuses what leaves less.
    """
    payers = {batch.fee_payer_address for batch in batches}
    if payers != {plan.source_address} or _pays_its_own(plan, batches):
        return ""
    prologue_rent = _prologue_rent(plan, held)
    spent = [prologue_rent + _spent(plan, batch) for batch in batches]
    need = sum(_fee(plan, batch) for batch in batches) + pending.fee_lamports
    need += sum(_spent(plan, batch) for batch in batches) + pending.rent_lamports + prologue_rent
    if _pays_sol(plan):
        need += pending.amount
    holds, floor = held[plan.source_address].lamports, plan.estimate.rent_floor_lamports
    if holds - need >= floor:
        return ""
    if holds == need and not pending.count and _may_end_at_nothing(holds, spent, floor):
        return ""
    left = "" if holds < need else ", which would leave less than the rent floor"
    if holds == need:
        left += " on the way"
    return (
        f"{plan.source_address} holds {holds} lamports and the next {len(batches)} transactions "
        f"need {need}{left}"
    )


def _may_end_at_nothing(holds: int, spent: Sequence[int], floor: int) -> bool:
    """True if any of the transactions may be the last, after which the payer holds nothing.

    The last takes its fee and finds what it spends left over: that must be nothing or rent-exempt,
    and so must be what those before it leave. Who was not rent-exempt may fall as it likes.
    """
    return holds < floor or min(spent) >= floor or list(spent) == [0]


def _short_of_tokens(
    plan: Distribution, batches: Sequence[ClaimedBatch], pending: Pending, held: Mapping[str, Held]
) -> str:
    if not plan.source_account or not batches:
        return ""
    need = pending.amount + sum(move.amount for batch in batches for move in batch.moves)
    holds = held[plan.source_account].amount or 0
    if holds >= need:
        return ""
    return (
        f"the token account {plan.source_account} holds {holds} base units and the next "
        f"{len(batches)} transactions need {need}"
    )


def _changed_source(plan: Distribution, batch: ClaimedBatch, held: Mapping[str, Held]) -> str:
    """Returns why one of the sources cannot give what was planned; "" if all can."""
    for move in batch.moves:
        giver = giver_of(move)
        if giver != move.source_address:
            amount = held[giver].amount
            if amount != move.amount:
                return (
                    f"its token account {giver} holds {amount or 0} base units, "
                    f"planned were {move.amount}"
                )
            continue
        fee = _fee(plan, batch) if giver == batch.fee_payer_address else 0
        holds, floor = held[giver].lamports, plan.estimate.rent_floor_lamports
        left = holds - fee - move.amount
        if left < 0:
            return f"{giver} holds {holds} lamports and was to give {move.amount + fee}"
        if not may_be_left(holds, left, floor):
            return f"{giver} would keep {left} lamports, less than the rent floor"
        if not may_be_left(holds, holds - fee, floor):
            # Refused before it gets into a block: it could be signed and sent for ever.
            return f"{giver} would hold {holds - fee} lamports after its fee, under the rent floor"
    return ""


def _pays_its_own(plan: Distribution, batches: Sequence[ClaimedBatch]) -> bool:
    """True if the payer is one of the sources that are drained."""
    return plan.kind is Kind.CONSOLIDATION and any(
        move.source_address == batch.fee_payer_address for batch in batches for move in batch.moves
    )


def _pays_sol(plan: Distribution) -> bool:
    """True if the amounts are the payer's own lamports."""
    return plan.kind is Kind.DISTRIBUTION and not plan.asset.mint


def _spent(plan: Distribution, batch: ClaimedBatch) -> int:
    """Returns what a transaction takes of its payer beside the fee: rent, and SOL paid out."""
    amount = sum(move.amount for move in batch.moves) if _pays_sol(plan) else 0
    return amount + sum(move.rent_lamports for move in batch.moves)


def _fee(plan: Distribution, batch: ClaimedBatch) -> int:
    fees = FeeTerms(
        plan.prologue, plan.opening_units, plan.compute_unit_price, plan.lamports_per_signature
    )
    return fees.of(batch.fee_payer_address, batch.moves)[1]


def _prologue_rent(plan: Distribution, held: Mapping[str, Held]) -> int:
    """Returns what the accounts that every transaction makes, if they are not there, lack now."""
    accounts = [held[step.accounts[1].address] for step in creations(plan.prologue)]
    return sum(
        max(0, plan.account_rent_lamports - account.lamports)
        for account in accounts
        if account.amount is None
    )


def creations(steps: Sequence[Instruction]) -> Iterator[Instruction]:
    """Yields the steps that make an associated account, which is the second that they name."""
    return (step for step in steps if step.program == ASSOCIATED_TOKEN)
