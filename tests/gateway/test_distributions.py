"""DistributionService through gRPC: what is refused, what a plan says, and approval by etag."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from solders.pubkey import Pubkey

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from tests.gateway.support import Gateway, new_id, refusal_of, stream_refusal
from tests.support.svm_rpc import SvmRpc

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
Order = dict[str, Any]


@pytest.fixture
def order(wallets: list[wallet_pb.Wallet]) -> Order:
    """An order that is right: 20 million lamports, evenly, from the first wallet to the others."""
    recipients = pb.RecipientIds(ids=[wallet.id for wallet in wallets[1:]])
    return {
        "source_wallet_id": wallets[0].id,
        "recipients": pb.Recipients(wallet_ids=recipients),
        "total_lamports": 20_000_001,
        "split": pb.Split(even=pb.EvenSplit()),
    }


def create(order: Order) -> pb.CreateDistributionRequest:
    """A request to plan it."""
    return pb.CreateDistributionRequest(request_id=new_id(), **order)


def to(**kind: Any) -> Order:
    """Other recipients."""
    return {"recipients": pb.Recipients(**kind)}


def split(**kind: Any) -> Order:
    """Another split."""
    return {"split": pb.Split(**kind)}


BAD: list[tuple[Callable[[str], Order], str, grpc.StatusCode, str]] = [
    (lambda _: {"source_wallet_id": "7"}, "source_wallet_id", INVALID, "INVALID_FIELD"),
    (
        lambda _: {"source_wallet_id": UNKNOWN_ID},
        "source_wallet_id",
        NOT_FOUND,
        "WALLET_NOT_FOUND",
    ),
    (lambda _: {"recipients": None}, "recipients.wallet_ids", INVALID, "INVALID_FIELD"),
    (lambda _: {"split": None}, "split.even", INVALID, "INVALID_FIELD"),
    (
        lambda _: to(wallet_ids=pb.RecipientIds()),
        "recipients.wallet_ids.ids",
        INVALID,
        "INVALID_FIELD",
    ),
    (
        lambda _: to(wallet_ids=pb.RecipientIds(ids=[UNKNOWN_ID, "no"])),
        "recipients.wallet_ids.ids[1]",
        INVALID,
        "INVALID_FIELD",
    ),
    (
        lambda _: to(wallet_ids=pb.RecipientIds(ids=[UNKNOWN_ID])),
        "recipients.wallet_ids.ids[0]",
        NOT_FOUND,
        "WALLET_NOT_FOUND",
    ),
    (
        lambda _: to(addresses=pb.RecipientAddresses(addresses=["nonsense"])),
        "recipients.addresses.addresses[0]",
        INVALID,
        "INVALID_FIELD",
    ),
    (
        lambda master: to(range=pb.RecipientRange(master_wallet_id=master, count=0)),
        "recipients.range.count",
        INVALID,
        "INVALID_FIELD",
    ),
    (
        lambda master: to(range=pb.RecipientRange(master_wallet_id=master, count=10_001)),
        "recipients.range.count",
        INVALID,
        "INVALID_FIELD",
    ),
    (
        lambda master: to(
            range=pb.RecipientRange(master_wallet_id=master, first_index=-1, count=1)
        ),
        "recipients.range.first_index",
        INVALID,
        "INVALID_FIELD",
    ),
    (
        lambda master: to(range=pb.RecipientRange(master_wallet_id=master, count=50)),
        "recipients.range",
        grpc.StatusCode.FAILED_PRECONDITION,
        "WRONG_STATE",
    ),
    (lambda _: {"total_lamports": 0}, "total_lamports", INVALID, "BELOW_RENT_FLOOR"),
    (lambda _: {"total_lamports": 1_000}, "total_lamports", INVALID, "BELOW_RENT_FLOOR"),
    (
        lambda _: split(weighted=pb.WeightedSplit(weights=[1, 2, 3])),
        "split.weighted.weights",
        INVALID,
        "INVALID_FIELD",
    ),
    (
        lambda _: split(weighted=pb.WeightedSplit(weights=[0, 1])),
        "split.weighted.weights",
        INVALID,
        "INVALID_FIELD",
    ),
    (
        lambda _: split(random=pb.RandomSplit(seed=b"short")),
        "split.random.seed",
        INVALID,
        "INVALID_FIELD",
    ),
]


async def test_a_bad_order_names_its_field(
    gateway: Gateway, order: Order, master: master_pb.MasterWallet
) -> None:
    """Each mistake has its code, reason and field; the good order is then planned."""
    for change, field, code, reason in BAD:
        bad = create({**order, **change(master.id)})
        refusal = await refusal_of(gateway.distributions.CreateDistribution(bad))
        assert (field, code, reason) == (refusal.metadata["field"], refusal.code, refusal.reason)
        assert (field,) == refusal.fields
    good = await gateway.distributions.CreateDistribution(create(order))
    assert good.distribution.state == pb.Distribution.STATE_PLANNED


async def test_a_plan_is_frozen_once_for_one_request_id(gateway: Gateway, order: Order) -> None:
    """The same request returns the same plan; with another body it is refused."""
    request = create(order)
    first = (await gateway.distributions.CreateDistribution(request)).distribution
    again = (await gateway.distributions.CreateDistribution(request)).distribution
    assert first == again
    transfers = (
        await gateway.distributions.ListTransfers(pb.ListTransfersRequest(distribution_id=first.id))
    ).transfers
    assert [10_000_001, 10_000_000] == [item.amount_lamports for item in transfers]
    assert first.total_lamports + first.estimate.base_fee_lamports <= (
        first.estimate.required_lamports
    )
    request.total_lamports += 1
    refusal = await refusal_of(gateway.distributions.CreateDistribution(request))
    assert (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED") == (refusal.code, refusal.reason)


async def test_validate_only_and_estimate_store_nothing(gateway: Gateway, order: Order) -> None:
    """Both say what it would cost, and there is no distribution afterwards."""
    request = create(order)
    request.validate_only = True
    plan = (await gateway.distributions.CreateDistribution(request)).distribution
    assert ("", 2, 1) == (plan.id, plan.transfer_count, plan.transaction_count)
    estimate_request = pb.EstimateCostRequest(**{**order, "split": None})
    estimate = (await gateway.distributions.EstimateCost(estimate_request)).estimate
    assert plan.estimate == estimate
    listed = await gateway.distributions.ListDistributions(pb.ListDistributionsRequest())
    assert [] == list(listed.distributions)


async def test_only_the_approved_plan_is_executed(
    gateway: Gateway, order: Order, svm_rpc: SvmRpc, wallets: list[wallet_pb.Wallet]
) -> None:
    """A wrong etag is ABORTED, too little money FAILED_PRECONDITION; neither signs anything."""
    made = (await gateway.distributions.CreateDistribution(create(order))).distribution
    request = pb.ExecuteDistributionRequest(
        distribution_id=made.id, etag="other", session_token=b"t" * 32
    )
    refusal = await refusal_of(gateway.distributions.ExecuteDistribution(request))
    assert (grpc.StatusCode.ABORTED, "ETAG_MISMATCH", ("etag",)) == (
        refusal.code,
        refusal.reason,
        refusal.fields,
    )
    request.etag = made.etag
    refusal = await refusal_of(gateway.distributions.ExecuteDistribution(request))
    assert (grpc.StatusCode.FAILED_PRECONDITION, "INSUFFICIENT_FUNDS") == (
        refusal.code,
        refusal.reason,
    )
    assert svm_rpc.count("sendTransaction") == 0
    svm_rpc.chain.fund(Pubkey.from_string(wallets[0].address), 10**9)
    started = (await gateway.distributions.ExecuteDistribution(request)).distribution
    assert started.state == pb.Distribution.STATE_EXECUTING


async def test_cancelling_a_plan(gateway: Gateway, order: Order) -> None:
    """A plan that was never executed is cancelled at once, and cannot be executed any more."""
    made = (await gateway.distributions.CreateDistribution(create(order))).distribution
    cancel = pb.CancelDistributionRequest(distribution_id=made.id)
    cancelled = (await gateway.distributions.CancelDistribution(cancel)).distribution
    assert cancelled.state == pb.Distribution.STATE_CANCELLED
    assert cancelled.transfer_counts.cancelled_count == 2
    execute = pb.ExecuteDistributionRequest(
        distribution_id=made.id, etag=made.etag, session_token=b"t" * 32
    )
    refusal = await refusal_of(gateway.distributions.ExecuteDistribution(execute))
    assert (grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE") == (refusal.code, refusal.reason)


async def test_an_unknown_distribution(gateway: Gateway) -> None:
    """NOT_FOUND, naming the field, from every call that takes one, the stream included."""
    ours = gateway.distributions
    calls = [
        refusal_of(ours.GetDistribution(pb.GetDistributionRequest(distribution_id=UNKNOWN_ID))),
        refusal_of(ours.ListTransfers(pb.ListTransfersRequest(distribution_id=UNKNOWN_ID))),
        refusal_of(ours.PauseDistribution(pb.PauseDistributionRequest(distribution_id=UNKNOWN_ID))),
        refusal_of(
            ours.CancelDistribution(pb.CancelDistributionRequest(distribution_id=UNKNOWN_ID))
        ),
        stream_refusal(
            ours.WatchDistribution(pb.WatchDistributionRequest(distribution_id=UNKNOWN_ID))
        ),
    ]
    for call in calls:
        refusal = await call
        assert (NOT_FOUND, "DISTRIBUTION_NOT_FOUND") == (refusal.code, refusal.reason)
        assert refusal.fields == ("distribution_id",)
