"""The planner of token payouts, from readings of the chain. Pure."""

import dataclasses
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from gateway.domain import token_programs as programs
from gateway.domain.amounts import U64_MAX
from gateway.domain.assembly import Costs, Terms, assemble, pack_moves
from gateway.domain.compute_limits import FIXED, UNITS_PER_SEARCH, ComputeLimits
from gateway.domain.errors import InvalidArgumentError, OutOfRangeError, PreconditionFailedError
from gateway.domain.instructions import Instruction
from gateway.domain.lookup_tables import NO_TABLES, LookupTables
from gateway.domain.mints import MintTerms, TokenState
from gateway.domain.orders import TransferFee
from gateway.domain.packing import TransactionVersion
from gateway.domain.planner import require_recipients
from gateway.domain.plans import Asset, FeeRates, Kind, Move, Plan
from gateway.domain.splits import Split, split_total

# Compute units for each step: upper bounds of what the programs use (the SPL Token of before
# p-token took 6,200 for a transfer), for plans that cannot be simulated. An account costs the
# search for its address besides.
UNITS_TRANSFER: Final = 10_000
UNITS_CREATE: Final = 30_000
UNITS_CLOSE: Final = 5_000
UNITS_HARVEST: Final = 10_000
UNITS_MEMO: Final = 12_000
DEFAULT_MEMO: Final = "payout"


@dataclasses.dataclass(frozen=True, slots=True)
class Holder:
    """A wallet and a token account of it: its address, and its state if it exists.

    `searches` is how many addresses are tried in vain to derive that of the associated account,
    `held_lamports` what somebody sent there ahead, while there is no account.
    """

    address: str
    account: str
    state: TokenState | None
    searches: int = 0
    held_lamports: int = 0

    def missing_lamports(self, account_rent_lamports: int) -> int:
        """Returns what whoever makes the account has to add to what is there."""
        if self.state is not None:
            return 0
        return max(0, account_rent_lamports - self.held_lamports)


@dataclasses.dataclass(frozen=True, slots=True)
class TokenPlanInput:
    """What a payout of a token is made from. The source pays fees and rent.

    `rent_lamports` is what each account of the mint must hold.
    With `is_funded_later` it need not hold the tokens yet, nor have an account of them.
    """

    source_wallet_id: UUID
    source: Holder
    recipients: Sequence[Holder]
    mint: MintTerms
    total_amount: int
    split: Split
    transfer_fee: TransferFee
    memo: str
    rent_lamports: int
    rates: FeeRates
    is_funded_later: bool = False
    version: TransactionVersion = TransactionVersion.LEGACY
    lookup_tables: LookupTables = NO_TABLES
    limits: ComputeLimits = FIXED


def plan_token_distribution(order: TokenPlanInput) -> Plan:
    """Splits the total and packs transfers, with the accounts that have to be made.

    Raises what `plan_distribution` raises, and PreconditionFailedError for a mint, source or
    recipient whose tokens cannot be moved, before anything is signed.
    """
    require_recipients([holder.address for holder in order.recipients], order.source.address)
    asset = require_movable(order.mint)
    fee_rate = order.mint.fee
    if order.transfer_fee is TransferFee.UNSTATED:
        _require_no_fee(order.mint)
    bears = fee_rate is not None and order.transfer_fee is TransferFee.RECIPIENT
    floor = fee_rate.gross(1) if fee_rate is not None and bears else 1
    shares = split_total(
        order.split,
        order.total_amount,
        [floor] * len(order.recipients),
        field="total_amount",
        unit="base units",
    )
    moves = [
        _payment(order, asset, holder, share)
        for holder, share in zip(order.recipients, shares, strict=True)
    ]
    _require_source(order, sum(move.amount for move in moves))
    created = sum(holder.state is None for holder in order.recipients)
    terms = Terms(
        kind=Kind.DISTRIBUTION,
        rates=order.rates,
        version=order.version,
        lookup_tables=order.lookup_tables,
        limits=order.limits,
        wallets={order.source.address: order.source_wallet_id},
        fee_payer=order.source.address,
        asset=asset,
        split=order.split,
        source_account=order.source.account,
        account_rent_lamports=order.rent_lamports,
    )
    costs = Costs(
        rent_lamports=sum(move.rent_lamports for move in moves),
        new_account_count=created,
        withheld_amount=sum(move.withheld_amount for move in moves),
    )
    return assemble(terms, pack_moves(terms, moves), costs)


