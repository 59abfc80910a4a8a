"""The planner of token consolidations, from readings of the chain. Pure."""

import dataclasses
from collections.abc import Mapping, Sequence
from uuid import UUID

from gateway.domain import token_programs as programs
from gateway.domain.assembly import Costs, Terms, assemble, pack_moves
from gateway.domain.compute_limits import FIXED, ComputeLimits
from gateway.domain.errors import PreconditionFailedError
from gateway.domain.instructions import Instruction
from gateway.domain.lookup_tables import NO_TABLES, LookupTables
from gateway.domain.mints import MintTerms
from gateway.domain.packing import TransactionVersion
from gateway.domain.plans import Asset, FeeRates, Kind, Move, Plan, Skip
from gateway.domain.token_planner import (
    DEFAULT_MEMO,
    UNITS_CLOSE,
    UNITS_HARVEST,
    UNITS_MEMO,
    UNITS_TRANSFER,
    Holder,
    creation,
    creation_units,
    require_movable,
    require_receiving,
    require_thawed_creation,
)


@dataclasses.dataclass(frozen=True, slots=True)
class TokenSweepInput:
    """What a consolidation of a token is made from. Rent of closed accounts goes to the payer.

    `rent_lamports` is what each account of the mint must hold.
    `sources` has each account of each source; one without an account says that there is none.
    """

    sources: Sequence[Holder]
    wallets: Mapping[str, UUID]
    destination: Holder
    destination_wallet_id: UUID
    fee_payer: str
    mint: MintTerms
    rent_lamports: int
    rates: FeeRates
    version: TransactionVersion = TransactionVersion.LEGACY
    lookup_tables: LookupTables = NO_TABLES
    limits: ComputeLimits = FIXED


def plan_token_sweep(order: TokenSweepInput) -> Plan:
    """Moves all that the sources hold of a token and closes their accounts, into one account.

    Accounts without tokens, frozen, or that somebody else may close, are left out with the reason.
    A delegate does not hinder the owner: delegated accounts are emptied and closed. Raises
    PreconditionFailedError if nothing is left, or the mint does not allow it.
    """
    asset = require_movable(order.mint)
    prologue: tuple[Instruction, ...] = ()
    missing = order.destination.missing_lamports(order.rent_lamports)
    if order.destination.state is None:
        require_thawed_creation(order.mint, "destination_wallet_id")
        prologue = (creation(order.fee_payer, order.destination, asset, missing),)
    else:
        require_receiving(order.destination, "destination_wallet_id")
    moves: list[Move] = []
    skips: list[Skip] = []
    for holder in order.sources:
        reason = _unsweepable(holder)
        if reason:
            skips.append(Skip(holder.account or holder.address, reason))
        else:
            moves.append(_sweep(order, asset, holder))
    if not moves:
        raise PreconditionFailedError(
            "the sources hold nothing that can be moved",
            field="source_wallet_ids",
            reason="INSUFFICIENT_FUNDS",
        )
    used = {order.fee_payer, *(move.source_address for move in moves)}
    terms = Terms(
        kind=Kind.CONSOLIDATION,
        rates=order.rates,
        version=order.version,
        lookup_tables=order.lookup_tables,
        limits=order.limits,
        wallets={address: order.wallets[address] for address in used},
        fee_payer=order.fee_payer,
        asset=asset,
        destination=(order.destination.address, order.destination_wallet_id),
        prologue=prologue,
        account_rent_lamports=order.rent_lamports,
        prologue_units=creation_units(order.destination) if prologue else 0,
        skips=skips,
    )
    costs = Costs(
        rent_lamports=missing,
        new_account_count=len(prologue),
        refund_lamports=sum(
            # Of wrapped SOL the balance is among the lamports, and goes where the tokens go.
            holder.state.lamports - holder.state.amount * holder.state.is_native
            for holder in order.sources
            if holder.state is not None and not _unsweepable(holder)
        ),
        withheld_amount=sum(move.withheld_amount for move in moves),
    )
    return assemble(terms, pack_moves(terms, moves), costs)


def _sweep(order: TokenSweepInput, asset: Asset, holder: Holder) -> Move:
    if holder.state is None:
        raise ValueError("a source without an account")
    rate = order.mint.fee
    fee = None if rate is None else rate.of(holder.state.amount)
    steps = [
        programs.transfer_checked(
            holder.account,
            order.destination.account,
            holder.address,
            asset,
            holder.state.amount,
            fee,
        )
    ]
    units = UNITS_TRANSFER + UNITS_CLOSE
    if holder.state.withheld_amount:
        units += UNITS_HARVEST
        steps.append(programs.harvest_withheld(asset.mint, holder.account))
    steps.append(
        programs.close_account(holder.account, order.fee_payer, holder.address, asset.token_program)
    )
    if order.destination.state is not None and order.destination.state.requires_memo:
        units += UNITS_MEMO
        steps.insert(0, programs.memo(DEFAULT_MEMO))
    return Move(
        holder.address,
        order.destination.address,
        holder.state.amount,
        units,
        tuple(steps),
        fee or 0,
    )


def _unsweepable(holder: Holder) -> str:
    """Returns why a source is left out, "" if it is not."""
    state = holder.state
    if state is None:
        return "it has no token account"
    if state.owner != holder.address:
        return "it belongs to somebody else"
    if not state.amount:
        return "it is empty"
    if state.is_frozen:
        return "frozen"
    if state.is_confidential:
        return "it may hold a confidential balance"
    if state.close_authority not in {"", holder.address}:
        return "foreign close authority"
    return ""
