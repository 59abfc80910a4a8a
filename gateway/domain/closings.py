"""The planner of closings: empty token accounts closed, excess rent withdrawn. Pure."""

import dataclasses
from collections.abc import Mapping, Sequence
from uuid import UUID

from gateway.domain import token_programs as programs
from gateway.domain.assembly import Costs, Terms, assemble, pack_moves
from gateway.domain.compute_limits import FIXED, ComputeLimits
from gateway.domain.errors import PreconditionFailedError
from gateway.domain.lookup_tables import NO_TABLES, LookupTables
from gateway.domain.mints import TokenState
from gateway.domain.orders import ClosingMode
from gateway.domain.packing import TransactionVersion
from gateway.domain.plans import FeeRates, Kind, Move, Plan, Skip
from gateway.domain.token_planner import UNITS_CLOSE, UNITS_HARVEST


@dataclasses.dataclass(frozen=True, slots=True)
class HeldAccount:
    """A token account of a wallet. `state` is None if it did not decode."""

    address: str
    owner: str
    state: TokenState | None


@dataclasses.dataclass(frozen=True, slots=True)
class ClosingInput:
    """What a closing is made from. `rent_floors` says what an account of a size must hold."""

    accounts: Sequence[HeldAccount]
    wallets: Mapping[str, UUID]
    destination: tuple[str, UUID]
    mode: ClosingMode
    rent_floors: Mapping[int, int]
    rates: FeeRates
    version: TransactionVersion = TransactionVersion.LEGACY
    lookup_tables: LookupTables = NO_TABLES
    limits: ComputeLimits = FIXED


def plan_closing(order: ClosingInput) -> Plan:
    """Closes empty accounts and withdraws excess rent, as the mode says, to the destination.

    The destination pays the fees. What is left out has a reason. Raises PreconditionFailedError if
    nothing is left.
    """
    moves: list[Move] = []
    skips: list[Skip] = []
    for account in sorted(order.accounts, key=lambda item: (item.owner, item.address)):
        found = _move(order, account)
        if isinstance(found, Move):
            moves.append(found)
        elif found:
            skips.append(Skip(account.address, found))
    if not moves:
        raise PreconditionFailedError(
            "there is nothing to close or withdraw", field="wallet_ids", reason="WRONG_STATE"
        )
    payer, payer_id = order.destination
    used = {move.source_address for move in moves}
    terms = Terms(
        kind=Kind.CLOSING,
        rates=order.rates,
        version=order.version,
        lookup_tables=order.lookup_tables,
        limits=order.limits,
        wallets={payer: payer_id, **{address: order.wallets[address] for address in used}},
        fee_payer=payer,
        destination=order.destination,
        skips=skips,
    )
    refunds = sum(move.amount for move in moves)
    return assemble(terms, pack_moves(terms, moves), Costs(refund_lamports=refunds))


def _move(order: ClosingInput, account: HeldAccount) -> Move | str:
    """Returns what is done with an account, or why nothing is ("" where nothing was asked)."""
    state = account.state
    if state is None:
        return "it is no token account that is understood"
    reason = _unclosable(account.owner, state)
    if order.mode is not ClosingMode.RECLAIM and not reason:
        return _close(order, account, state)
    if order.mode is ClosingMode.CLOSE:
        return reason
    excess = state.lamports - order.rent_floors[state.data_bytes]
    if state.is_native:
        return "native: its lamports are its balance"
    if state.owner != account.owner:
        return "it belongs to somebody else"
    if excess <= 0:
        return reason if order.mode is ClosingMode.CLOSE_AND_RECLAIM else "it holds no excess rent"
    step = programs.withdraw_excess_lamports(
        account.address, order.destination[0], account.owner, state.program
    )
    return Move(account.owner, order.destination[0], excess, UNITS_CLOSE, (step,))


def _unclosable(owner: str, state: TokenState) -> str:
    """Returns why an account cannot be closed, "" if it can."""
    if state.is_native and state.amount:
        return "native: it holds wrapped SOL"
    if state.amount:
        return "it holds tokens"
    if state.owner != owner:
        return "it belongs to somebody else"
    if state.is_frozen:
        return "frozen"
    if state.close_authority not in {"", owner}:
        return "foreign close authority"
    if state.delegate:
        return "delegated"
    if state.is_confidential:
        return "it may hold a confidential balance"
    return ""


def _close(order: ClosingInput, account: HeldAccount, state: TokenState) -> Move:
    steps = []
    units = UNITS_CLOSE
    if state.withheld_amount:
        # Fees withheld in it would make the close fail (custom error 35): they go to the mint.
        steps.append(programs.harvest_withheld(state.mint, account.address))
        units += UNITS_HARVEST
    steps.append(
        programs.close_account(account.address, order.destination[0], account.owner, state.program)
    )
    return Move(account.owner, order.destination[0], state.lamports, units, tuple(steps))
