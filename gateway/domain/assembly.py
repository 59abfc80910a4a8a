"""From moves to a plan: packed into transactions, priced, summed up and sealed with an etag."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final
from uuid import UUID

from gateway.domain.amounts import U64_MAX
from gateway.domain.compute_limits import FIXED, ComputeLimits
from gateway.domain.errors import OutOfRangeError, PreconditionFailedError
from gateway.domain.instructions import Instruction
from gateway.domain.lookup_tables import NO_TABLES, LookupTable, LookupTables
from gateway.domain.orders import RECIPIENTS_MAX
from gateway.domain.packing import TransactionVersion, pack
from gateway.domain.plans import (
    SOL,
    Asset,
    CostEstimate,
    FeeRates,
    Kind,
    Move,
    Plan,
    PlannedBatch,
    PlannedTransfer,
    Skip,
)
from gateway.domain.splits import EvenSplit, Split
from gateway.domain.steps import (
    OPENING_UNITS,
    FeeTerms,
    compute_unit_limit,
    opening,
    steps_of,
)

_EVEN: Final = EvenSplit()


@dataclasses.dataclass(frozen=True, slots=True)
class Terms:
    """What all transactions of a plan have in common.

    `fee_payer` "" lets the first source of each transaction pay; then `alone` gives each source a
    transaction of its own. `account_rent_lamports` is what each token account that is made must
    hold.
    """

    kind: Kind
    rates: FeeRates
    version: TransactionVersion
    wallets: Mapping[str, UUID]
    fee_payer: str = ""
    alone: bool = False
    asset: Asset = SOL
    split: Split = _EVEN
    source_account: str = ""
    destination: tuple[str, UUID] | None = None
    prologue: tuple[Instruction, ...] = ()
    prologue_units: int = 0
    account_rent_lamports: int = 0
    skips: Sequence[Skip] = ()
    lookup_tables: LookupTables = NO_TABLES
    limits: ComputeLimits = FIXED

    @property
    def opening_units(self) -> int:
        """Compute units of what every transaction begins with."""
        return OPENING_UNITS + self.limits.of_prologue(self.prologue_units)


@dataclasses.dataclass(frozen=True, slots=True)
class Costs:
    """What a plan costs besides fees, in lamports unless said otherwise.

    `paid_lamports` is what of the total the payer must hold too.
    """

    rent_lamports: int = 0
    paid_lamports: int = 0
    refund_lamports: int = 0
    new_account_count: int = 0
    withheld_amount: int = 0


def pack_moves(terms: Terms, moves: Sequence[Move]) -> list[Sequence[Move]]:
    """Returns the moves of each transaction, in order, with their compute limits.

    What `moves` have as compute units are fixed bounds. Raises PreconditionFailedError for more
    moves than one plan has.
    """
    if len(moves) > RECIPIENTS_MAX:
        raise PreconditionFailedError(f"{len(moves)} transfers: a plan has {RECIPIENTS_MAX}")
    if terms.limits is not FIXED:
        moves = [
            dataclasses.replace(move, compute_units=terms.limits.of_move(move)) for move in moves
        ]
    if terms.alone:
        return [moves[at : at + 1] for at in range(len(moves))]
    if terms.fee_payer and terms.lookup_tables:
        moves = _shelved(terms.lookup_tables, moves)
    units = compute_unit_limit(terms.opening_units, moves[:1])
    first = [*opening(terms.version, units, terms.rates.compute_unit_price), *terms.prologue]
    counts = pack(terms.version, terms.fee_payer, first, map(steps_of, moves), terms.lookup_tables)
    starts = accumulate(counts, initial=0)
    return [moves[start : start + count] for start, count in zip(starts, counts, strict=False)]


def _shelved(tables: LookupTables, moves: Sequence[Move]) -> list[Move]:
    """Returns moves in another order: what the same tables hold stands together.

    What all of them use (a mint, who pays) says nothing of where a move belongs.
    """
    accounts = [
        list(dict.fromkeys(use.address for step in steps_of(move) for use in step.accounts))
        for move in moves
    ]
    uses = Counter(address for named in accounts for address in named)
    keys = [tables.shelf_of([each for each in named if uses[each] == 1]) for named in accounts]
    return [moves[place] for place in sorted(range(len(moves)), key=keys.__getitem__)]


def _tables_used(terms: Terms, packed: Sequence[Sequence[Move]]) -> LookupTables:
    if not terms.lookup_tables:
        return NO_TABLES
    used: set[LookupTable] = set()
    for moves in packed:
        steps = [*terms.prologue, *(step for move in moves for step in steps_of(move))]
        used.update(terms.lookup_tables.used_by(payer_of(terms, moves), steps))
    return terms.lookup_tables.only(used)


def batch_fee(terms: Terms, moves: Sequence[Move]) -> tuple[int, int]:
    """Returns (signatures, fee in lamports) of one transaction."""
    rates = terms.rates
    fees = FeeTerms(
        terms.prologue, terms.opening_units, rates.compute_unit_price, rates.lamports_per_signature
    )
    return fees.of(payer_of(terms, moves), moves)


def payer_of(terms: Terms, moves: Sequence[Move]) -> str:
    """Returns who pays the fee of one transaction."""
    return terms.fee_payer or moves[0].source_address


def assemble(terms: Terms, packed: Sequence[Sequence[Move]], costs: Costs) -> Plan:
    """Returns the plan of packed moves. Raises OutOfRangeError if a sum exceeds u64."""
    moves = [move for batch in packed for move in batch]
    starts = accumulate(map(len, packed), initial=0)
    batches: list[PlannedBatch] = []
    for position, (start, batch) in enumerate(zip(starts, packed, strict=False)):
        signatures, fee = batch_fee(terms, batch)
        total = sum(move.amount for move in batch)
        payer = payer_of(terms, batch)
        batches.append(PlannedBatch(position, start, len(batch), total, payer, signatures, fee))
    total = sum(move.amount for move in moves)
    source = payer_of(terms, moves)
    plan = Plan(
        kind=terms.kind,
        asset=terms.asset,
        source_wallet_id=terms.wallets[source],
        source_address=source,
        source_account=terms.source_account,
        destination=terms.destination,
        total_amount=total,
        split=terms.split,
        version=terms.version,
        compute_unit_price=terms.rates.compute_unit_price,
        opening_units=terms.opening_units,
        lamports_per_signature=terms.rates.lamports_per_signature,
        prologue=terms.prologue,
        estimate=_estimate(terms, packed, batches, costs),
        transfers=[
            PlannedTransfer(batch.first_transfer + at, batch.position, move)
            for batch, carried in zip(batches, packed, strict=True)
            for at, move in enumerate(carried)
        ],
        batches=batches,
        wallets=terms.wallets,
        skips=terms.skips,
        lookup_tables=_tables_used(terms, packed),
        account_rent_lamports=terms.account_rent_lamports if costs.new_account_count else 0,
    )
    if max(total, plan.estimate.required_lamports, plan.estimate.maximum_lamports) > U64_MAX:
        field = "total_amount" if terms.asset.mint else "total_lamports"
        raise OutOfRangeError("the total and its fees exceed u64", field=field)
    return dataclasses.replace(plan, etag=plan.digest())


def _estimate(
    terms: Terms,
    packed: Sequence[Sequence[Move]],
    batches: Sequence[PlannedBatch],
    costs: Costs,
) -> CostEstimate:
    rates = terms.rates
    base = rates.lamports_per_signature * sum(batch.signature_count for batch in batches)
    fees = sum(batch.fee_lamports for batch in batches)
    # What was sent ahead may be gone again by the time an account is made.
    rent_max = costs.new_account_count * terms.account_rent_lamports
    return CostEstimate(
        transaction_count=len(batches),
        base_fee_lamports=base,
        priority_fee_lamports=fees - base,
        rent_lamports=costs.rent_lamports,
        required_lamports=costs.paid_lamports
        + costs.rent_lamports
        # Whose sources pay their own fees take them from what they move.
        + (fees if terms.fee_payer else 0),
        rent_floor_lamports=rates.rent_floor_lamports,
        new_account_count=costs.new_account_count,
        maximum_lamports=rent_max + sum(_most(terms, batch) for batch in packed),
        refund_lamports=costs.refund_lamports,
        withheld_amount=costs.withheld_amount,
    )


def _most(terms: Terms, moves: Sequence[Move]) -> int:
    """Returns the fees of a batch that fails and is split down to its single transfers."""
    fee = batch_fee(terms, moves)[1]
    if len(moves) == 1 or not terms.fee_payer:
        return fee
    half = len(moves) // 2
    return fee + _most(terms, moves[:half]) + _most(terms, moves[half:])
