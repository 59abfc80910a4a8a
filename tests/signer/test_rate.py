"""The rate limit: 100 signatures a minute for each wallet, across callers, batches and restarts."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc
import pytest
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from solward.signer.v1 import records_pb2 as rp
from solward.signer.v1 import signer_service_pb2 as pb
from solward.signer.v1.errors_pb2 import ErrorReason
from tests.signer.client import Client, connected, payment, proof_of, sign_message, transaction
from tests.signer.house import House
from tests.signer.process import SignerProcess, signer_process
from tests.signer.refusals import refusal_of

LIMIT = 100
MINUTE_MS = 60_000
THREADS = 16
BATCH = 7


@pytest.fixture
def signer() -> Iterator[SignerProcess]:
    """A signer of the test's own, with the default limit."""
    with signer_process(rate=LIMIT) as process:
        process.start()
        yield process


@pytest.fixture
def house(signer: SignerProcess) -> Iterator[House]:
    """A house in it."""
    with connected(signer) as client:
        yield House.built(client)


def left(client: Client, wallet: rp.WalletRecord, other: rp.WalletRecord) -> int:
    """How many signatures a wallet has left, by CheckPolicy."""
    request = pb.CheckPolicyRequest(item=payment(wallet, other))
    return client.signer.CheckPolicy(request).verdicts[0].signatures_available


def sign_all_that_passes(house: House, wallet: rp.WalletRecord, *, in_batches: bool) -> int:
    """Sign with a wallet until it is refused, and count the signatures."""
    signed = 0
    while True:
        if in_batches:
            results = house.client.sign(house.token, [payment(wallet, wallet)] * BATCH)
            passed = sum(result.WhichOneof("outcome") == "signed" for result in results)
            signed += passed
            if passed < BATCH:
                return signed
        else:
            try:
                house.client.signer.SignMessage(sign_message(house.token, wallet, b"again"))
            except grpc.RpcError:
                return signed
            signed += 1


def test_sixteen_callers_get_exactly_100_between_them(signer: SignerProcess, house: House) -> None:
    """Messages and batches of transactions from 16 threads at once: 100 signatures, no more and no
    fewer; the refusals say when to come again, and after kill -9 the window still holds.
    """
    wallet, other, *_ = house.wallets
    with ThreadPoolExecutor(THREADS) as threads:
        counts = threads.map(
            lambda at: sign_all_that_passes(house, wallet, in_batches=at % 2 == 0), range(THREADS)
        )
        assert LIMIT == sum(counts)
    refused = refusal_of(
        lambda: house.client.signer.SignMessage(sign_message(house.token, wallet, b"one more"))
    )
    exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
    assert ("RATE_LIMITED", exhausted, "no") == (refused.reason, refused.code, refused.signed)
    assert "desk/signatures_per_minute: 100" == refused.rule
    assert 0 < refused.retry_delay_ms <= MINUTE_MS + 100
    (result,) = house.client.sign(house.token, [payment(wallet, other)])
    assert ErrorReason.ERROR_REASON_RATE_LIMITED == result.error.reason
    assert 0 < result.error.retry_delay_ms <= MINUTE_MS + 100
    assert (0, LIMIT) == (left(house.client, wallet, other), left(house.client, other, wallet))

    signer.kill()
    signer.start()
    with connected(signer) as client:
        token = client.session(wallet, house.password)
        request = sign_message(token, wallet, b"after the restart")
        refused = refusal_of(partial(client.signer.SignMessage, request))
        assert "RATE_LIMITED" == refused.reason
        assert 0 < refused.retry_delay_ms <= MINUTE_MS + 100
        assert LIMIT == left(client, other, wallet)


def test_each_signature_counts_once(signer: SignerProcess, house: House) -> None:
    """A transaction of two wallets counts for each; what the policy denies does not count; what was
    recorded and then not signed counts, and once: the same after kill -9.
    """
    first, second, third, _ = house.wallets
    denied = payment(first, "11111111111111111111111111111112")
    spoilt = rp.WalletRecord()
    spoilt.CopyFrom(third)
    spoilt.sealed_record = first.sealed_record
    client, token = house.client, house.token
    two = _two_signers(first, second, third)
    assert all(result.signed.is_complete for result in client.sign(token, [two] * 10))
    assert {"desk/destinations: vault"} == {
        result.error.rule for result in client.sign(token, [denied] * 10)
    }
    for _ in range(5):
        message = sign_message(token, spoilt, b"not signed")
        assert "RECORD_REJECTED" == refusal_of(partial(client.signer.SignMessage, message)).reason
        (result,) = client.sign(token, [payment(spoilt, second)])
        assert ErrorReason.ERROR_REASON_RECORD_REJECTED == result.error.reason
    expected = [90, 90, 90]
    wallets = (first, second, third)
    assert expected == [left(client, wallet, house.wallets[3]) for wallet in wallets]
    signer.kill()
    signer.start()
    with connected(signer) as again:
        assert expected == [left(again, wallet, house.wallets[3]) for wallet in wallets]


def test_500_items_of_one_wallet_are_100_signatures(house: House) -> None:
    """A batch stops at the limit: the first 100 are signed, the other 400 each say why not."""
    wallet, other, *_ = house.wallets
    results = house.client.sign(house.token, [payment(wallet, other)] * 500)
    outcomes = [result.WhichOneof("outcome") for result in results]
    assert ["signed"] * LIMIT + ["error"] * 400 == outcomes
    assert {ErrorReason.ERROR_REASON_RATE_LIMITED} == {
        result.error.reason for result in results[LIMIT:]
    }


def _two_signers(
    payer: rp.WalletRecord, source: rp.WalletRecord, to: rp.WalletRecord
) -> pb.TransactionItem:
    """A transfer from `source` for which `payer` pays."""
    source_key, to_key = (Pubkey.from_string(wallet.address) for wallet in (source, to))
    move = TransferParams(from_pubkey=source_key, to_pubkey=to_key, lamports=1)
    return pb.TransactionItem(
        transaction=transaction([transfer(move)], payer.address, signatures=2),
        wallets=[payer, source],
        vault_destinations=[proof_of(to)],
    )
