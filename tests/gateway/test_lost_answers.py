"""An answer that does not come: whoever asked for a signature learns whether one may exist."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.adapters.signer.client import SignerClient
from gateway.clock import SystemClock
from gateway.domain.custody import ItemRefusal, SignedTransaction, SignItem
from gateway.domain.errors import SignerUnavailableError
from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from solward.gateway.v1 import signing_service_pb2 as pb
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from solward.signer.v1 import signer_service_pb2 as signer_pb
from solward_client.devstack.stack import POLICY
from solward_client.errors import SolwardError, decode
from tests.gateway import fake_signer
from tests.gateway.fake_signer import FakeSigner
from tests.gateway.processes import Client, transaction
from tests.gateway.support import Gateway, new_id, refusal_of
from tests.support.fixtures import MakeGateway, MakeSigner
from tests.support.processes import SignerProcess

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
BATCH = 500
PATIENCE_S = 20


def failure_of(call: Callable[[], Any]) -> SolwardError:
    """How a call that must fail fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return decode(caught.value)


def short(error: SolwardError) -> tuple[grpc.StatusCode, str, str, str]:
    """What a program goes by."""
    return error.code, error.domain, error.reason, error.signed


def batch_of(token: bytes, wallets: list[wallet_pb.Wallet]) -> pb.SignTransactionsRequest:
    """Payments from the first wallet to the others, each of another amount, `BATCH` in all."""
    source, *others = wallets
    return pb.SignTransactionsRequest(
        request_id=new_id(),
        session_token=token,
        transactions=[
            pb.TransactionToSign(
                transaction=transaction(source.address, others[n % len(others)].address, n + 1),
                wallet_ids=[source.id],
            )
            for n in range(BATCH)
        ],
    )


def stop_while_signing(signer: SignerProcess, call: Callable[[], Any]) -> Any:
    """Makes a call and stops (SIGSTOP) the signer once its audit record is written and before the
    answer has come; returns the call, still open. Where the answer was faster, tries again.
    """
    for _ in range(20):
        size = signer.audit_log.stat().st_size
        future = call()
        deadline_s = time.monotonic() + PATIENCE_S
        while signer.audit_log.stat().st_size == size:
            assert time.monotonic() < deadline_s
        os.kill(signer.pid, signal.SIGSTOP)
        try:
            future.exception(timeout=0.5)
        except grpc.FutureTimeoutError:
            return future
        os.kill(signer.pid, signal.SIGCONT)
    raise AssertionError("the signer was always faster")


def test_a_signer_killed_while_signing_may_have_signed(
    make_signer: MakeSigner, make_gateway: MakeGateway
) -> None:
    """With its records in the log and its answer lost, `signed` is "maybe"; while the signer is
    away it is "no"; and asked again for the same bytes, it gives the same signatures.
    """
    rate = ("signatures_per_minute = 100", "signatures_per_minute = 100_000")
    signer = make_signer(policy=POLICY.read_text().replace(*rate))
    gateway = make_gateway(signer_socket=signer.socket)
    with grpc.insecure_channel(gateway.target) as channel:
        client = Client(channel)
        master = client.create_master()
        list(client.derive(master, 3))
        wallets = client.first_wallets(3)
        request = batch_of(client.session(master), wallets)
        before = client.signing.SignTransactions(request)
        open_call = stop_while_signing(
            signer, lambda: client.signing.SignTransactions.future(request)
        )
        signer.kill()
        lost = failure_of(lambda: open_call.result(timeout=PATIENCE_S))
        away = failure_of(lambda: client.signing.SignTransactions(request))
        signer.start()
        request.session_token = session_of(client, master)
        assert before == client.signing.SignTransactions(request)
    assert (UNAVAILABLE, "gateway.solward", "SIGNER_UNAVAILABLE", "maybe") == short(lost)
    assert (UNAVAILABLE, "gateway.solward", "SIGNER_UNAVAILABLE", "no") == short(away)
    assert min(lost.retry_delay_ms, away.retry_delay_ms) > 0


