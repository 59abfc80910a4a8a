"""The audit log: an access is in it before it is answered, or it does not happen."""

import contextlib
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from signer_daemon.ledger import verify_file
from solward.signer.v1 import admin_service_pb2 as ap
from solward.signer.v1 import records_pb2 as rp
from solward.signer.v1 import signer_service_pb2 as pb
from tests.signer.client import Client, connected, payment, sign_message
from tests.signer.house import House, rpc_of, send
from tests.signer.known import Root
from tests.signer.process import SignerProcess, signer_process
from tests.signer.refusals import refusal_of

# Reads that touch no key and change nothing.
SILENT = {
    "GetSignerInfo",
    "GetStatus",
    "CheckPolicy",
    "ResolvePolicyGroups",
    "StreamAuditRecords",
}
UNAVAILABLE = ("AUDIT_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE, "no")


@pytest.fixture
def signer() -> Iterator[SignerProcess]:
    """A signer of the test's own."""
    with signer_process() as process:
        process.configure(exports=True)
        process.start()
        yield process


@pytest.fixture
def house(signer: SignerProcess) -> Iterator[House]:
    """A house in it."""
    with connected(signer) as client:
        yield House.built(client)


@cache
def chain_key(encryption_key: bytes, master_password: str) -> bytes:
    """The key of the log's chain, from the secrets by other code than the signer's."""
    return Root.of(encryption_key, master_password).key(b"audit-chain")


def records(signer: SignerProcess) -> list[dict[str, Any]]:
    """All records, each verified."""
    key = chain_key(signer.encryption_key, signer.master_password)
    found, before = [], b"0" * 64
    for line in signer.audit_log.read_bytes().splitlines():
        text, _, mac = line.rpartition(b"\t")
        assert hmac.new(key, before + text, "sha256").hexdigest().encode() == mac
        before = mac
        found.append(json.loads(text))
        assert len(found) - 1 == found[-1]["seq"]
    assert len(found) == verify_file(signer.audit_log, key).count
    return found


def exhaust(client: Client, request: Message) -> None:
    """Send a request and take all of its answer."""
    answer = send(client, request)
    if not isinstance(answer, Message):
        list(answer)


def test_every_access_leaves_a_record(signer: SignerProcess, house: House) -> None:
    """Each good request leaves a record with its id that says ok; sent again, its secrets used, one
    that says refused and why; reads of public facts leave none. The chain verifies.
    """
    house.requests()  # makes an archive, once
    signer.policy.write_text(signer.policy.read_text().replace("version = 7", "version = 8"))
    seen = len(records(signer))
    for request in house.requests()[:-1]:
        exhaust(house.client, request)
        written = records(signer)[seen:]
        if rpc_of(request) in SILENT:
            assert [] == written
        else:
            (record,) = written
            assert ("ok", getattr(request, "request_id", "")) == (
                record["outcome"],
                record["request_id"],
            ), rpc_of(request)
            socket = (
                "signer.sock" if hasattr(house.client.signer, rpc_of(request)) else "admin.sock"
            )
            assert socket == record["caller"]
        seen += len(written)
    request = house.client.create_master(house.password)
    exhaust(house.client, request)
    refusal_of(partial(house.client.signer.CreateMasterWallet, request))
    *_, record = records(signer)
    assert ("refused", "CREDENTIAL_REJECTED") == (record["outcome"], record["reason"])


def test_a_refused_item_is_recorded_with_its_rule(signer: SignerProcess, house: House) -> None:
    """Of a batch, the signed item and the denied one have a record each: digest, rule, address."""
    first, second, *_ = house.wallets
    items = [payment(first, second), payment(first, "11111111111111111111111111111112")]
    house.client.sign(house.token, items)
    signed, denied = records(signer)[-2:]
    digest = hashlib.sha256(items[0].transaction[65:]).hexdigest()
    assert ("ok", digest, [first.address]) == (
        signed["outcome"],
        signed["digest"],
        signed["addresses"],
    )
    assert ("refused", "POLICY_DENIED", "desk/destinations: vault", [first.address]) == (
        denied["outcome"],
        denied["reason"],
        denied["rule"],
        denied["addresses"],
    )


@pytest.mark.parametrize("what", ["message", "transaction"])
def test_a_signature_that_was_answered_is_in_the_log(
    signer: SignerProcess, house: House, what: str
) -> None:
    """Killed with SIGKILL the moment the answer is there: the record of the signature is too."""
    first, second, *_ = house.wallets
    if what == "message":
        digest = hashlib.sha256(b"the last words").hexdigest()
        request = sign_message(house.token, first, b"the last words")
        assert 64 == len(house.client.signer.SignMessage(request).signature)
    else:
        item = payment(first, second)
        digest = hashlib.sha256(item.transaction[65:]).hexdigest()
        assert house.client.sign(house.token, [item])[0].signed.is_complete
    signer.kill()
    assert digest == records(signer)[-1]["digest"]
    signer.start()


def test_a_full_disk_stops_everything_until_there_is_space(
    signer: SignerProcess, house: House
) -> None:
    """With room for half a record only no call that owes one succeeds, nothing is signed, the
    refusal says so, and reads go on. With space again all works, and the log is whole.
    """
    first, second, *_ = house.wallets
    client = house.client
    before = client.admin.GetStatus(ap.GetStatusRequest()).signature_count
    owing = [request for request in house.requests() if rpc_of(request) not in SILENT]
    signer.limit_files_to(signer.audit_log.stat().st_size + 100)
    for request in owing:
        if rpc_of(request) not in {"RevokeSessions", "Freeze", "Unfreeze"}:
            refused = refusal_of(partial(exhaust, client, request))
            assert UNAVAILABLE == (refused.reason, refused.code, refused.signed), rpc_of(request)
    for request in house.requests():
        if rpc_of(request) in SILENT:
            exhaust(client, request)
    assert before == client.admin.GetStatus(ap.GetStatusRequest()).signature_count
    signer.limit_files_to(-1)
    assert client.sign(house.token, [payment(first, second)])[0].signed.is_complete
    assert "ok" == records(signer)[-1]["outcome"]
    signer.kill()
    signer.start()


def test_a_log_that_was_removed_or_grew_stops_everything(
    signer: SignerProcess, house: House
) -> None:
    """Somebody writes to the log, or takes it away, behind the signer's back: nothing is signed."""
    request = partial(sign_message, house.token, house.wallets[0], b"a message")
    sign = house.client.signer.SignMessage
    with signer.audit_log.open("ab") as log:
        log.write(b"one line more\n")
    assert "AUDIT_UNAVAILABLE" == refusal_of(lambda: sign(request())).reason
    signer.audit_log.unlink()
    assert "AUDIT_UNAVAILABLE" == refusal_of(lambda: sign(request())).reason


def huge_address(house: House) -> Message:
    """A session for a wallet whose address is 2 MB long."""
    request = house.client.open_session([house.wallets[0]], house.password)
    request.wallets[0].address = "1" * 2_000_000
    return request


def many_wallets(house: House) -> Message:
    """A transaction to be signed by 60,000 wallets."""
    item = payment(house.wallets[0], house.wallets[1])
    item.wallets.extend([rp.WalletRecord(address=house.guest.address)] * 60_000)
    return pb.SignTransactionsRequest(
        request_id="00000000-0000-4000-8000-000000000000", session_token=house.token, items=[item]
    )


@pytest.mark.parametrize("request_for", [huge_address, many_wallets])
def test_no_request_makes_a_log_that_stops_the_next_start(
    signer: SignerProcess, house: House, request_for: Callable[[House], Message]
) -> None:
    """However large a request is, its record stays one that the next start can read."""
    with contextlib.suppress(grpc.RpcError):
        send(house.client, request_for(house))
    house.client.admin.GetStatus(ap.GetStatusRequest())
    signer.stop()
    assert max(map(len, signer.audit_log.read_bytes().splitlines())) < 10_000
    signer.start()


def test_the_stream_is_the_log(signer: SignerProcess, house: House) -> None:
    """StreamAuditRecords gives the very lines of the file from a number on, follows what comes, and
    two followers are all that it takes.
    """
    client = house.client
    lines = signer.audit_log.read_text().splitlines()
    for first in (0, 1, len(lines) - 1, len(lines), 10**9):
        request = pb.StreamAuditRecordsRequest(first_sequence=first)
        parts = list(client.signer.StreamAuditRecords(request))
        assert lines[first:] == [record for part in parts for record in part.records]
    request = pb.StreamAuditRecordsRequest(first_sequence=len(lines), follow=True)
    followers = [client.signer.StreamAuditRecords(request) for _ in range(2)]
    client.signer.SignMessage(sign_message(house.token, house.wallets[0], b"news"))
    news = [next(follower).records[0] for follower in followers]
    assert signer.audit_log.read_text().splitlines()[-1:] * 2 == news
    refused = refusal_of(partial(client.signer.StreamAuditRecords, request))
    assert "STREAM_LIMIT" == refused.reason
    for follower in followers:
        follower.cancel()
