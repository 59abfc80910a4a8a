"""The planner of SOL: payouts and consolidations, from readings of the chain. Pure."""

import dataclasses
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from gateway.domain.assembly import Costs, Terms, assemble, pack_moves
from gateway.domain.compute_limits import FIXED, ComputeLimits
from gateway.domain.errors import InvalidArgumentError, PreconditionFailedError
from gateway.domain.lookup_tables import NO_TABLES, LookupTables
from gateway.domain.orders import RECIPIENTS_MAX, FeePayment
from gateway.domain.packing import TransactionVersion
from gateway.domain.plans import CostEstimate, FeeRates, Kind, Move, Plan, Skip
from gateway.domain.splits import Split, split_total
from gateway.domain.sweep_packing import pack_sources

COMPUTE_UNITS_PER_TRANSFER: Final = 300
"""Twice what a System transfer uses (150)."""


@dataclasses.dataclass(frozen=True, slots=True)
class PlanInput:
    """What a payout of SOL is made from. `recipient_balances` says what each recipient holds."""

    source_wallet_id: UUID
    source_address: str
    recipient_addresses: Sequence[str]
    recipient_balances: Sequence[int]
    total_lamports: int
    split: Split
    rates: FeeRates
    version: TransactionVersion = TransactionVersion.LEGACY
    lookup_tables: LookupTables = NO_TABLES
    limits: ComputeLimits = FIXED


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """A wallet that is emptied, and what it holds."""

    wallet_id: UUID
    address: str
    balance_lamports: int


@dataclasses.dataclass(frozen=True, slots=True)
class SweepInput:
    """What a consolidation of SOL is made from."""

    sources: Sequence[Source]
    destination: tuple[str, UUID]
    destination_balance: int
    fee_payer: tuple[str, UUID] | None
    fee_payment: FeePayment
    rates: FeeRates
    version: TransactionVersion = TransactionVersion.LEGACY
    lookup_tables: LookupTables = NO_TABLES
    limits: ComputeLimits = FIXED


def plan_distribution(order: PlanInput) -> Plan:
    """Splits the total and packs the transfers into transactions paid by the source.

    Raises InvalidArgumentError for recipients that repeat, are too many or are the source itself,
    TotalTooSmallError for a total under the rent floors, OutOfRangeError if it and its fees exceed
    u64.
    """
    require_recipients(order.recipient_addresses, order.source_address)
    floors = [rent_floor(held, order.rates) for held in order.recipient_balances]
    shares = split_total(order.split, order.total_lamports, floors)
    terms = Terms(
        kind=Kind.DISTRIBUTION,
        rates=order.rates,
        version=order.version,
        lookup_tables=order.lookup_tables,
        limits=order.limits,
        wallets={order.source_address: order.source_wallet_id},
        fee_payer=order.source_address,
        split=order.split,
    )
    moves = [
        Move(order.source_address, address, share, COMPUTE_UNITS_PER_TRANSFER)
        for address, share in zip(order.recipient_addresses, shares, strict=True)
    ]
    costs = Costs(
        paid_lamports=order.total_lamports,
        # A System transfer creates an account with the lamports it brings: no rent on top.
        new_account_count=sum(held == 0 for held in order.recipient_balances),
    )
    return assemble(terms, pack_moves(terms, moves), costs)


def plan_sweep(order: SweepInput) -> Plan:
    """Moves all that the sources hold, down to exactly zero, less the fees that they pay.

    Sources that hold nothing, or that cannot pay a fee which nobody pays for them, are left out
    with the reason. Raises InvalidArgumentError for repeated sources, PreconditionFailedError if
    nothing is left to move.
    """
    wallets, payer = sweep_wallets(
        [(source.address, source.wallet_id) for source in order.sources],
        order.destination[0],
        order.fee_payer,
    )
    terms = Terms(
        kind=Kind.CONSOLIDATION,
        rates=order.rates,
        version=order.version,
        lookup_tables=order.lookup_tables,
        limits=order.limits,
        wallets=wallets,
        fee_payer=payer,
        alone=not payer and order.fee_payment is FeePayment.EACH_SOURCE,
        destination=order.destination,
    )
    held, empty = _holdings(order)
    packed, poor = pack_sources(terms, held)
    if not packed:
        raise PreconditionFailedError(
            "the sources hold nothing that can be moved",
            field="source_wallet_ids",
            reason="INSUFFICIENT_FUNDS",
        )
    moves = [move for batch in packed for move in batch]
    # Any of the transactions may land first.
    least = min(sum(move.amount for move in batch) for batch in packed)
    if least + order.destination_balance < order.rates.rent_floor_lamports:
        raise PreconditionFailedError(
            "the destination would stay under the rent floor: fund it first",
            field="destination_wallet_id",
        )
    used = {payer, *(move.source_address for move in moves)} - {""}
    terms = dataclasses.replace(
        terms, skips=[*empty, *poor], wallets={address: wallets[address] for address in used}
    )
    costs = Costs(new_account_count=int(order.destination_balance == 0))
    return assemble(terms, packed, costs)


