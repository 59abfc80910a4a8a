"""ResolveUnknown through gRPC: what it asks for, and what a resolved distribution shows."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import grpc
import pytest
from solders.pubkey import Pubkey

from gateway.domain.attempts import AttemptMove, NewAttempt
from gateway.domain.states import AttemptState, DistributionState
from solward.gateway.v1 import distribution_service_pb2 as pb
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from tests.gateway.support import Gateway, new_id, refusal_of
from tests.support.svm_rpc import SvmRpc

SIGNATURE = "5" * 87
# One signature, one account, no instruction.
WIRE = b"\x01" + bytes(64) + b"\x01\x00\x00\x01" + b"\x07" * 32 + bytes(32) + b"\x00"
INVALID, WRONG = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION
Change = Callable[[pb.ResolveUnknownRequest], Any]


@pytest.fixture
async def parked(
    gateway: Gateway, wallets: list[wallet_pb.Wallet], svm_rpc: SvmRpc
) -> pb.Distribution:
    """A distribution whose only transaction is UNKNOWN."""
    recipients = pb.RecipientIds(ids=[wallet.id for wallet in wallets[1:]])
    create = pb.CreateDistributionRequest(
        request_id=new_id(),
        source_wallet_id=wallets[0].id,
        recipients=pb.Recipients(wallet_ids=recipients),
        total_lamports=20_000_000,
        split=pb.Split(even=pb.EvenSplit()),
    )
    made = (await gateway.distributions.CreateDistribution(create)).distribution
    distribution_id, worker = UUID(made.id), UUID(int=7)
    store = gateway.workers.engine._store
    svm_rpc.chain.fund(Pubkey(b"\x07" * 32), 10**9)
    async with store.transaction() as unit:
        await unit.distributions.set_state(distribution_id, DistributionState.EXECUTING)
        await unit.distributions.claim(distribution_id, worker, 60, 1)
    attempt = NewAttempt(0, SIGNATURE, WIRE, "1" * 32, 350, 1_200)
    async with store.transaction() as unit:
        assert await unit.distributions.store_attempts(distribution_id, worker, [attempt], 60)
    async with store.transaction() as unit:
        move = AttemptMove(SIGNATURE, AttemptState.UNKNOWN, "nobody knows it")
        await unit.distributions.move_attempts(distribution_id, [move])
        await unit.distributions.settle(distribution_id)
    get = pb.GetDistributionRequest(distribution_id=made.id)
    found: pb.Distribution = (await gateway.distributions.GetDistribution(get)).distribution
    return found


def request(parked: pb.Distribution) -> pb.ResolveUnknownRequest:
    """A declaration that is right."""
    return pb.ResolveUnknownRequest(
        distribution_id=parked.id,
        etag=parked.etag,
        transaction_signature=SIGNATURE,
        transaction_signature_again=SIGNATURE,
        verdict=pb.Resolution.VERDICT_GIVE_UP,
        reason="two explorers do not know it",
        operator="olga",
    )


BAD: list[tuple[Change, grpc.StatusCode, str]] = [
    (lambda bad: bad.ClearField("distribution_id"), INVALID, "distribution_id"),
    (lambda bad: bad.ClearField("etag"), grpc.StatusCode.ABORTED, "etag"),
    (lambda bad: bad.ClearField("verdict"), INVALID, "verdict"),
    (lambda bad: bad.ClearField("reason"), INVALID, "reason"),
    (lambda bad: bad.ClearField("operator"), INVALID, "operator"),
    (
        lambda bad: bad.ClearField("transaction_signature_again"),
        INVALID,
        "transaction_signature_again",
    ),
    (lambda _: None, WRONG, "transaction_signature"),
]


async def test_a_declaration_is_whole_or_refused(
    gateway: Gateway, parked: pb.Distribution, svm_rpc: SvmRpc
) -> None:
    """Each missing part names its field; while the blockhash may live, nothing is resolved."""
    assert parked.state == pb.Distribution.STATE_PARKED
    for change, code, field in BAD:
        bad = request(parked)
        change(bad)
        refusal = await refusal_of(gateway.distributions.ResolveUnknown(bad))
        assert (code, (field,)) == (refusal.code, refusal.fields)
    assert svm_rpc.count("getSignatureStatuses") == 1


async def test_a_resolution_is_shown_for_ever(
    gateway: Gateway, parked: pb.Distribution, svm_rpc: SvmRpc, wallets: list[wallet_pb.Wallet]
) -> None:
    """Who declared what, why, when and from where stands at the distribution."""
    svm_rpc.chain.advance(3_000)
    done = (await gateway.distributions.ResolveUnknown(request(parked))).distribution
    assert done.state == pb.Distribution.STATE_PARTIALLY_FAILED
    (kept,) = done.resolutions
    assert (SIGNATURE, pb.Resolution.VERDICT_GIVE_UP, "olga") == (
        kept.transaction_signature,
        kept.verdict,
        kept.operator,
    )
    assert (kept.reason, kept.first_position, kept.transfer_count) == (
        "two explorers do not know it",
        0,
        2,
    )
    assert "127.0.0.1" in kept.peer
    assert kept.create_time.seconds > 0
    assert svm_rpc.chain.balance(Pubkey.from_string(wallets[1].address)) == 0
    again = (await gateway.distributions.ResolveUnknown(request(parked))).distribution
    assert again == done