def creation(payer: str, holder: Holder, asset: Asset, missing_lamports: int) -> Instruction:
    """Returns the instruction that makes a holder's associated account."""
    return programs.create_idempotent(
        payer,
        holder.account,
        holder.address,
        asset,
        held_lamports=holder.held_lamports,
        missing_lamports=missing_lamports,
    )


def creation_units(holder: Holder) -> int:
    """Returns the bound of what making an associated account uses."""
    return UNITS_CREATE + UNITS_PER_SEARCH * holder.searches


def require_movable(mint: MintTerms) -> Asset:
    """Returns the asset of a mint; raises PreconditionFailedError if its tokens do not move."""
    if mint.refusal:
        raise PreconditionFailedError(mint.refusal, field="mint")
    return Asset(mint.address, mint.program, mint.decimals)


def _require_no_fee(mint: MintTerms) -> None:
    """Raises InvalidArgumentError if the mint takes a fee, or is about to."""
    for rate, when in ((mint.fee, ""), (mint.later_fee, "at a later epoch ")):
        if rate is not None and not rate.is_nil:
            raise InvalidArgumentError(
                f"the mint {when}takes a transfer fee of {rate.basis_points} basis points: "
                "say who bears it",
                field="transfer_fee",
            )


def _payment(order: TokenPlanInput, asset: Asset, holder: Holder, share: int) -> Move:
    steps: list[Instruction] = []
    units = UNITS_TRANSFER
    missing = holder.missing_lamports(order.rent_lamports)
    if holder.state is None:
        require_thawed_creation(order.mint, "recipients")
        steps.append(creation(order.source.address, holder, asset, missing))
        units += creation_units(holder)
    else:
        require_receiving(holder, "recipients")
        if holder.state.requires_memo:
            steps.append(programs.memo(order.memo or DEFAULT_MEMO))
            units += UNITS_MEMO
    rate, amount = order.mint.fee, share
    fee = None
    if rate is not None:
        amount = rate.gross(share) if order.transfer_fee is TransferFee.SOURCE else share
        if amount > U64_MAX:
            raise OutOfRangeError(
                "a share and the mint's transfer fee exceed u64", field="total_amount"
            )
        fee = rate.of(amount)
    steps.append(
        programs.transfer_checked(
            order.source.account, holder.account, order.source.address, asset, amount, fee
        )
    )
    return Move(
        order.source.address, holder.address, amount, units, tuple(steps), fee or 0, missing
    )


def _require_source(order: TokenPlanInput, total: int) -> None:
    """Raises PreconditionFailedError if the source cannot give so much."""
    source, field = order.source, "source_wallet_id"
    if source.state is not None and source.state.is_frozen:
        raise PreconditionFailedError("the source's token account is frozen", field=field)
    if source.state is not None and source.state.owner != source.address:
        raise PreconditionFailedError(
            "the source's token account belongs to somebody else", field=field
        )
    if order.is_funded_later:
        return
    if source.state is None:
        raise PreconditionFailedError(
            "the source has no account of this token", field=field, reason="INSUFFICIENT_FUNDS"
        )
    if source.state.amount < total:
        raise PreconditionFailedError(
            f"the source holds {source.state.amount} base units and needs {total}",
            field=field,
            reason="INSUFFICIENT_FUNDS",
        )


def require_receiving(holder: Holder, field: str) -> None:
    """Returns if an account, if there is one, can receive; raises PreconditionFailedError."""
    if holder.state is None:
        return
    if holder.state.is_frozen:
        raise PreconditionFailedError(
            f"the token account of {holder.address} is frozen", field=field
        )
    if holder.state.owner != holder.address:
        raise PreconditionFailedError(
            f"the token account of {holder.address} belongs to somebody else", field=field
        )
    if holder.state.refuses_plain_credits:
        raise PreconditionFailedError(
            f"the token account of {holder.address} takes confidential transfers only", field=field
        )


def require_thawed_creation(mint: MintTerms, field: str) -> None:
    """Returns if a new account of the mint can receive; raises PreconditionFailedError."""
    if mint.is_frozen_by_default:
        raise PreconditionFailedError(
            "the mint freezes new accounts: a recipient without one cannot receive", field=field
        )
