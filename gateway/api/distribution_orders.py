"""Orders, from what requests say."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from gateway.api import distribution_messages as messages
from gateway.api import fields
from gateway.domain.addresses import require_address
from gateway.domain.errors import InvalidArgumentError
from gateway.domain.lookup_tables import TABLES_MAX
from gateway.domain.orders import (
    RECIPIENTS_MAX,
    ClosingMode,
    ClosingOrder,
    ConsolidationOrder,
    DistributionOrder,
    FeePayment,
    RecipientAddresses,
    RecipientIds,
    RecipientRange,
    Recipients,
    TransferFee,
)
from gateway.domain.outcomes import Verdict
from gateway.domain.requests import require_uuid
from gateway.domain.resolutions import Declaration
from gateway.domain.splits import SEED_BYTES, EvenSplit, RandomSplit, Split, WeightedSplit
from gateway.domain.wallets import require_index_range
from solward.gateway.v1 import distribution_service_pb2 as pb

T = TypeVar("T")
_MEMO_CHARACTERS_MAX: Final = 64
_FEES: Final[Mapping[int, TransferFee]] = {
    pb.TRANSFER_FEE_UNSPECIFIED: TransferFee.UNSTATED,
    pb.TRANSFER_FEE_RECIPIENT: TransferFee.RECIPIENT,
    pb.TRANSFER_FEE_SOURCE: TransferFee.SOURCE,
}
_PAYMENTS: Final[Mapping[int, FeePayment]] = {
    pb.CreateConsolidationRequest.FEE_PAYMENT_UNSPECIFIED: FeePayment.EACH_SOURCE,
    pb.CreateConsolidationRequest.FEE_PAYMENT_EACH_SOURCE: FeePayment.EACH_SOURCE,
    pb.CreateConsolidationRequest.FEE_PAYMENT_FIRST_SOURCE: FeePayment.FIRST_SOURCE,
}
_MODES: Final[Mapping[int, ClosingMode]] = {
    pb.CloseEmptyAccountsRequest.MODE_UNSPECIFIED: ClosingMode.CLOSE,
    pb.CloseEmptyAccountsRequest.MODE_CLOSE: ClosingMode.CLOSE,
    pb.CloseEmptyAccountsRequest.MODE_RECLAIM: ClosingMode.RECLAIM,
    pb.CloseEmptyAccountsRequest.MODE_CLOSE_AND_RECLAIM: ClosingMode.CLOSE_AND_RECLAIM,
}

_VERDICTS: Final[Mapping[int, Verdict]] = {
    number: verdict for verdict, number in messages.VERDICTS.items()
}


def payout(request: pb.CreateDistributionRequest) -> DistributionOrder:
    """Reads a payout."""
    return DistributionOrder(
        require_uuid(request.source_wallet_id, "source_wallet_id"),
        _recipients(request.recipients),
        _total(request),
        _split(request.split),
        _mint(request.mint),
        _known(_FEES, request.transfer_fee, "transfer_fee"),
        _memo(request.memo),
        _tables(request.lookup_table_addresses),
    )


def estimated(request: pb.EstimateCostRequest) -> DistributionOrder:
    """Reads a payout whose cost is asked for; the split may be missing."""
    return DistributionOrder(
        require_uuid(request.source_wallet_id, "source_wallet_id"),
        _recipients(request.recipients),
        _total(request),
        _split(request.split) if request.split.WhichOneof("kind") else EvenSplit(),
        _mint(request.mint),
        _known(_FEES, request.transfer_fee, "transfer_fee"),
        _memo(request.memo),
        _tables(request.lookup_table_addresses),
    )


def consolidation(request: pb.CreateConsolidationRequest) -> ConsolidationOrder:
    """Reads a consolidation."""
    payer = request.fee_payer_wallet_id
    sources = fields.uuids(request.source_wallet_ids, "source_wallet_ids", RECIPIENTS_MAX)
    return ConsolidationOrder(
        tuple(sources),
        require_uuid(request.destination_wallet_id, "destination_wallet_id"),
        require_uuid(payer, "fee_payer_wallet_id") if payer else None,
        _known(_PAYMENTS, request.fee_payment, "fee_payment"),
        _mint(request.mint),
        _tables(request.lookup_table_addresses),
    )


def closing(request: pb.CloseEmptyAccountsRequest) -> ClosingOrder:
    """Reads a closing."""
    wallets = fields.uuids(request.wallet_ids, "wallet_ids", RECIPIENTS_MAX)
    return ClosingOrder(
        tuple(wallets),
        require_uuid(request.destination_wallet_id, "destination_wallet_id"),
        _known(_MODES, request.mode, "mode"),
        _tables(request.lookup_table_addresses),
    )


def _tables(addresses: Sequence[str]) -> tuple[str, ...]:
    field = "lookup_table_addresses"
    if len(addresses) > TABLES_MAX:
        raise InvalidArgumentError(f"{field} must name at most {TABLES_MAX}", field=field)
    found = tuple(
        require_address(address, f"{field}[{place}]") for place, address in enumerate(addresses)
    )
    if len(set(found)) != len(found):
        raise InvalidArgumentError("name each lookup table once", field=field)
    return found


def declaration(request: pb.ResolveUnknownRequest, peer: str) -> Declaration:
    """Reads what an operator declares about a transaction."""
    verdict = request.verdict
    return Declaration(
        request.transaction_signature,
        _known(_VERDICTS, verdict, "verdict"),
        request.reason,
        request.operator,
        peer,
    )


def _total(request: pb.CreateDistributionRequest | pb.EstimateCostRequest) -> int:
    """Returns the total in base units, which a request says in one of two fields."""
    if request.total_amount and request.total_lamports:
        raise InvalidArgumentError(
            "give total_lamports or total_amount, not both", field="total_amount"
        )
    if request.mint and not request.total_amount:
        raise InvalidArgumentError("a token's total is in total_amount", field="total_amount")
    return request.total_amount or request.total_lamports


def _mint(text: str) -> str:
    return require_address(text, "mint") if text else ""


def _memo(text: str) -> str:
    if len(text) > _MEMO_CHARACTERS_MAX or not (text.isascii() and text.isprintable()):
        raise InvalidArgumentError(
            f"memo must be at most {_MEMO_CHARACTERS_MAX} printable ASCII characters", field="memo"
        )
    return text


def _known(table: Mapping[int, T], value: int, field: str) -> T:
    if value not in table:
        raise InvalidArgumentError(f"{field} has no such value", field=field)
    return table[value]


def _recipients(value: pb.Recipients) -> Recipients:
    kind = value.WhichOneof("kind")
    if kind == "wallet_ids":
        ids = fields.uuids(value.wallet_ids.ids, "recipients.wallet_ids.ids", RECIPIENTS_MAX)
        return RecipientIds(tuple(ids))
    if kind == "addresses":
        return RecipientAddresses(tuple(value.addresses.addresses))
    if kind == "range":
        return _range(value.range)
    raise fields.one_of_missing("recipients.wallet_ids", "recipients.addresses", "recipients.range")


def _range(value: pb.RecipientRange) -> RecipientRange:
    field = "recipients.range"
    master_id = require_uuid(value.master_wallet_id, f"{field}.master_wallet_id")
    try:
        require_index_range(value.first_index, value.count)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(error.message, field=f"{field}.{error.field}") from None
    return RecipientRange(master_id, value.first_index, value.count)


def _split(value: pb.Split) -> Split:
    kind = value.WhichOneof("kind")
    if kind == "even":
        return EvenSplit()
    if kind == "random":
        if value.random.seed and len(value.random.seed) != SEED_BYTES:
            raise InvalidArgumentError(
                f"split.random.seed must be {SEED_BYTES} bytes", field="split.random.seed"
            )
        return RandomSplit(value.random.seed)
    if kind == "weighted":
        return WeightedSplit(tuple(value.weighted.weights))
    raise fields.one_of_missing("split.even", "split.random", "split.weighted")