def session_of(client: Client, master: master_pb.MasterWallet) -> bytes:
    """A session with a signer that has just started: the gateway is about to find it."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return client.session(master)
        except grpc.RpcError as error:
            if decode(error).code is not UNAVAILABLE or time.monotonic() > deadline_s:
                raise


def test_a_gateway_that_stops_says_so(
    signer_process: SignerProcess, make_gateway: MakeGateway
) -> None:
    """While it drains, a new call is SHUTTING_DOWN and nothing was signed; a signature that does
    not come in the time that it gives is SHUTTING_DOWN, and may exist.
    """
    gateway = make_gateway(settings={"limits": {"drain_seconds": 2}})
    with grpc.insecure_channel(gateway.target) as channel:
        client = Client(channel)
        master = client.create_master()
        list(client.derive(master, 3))
        request = batch_of(client.session(master), client.first_wallets(3))
        os.kill(signer_process.pid, signal.SIGSTOP)
        open_call = client.signing.SignTransactions.future(request)
        client.first_wallets(1)  # sent later on the same connection: the gateway has the batch
        os.kill(gateway.pid, signal.SIGTERM)
        deadline_s = time.monotonic() + PATIENCE_S
        refused: SolwardError | None = None
        while refused is None:
            assert time.monotonic() < deadline_s
            try:
                client.first_wallets(1)
            except grpc.RpcError as error:
                refused = decode(error)
        cut = failure_of(lambda: open_call.result(timeout=PATIENCE_S))
        assert 0 == gateway.stop()
    assert (UNAVAILABLE, "gateway.solward", "SHUTTING_DOWN", "no") == short(refused)
    assert (UNAVAILABLE, "gateway.solward", "SHUTTING_DOWN", "maybe") == short(cut)
    assert refused.retry_delay_ms > 0


async def test_a_signer_that_stops_has_signed_nothing(
    gateway: Gateway, fake: FakeSigner, wallets: list[wallet_pb.Wallet]
) -> None:
    """Its SHUTTING_DOWN is the gateway's SIGNER_UNAVAILABLE, with nothing signed."""
    fake.refuse = (UNAVAILABLE, "SHUTTING_DOWN")
    request = pb.SignMessageRequest(
        request_id=new_id(), session_token=b"t" * 32, wallet_id=wallets[0].id, message=b"m"
    )
    refusal = await refusal_of(gateway.signing.SignMessage(request))
    assert (UNAVAILABLE, "SIGNER_UNAVAILABLE", "no") == (
        refusal.code,
        refusal.reason,
        refusal.metadata["signed"],
    )


class OnceOnly(FakeSigner):
    """Signs one batch and then ends calls as `last` does."""

    last: Callable[[Any], Any]

    async def SignTransactions(  # noqa: N802 - gRPC calls it so
        self, request: signer_pb.SignTransactionsRequest, context: Any
    ) -> signer_pb.SignTransactionsResponse:
        """Sign, once."""
        if self.sign_requests:
            await self.last(context)
        return await super().SignTransactions(request, context)


@pytest.mark.parametrize(
    ("code", "reason", "domain", "signed"),
    [
        (UNAVAILABLE, "AUDIT_UNAVAILABLE", "signer.solward", "no"),
        (UNAVAILABLE, "", "gateway.solward", "maybe"),
    ],
)
async def test_what_a_long_batch_has_signed_is_delivered(
    short_dir: Path, code: grpc.StatusCode, reason: str, domain: str, signed: str
) -> None:
    """A batch that takes three requests of which the second fails: the first one's signatures
    come, and what is not signed is refused item by item, the third's as never asked for.
    """
    fake = OnceOnly()

    async def last(context: Any) -> None:
        if reason:
            await fake_signer.abort(context, code, reason)
        await context.abort(code, "Socket closed")

    fake.last = last
    server = await fake_signer.start(fake, short_dir / "s")
    client = SignerClient(short_dir / "s", SystemClock(), seal_plaintext=False)
    items = [SignItem(str(n), bytes([n]) * (3_500_000), [], []) for n in range(3)]
    try:
        outcomes = await client.sign_transactions(new_id(), b"t" * 32, items)
    finally:
        await client.close()
        await server.stop(None)
    first, second, third = outcomes
    assert isinstance(first, SignedTransaction)
    assert isinstance(second, ItemRefusal)
    assert isinstance(third, ItemRefusal)
    expected = reason or "SIGNER_UNAVAILABLE"
    assert (expected, domain, code.value[0], signed) == (
        second.reason,
        second.domain,
        second.code,
        second.signed,
    )
    assert (expected, "no") == (third.reason, third.signed)
    assert 1 == len(fake.sign_requests)


async def test_a_signer_that_takes_connections_and_says_nothing_was_not_asked(
    short_dir: Path,
) -> None:
    """No connection in time: nothing was sent, so nothing was signed."""
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_unix_server(lambda _, writer: held.append(writer), short_dir / "s")
    client = SignerClient(short_dir / "s", SystemClock(), seal_plaintext=False)
    try:
        with pytest.raises(SignerUnavailableError, match="cannot be reached") as caught:
            await client.sign_transactions(new_id(), b"t" * 32, [SignItem("", b"x", [], [])])
    finally:
        await client.close()
        server.close()
        # What was accepted last is not held yet; left open it would be another test's warning.
        await asyncio.sleep(0.1)
        for writer in held:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in held), return_exceptions=True)
    assert "no" == caught.value.signed
