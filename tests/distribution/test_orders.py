"""Requests become orders, or name the field; refusals carry the rule."""

from uuid import UUID

import pytest
from google.rpc import error_details_pb2

from gateway.api import distribution_orders as orders
from gateway.domain.errors import InvalidArgumentError, PolicyDeniedError
from gateway.domain.orders import ClosingMode, FeePayment, TransferFee
from gateway.errors import to_status
from solward.gateway.v1 import distribution_service_pb2 as pb

A, B = str(UUID(int=1)), str(UUID(int=2))
MINT = "So11111111111111111111111111111111111111112"
U64_MAX = 2**64 - 1


def payout(**changes: object) -> pb.CreateDistributionRequest:
    """A payout to one address."""
    request: dict[str, object] = {
        "source_wallet_id": A,
        "recipients": pb.Recipients(addresses=pb.RecipientAddresses(addresses=[MINT])),
        "total_lamports": 5,
        "split": pb.Split(even=pb.EvenSplit()),
    }
    return pb.CreateDistributionRequest(**(request | changes))  # type: ignore[arg-type]  # a dict


def test_totals_are_said_once() -> None:
    """SOL's total may stand in either field, a token's in one; up to u64's end, unchanged."""
    assert orders.payout(payout()).total_amount == 5
    assert orders.payout(payout(total_lamports=0, total_amount=U64_MAX)).total_amount == U64_MAX
    token = payout(total_lamports=0, total_amount=U64_MAX, mint=MINT, transfer_fee=2)
    order = orders.payout(token)
    assert (order.total_amount, order.mint) == (U64_MAX, MINT)
    assert order.transfer_fee is TransferFee.SOURCE


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"total_amount": 5}, "total_amount"),
        ({"mint": MINT}, "total_amount"),
        ({"mint": "nope", "total_lamports": 0, "total_amount": 5}, "mint"),
        ({"transfer_fee": 9}, "transfer_fee"),
        ({"memo": "x" * 65}, "memo"),
        ({"memo": "é"}, "memo"),
    ],
)
def test_bad_payouts_name_the_field(changes: dict[str, object], field: str) -> None:
    """What is wrong is said with the field's name."""
    with pytest.raises(InvalidArgumentError) as caught:
        orders.payout(payout(**changes))
    assert caught.value.field == field


def test_an_estimate_is_of_the_same_order() -> None:
    """What a payout says, memo included, an estimate says and means; a bad memo is refused."""
    create = payout(mint=MINT, total_lamports=0, total_amount=5, transfer_fee=1, memo="rent, May")
    estimate = pb.EstimateCostRequest(
        source_wallet_id=create.source_wallet_id,
        recipients=create.recipients,
        total_amount=create.total_amount,
        split=create.split,
        mint=create.mint,
        transfer_fee=create.transfer_fee,
        memo=create.memo,
    )
    assert orders.estimated(estimate) == orders.payout(create)
    estimate.memo = "x" * 65
    with pytest.raises(InvalidArgumentError) as caught:
        orders.estimated(estimate)
    assert caught.value.field == "memo"


def test_consolidations_and_closings() -> None:
    """Absent enums mean the careful choice; an unknown value is refused."""
    request = pb.CreateConsolidationRequest(source_wallet_ids=[A], destination_wallet_id=B)
    order = orders.consolidation(request)
    assert order.fee_payer_wallet_id is None
    assert order.fee_payment is FeePayment.EACH_SOURCE
    request.fee_payer_wallet_id = B
    assert orders.consolidation(request).fee_payer_wallet_id == UUID(B)
    closing = pb.CloseEmptyAccountsRequest(wallet_ids=[A], destination_wallet_id=B)
    assert orders.closing(closing).mode is ClosingMode.CLOSE
    closing.mode = 7  # type: ignore[assignment]  # what an open enum lets through
    with pytest.raises(InvalidArgumentError, match="mode"):
        orders.closing(closing)


def test_a_denied_plan_names_its_rule() -> None:
    """The status is PERMISSION_DENIED and its ErrorInfo carries `rule`."""
    status = to_status(PolicyDeniedError("no", rule="desk/destinations: vault"))
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    assert (status.code, info.reason) == (7, "POLICY_DENIED")
    assert info.metadata["rule"] == "desk/destinations: vault"