def sweep_wallets(
    sources: Sequence[tuple[str, UUID]], destination: str, fee_payer: tuple[str, UUID] | None
) -> tuple[dict[str, UUID], str]:
    """Returns every wallet that may sign, and the payer's address ("" if sources pay).

    Raises InvalidArgumentError for sources that repeat or are the destination, or for a fee payer
    that is a source: what it has to keep for the fees of the others would not be drained.
    """
    addresses = [address for address, _ in sources]
    if not 1 <= len(addresses) <= RECIPIENTS_MAX:
        raise InvalidArgumentError(
            f"sources must be between 1 and {RECIPIENTS_MAX}", field="source_wallet_ids"
        )
    if len(set(addresses)) != len(addresses):
        raise InvalidArgumentError("a source is named twice", field="source_wallet_ids")
    if destination in addresses:
        raise InvalidArgumentError(
            "the destination is among the sources", field="destination_wallet_id"
        )
    wallets = dict(sources)
    if fee_payer is None:
        return wallets, ""
    if fee_payer[0] in wallets:
        raise InvalidArgumentError(
            "the fee payer is among the sources; name none to let sources pay",
            field="fee_payer_wallet_id",
        )
    return {**wallets, fee_payer[0]: fee_payer[1]}, fee_payer[0]


def _holdings(order: SweepInput) -> tuple[list[Move], list[Skip]]:
    """Returns moves of all that the sources hold, and those that hold nothing."""
    moves: list[Move] = []
    skips: list[Skip] = []
    for source in order.sources:
        held = source.balance_lamports
        if held:
            recipient = order.destination[0]
            moves.append(Move(source.address, recipient, held, COMPUTE_UNITS_PER_TRANSFER))
        else:
            skips.append(Skip(source.address, "it holds nothing"))
    return moves, skips


def rent_floor(held_lamports: int, rates: FeeRates) -> int:
    """Returns the least a wallet can be paid: what it lacks to be rent-exempt, and at least 1."""
    return max(1, rates.rent_floor_lamports - held_lamports)


def choose_price(recent_micro_lamports: Sequence[int], floor: int, cap: int) -> int:
    """Returns the median of the recent prices, kept between `floor` and `cap`."""
    ordered = sorted(recent_micro_lamports)
    median = ordered[len(ordered) // 2] if ordered else 0
    return min(max(median, floor), cap)


def require_funds(estimate: CostEstimate, balance_lamports: int) -> None:
    """Returns if the source can pay for the plan; raises PreconditionFailedError otherwise.

    What is left must be nothing or rent-exempt: the runtime refuses a transaction that leaves less.
    """
    left = balance_lamports - estimate.required_lamports
    if left == 0 or left >= estimate.rent_floor_lamports:
        return
    advice = (
        f"it holds {balance_lamports} lamports and needs {estimate.required_lamports}"
        if left < 0
        else f"{left} lamports would be left, under the rent floor {estimate.rent_floor_lamports}"
    )
    raise PreconditionFailedError(
        f"the source cannot pay: {advice}", field="source_wallet_id", reason="INSUFFICIENT_FUNDS"
    )


def require_recipients(addresses: Sequence[str], source: str) -> None:
    """Returns if recipients are 1 to 10,000, each once, none the source; raises otherwise."""
    if not 1 <= len(addresses) <= RECIPIENTS_MAX:
        raise InvalidArgumentError(
            f"recipients must be between 1 and {RECIPIENTS_MAX}", field="recipients"
        )
    if len(set(addresses)) != len(addresses):
        raise InvalidArgumentError("a recipient is named twice", field="recipients")
    if source in addresses:
        raise InvalidArgumentError("the source is among the recipients", field="recipients")
