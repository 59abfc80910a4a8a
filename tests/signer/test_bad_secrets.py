"""Sealed secrets that are not what they should be: refused by field, and nothing of them told."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import grpc
import pytest
from google.protobuf.message import Message
from nacl.public import PrivateKey

from solward.signer.v1 import signer_service_pb2 as pb
from solward_client.sealing import SignerKey
from tests.signer.client import Client, sign_message
from tests.signer.errands import address_of, new_mnemonic
from tests.signer.house import House, rpc_of, send
from tests.signer.process import SignerProcess
from tests.signer.refusals import refusal_of

CREDENTIAL = ("CREDENTIAL_REJECTED", grpc.StatusCode.UNAUTHENTICATED)
RULES = ("PASSWORD_RULES", grpc.StatusCode.INVALID_ARGUMENT)
SESSION = ("SESSION_INVALID", grpc.StatusCode.UNAUTHENTICATED)
_EXPIRY_S = 10


def sealed_fields(request: Message) -> list[str]:
    """The fields of a request that hold sealed secrets."""
    return [field.name for field, _ in request.ListFields() if field.name.startswith("sealed_")]


def password_fields(request: Message) -> list[str]:
    """Those of them that hold passwords."""
    return [name for name in sealed_fields(request) if name.endswith("password")]


@pytest.fixture(autouse=True)
def unharmed(signer: SignerProcess, client: Client, house: House) -> Iterator[None]:
    """After each test the client is itself again, a good request works, no traceback is written."""
    key = client.key
    yield
    client.key, client.skew_s = key, 0.0
    client.signer.CreateMasterWallet(client.create_master(house.password))
    assert "Traceback" not in signer.errors
    assert "failed" not in signer.errors


def assert_all_rejected(house: House) -> None:
    """Every request with a sealed secret is refused for one of its sealed secrets."""
    seen = 0
    for request in house.requests():
        if fields := sealed_fields(request):
            refused = refusal_of(partial(send, house.client, request))
            assert CREDENTIAL == (refused.reason, refused.code), rpc_of(request)
            assert refused.field in fields, rpc_of(request)
            seen += 1
    assert 11 == seen


@pytest.mark.parametrize("skew_s", [-150, -10_000, 155, 10_000])
def test_a_secret_out_of_its_time_is_refused(house: House, skew_s: int) -> None:
    """By every RPC, whether it has expired or would live longer than 300 seconds."""
    house.requests()
    house.client.skew_s = skew_s
    assert_all_rejected(house)


@pytest.mark.parametrize("what", ["boot_id", "box_public_key"])
def test_a_secret_for_another_signer_is_refused(house: House, what: str) -> None:
    """By every RPC, whether it was sealed to another key or for an earlier start of the signer."""
    house.requests()
    key = house.client.key
    house.client.key = (
        SignerKey(key.box_public_key, os.urandom(16))
        if what == "boot_id"
        else SignerKey(bytes(PrivateKey.generate().public_key), key.boot_id)
    )
    assert_all_rejected(house)


@pytest.mark.parametrize("damage", ["empty", "garbage", "cut", "altered", "of another RPC"])
def test_a_damaged_secret_is_named(house: House, damage: str) -> None:
    """By every RPC, each field by its name: empty, random, cut, altered, sealed for another."""
    foreign = house.client.seal(house.password, "AnotherRpc", "whatever")
    for place, request in enumerate(house.requests()):
        for field in sealed_fields(request):
            if damage == "empty" and field == "sealed_passphrase":
                continue  # which stands for no passphrase
            fresh = house.requests()[place]  # the other secrets of the one before are used
            good: bytes = getattr(fresh, field)
            bad = {
                "empty": b"",
                "garbage": os.urandom(len(good)),
                "cut": good[:-1],
                "altered": good[:-1] + bytes([good[-1] ^ 1]),
                "of another RPC": foreign,
            }[damage]
            setattr(fresh, field, bad)
            refused = refusal_of(partial(send, house.client, fresh))
            assert (*CREDENTIAL, field) == (refused.reason, refused.code, refused.field)


def test_a_secret_serves_once(house: House) -> None:
    """A good request that is sent a second time is refused by every RPC that takes a secret."""
    for request in house.requests():
        if fields := sealed_fields(request):
            answer = send(house.client, request)
            if not isinstance(answer, Message):
                list(answer)
            refused = refusal_of(partial(send, house.client, request))
            assert CREDENTIAL == (refused.reason, refused.code), rpc_of(request)
            assert refused.field in fields, rpc_of(request)


@pytest.mark.parametrize(
    "password",
    [
        "eleven char",
        "\U0001f511" * 11,  # 44 bytes, 11 characters
        "e\u0301" * 5 + "e",  # 11 code points
        "",
        "x" * 257,
        "\u0800" * 256 + "x",
        b"\xff" * 12,
        b"twelve chars\xc3",
    ],
)
def test_a_password_that_breaks_the_rules_is_refused(client: Client, password: str | bytes) -> None:
    """12 to 256 characters of UTF-8: characters are counted, not bytes."""
    request = client.create_master("a good password")
    request.sealed_password = client.seal(password, "CreateMasterWallet", request.request_id, 24)
    refused = refusal_of(lambda: client.signer.CreateMasterWallet(request))
    assert (*RULES, "sealed_password") == (refused.reason, refused.code, refused.field)


@pytest.mark.parametrize("password", ["twelve chars", "\U0001f511" * 12, "\U0001f511" * 256])
def test_a_password_that_keeps_the_rules_is_taken(client: Client, password: str) -> None:
    """From 12 characters to 256, which may be 1,024 bytes."""
    master = client.signer.CreateMasterWallet(client.create_master(password)).master
    assert 1 == len(client.wallets(master, password, 1))


def test_the_rules_hold_at_every_rpc(house: House) -> None:
    """An 11-character password is refused wherever one is taken, and the field is named."""
    house.requests()
    seen = set()
    for request in replace(house, password="eleven char").requests():
        if fields := password_fields(request):
            refused = refusal_of(partial(send, house.client, request))
            assert RULES == (refused.reason, refused.code), rpc_of(request)
            assert refused.field in fields
            seen.add(rpc_of(request))
    assert 10 == len(seen), seen


def test_a_new_password_keeps_the_rules_too(house: House) -> None:
    """RotateRecords names the new one when it is the new one that is too short."""
    request = house.client.rotate([house.master], [], house.password, "eleven char")
    refused = refusal_of(lambda: house.client.signer.RotateRecords(request))
    assert (*RULES, "sealed_new_password") == (refused.reason, refused.code, refused.field)


@pytest.mark.parametrize("size", [0, 31, 33, 63, 65, 64])
def test_what_is_no_private_key_is_refused(house: House, size: int) -> None:
    """Neither a seed nor a key pair, or a pair whose halves do not belong together."""
    key = os.urandom(size)
    request = house.client.seal_private_key(address_of(os.urandom(32)), key, house.password)
    refused = refusal_of(lambda: house.client.signer.SealPrivateKey(request))
    assert ("INVALID_FIELD", "sealed_private_key") == (refused.reason, refused.field)


def test_a_private_key_of_another_address_is_refused(house: House) -> None:
    """The address is part of the request, and it must be the key's own."""
    request = house.client.seal_private_key(
        house.wallets[0].address, house.private_key, house.password
    )
    refused = refusal_of(lambda: house.client.signer.SealPrivateKey(request))
    assert ("INVALID_FIELD", "address") == (refused.reason, refused.field)


@pytest.mark.parametrize("words", ["cut", "checksum", "upper case", "two spaces", "bytes", "empty"])
def test_what_is_no_mnemonic_is_refused(house: House, words: str) -> None:
    """ImportMasterWallet names the field and not the word."""
    good = new_mnemonic()
    bad: dict[str, str | bytes] = {
        "cut": good.rpartition(" ")[0],
        "checksum": " ".join(["zoo"] * 23 + ["abandon"]),
        "upper case": good.upper(),
        "two spaces": good.replace(" ", "  ", 1),
        "bytes": b"\xff" * 40,
        "empty": " ",
    }
    request = house.client.import_master(bad[words], house.password)
    refused = refusal_of(lambda: house.client.admin.ImportMasterWallet(request))
    expected = ("MNEMONIC_INVALID", grpc.StatusCode.INVALID_ARGUMENT, "sealed_mnemonic")
    assert expected == (refused.reason, refused.code, refused.field)


@pytest.mark.parametrize("passphrase", ["p" * 257, "\ufdfa" * 15, b"\xc3("])
def test_a_passphrase_is_bounded_after_nfkd(house: House, passphrase: str | bytes) -> None:
    """More than 256 bytes, also when it only becomes so by NFKD, or no UTF-8."""
    request = house.client.import_master(new_mnemonic(), house.password, passphrase)
    refused = refusal_of(lambda: house.client.admin.ImportMasterWallet(request))
    assert ("INVALID_FIELD", "sealed_passphrase") == (refused.reason, refused.field)


def test_a_token_that_unlocks_nothing_is_refused(house: House) -> None:
    """Unknown, of the wrong length, closed, expired and of another key group: all the same."""
    client, wallet = house.client, house.wallets[0]
    closed, brief = (client.session(wallet, house.password, ttl) for ttl in (600, 1))
    client.signer.CloseSession(pb.CloseSessionRequest(session_token=closed))
    deadline = time.monotonic() + _EXPIRY_S
    while _is_open(client, brief, house):
        assert time.monotonic() < deadline, "a session of one second does not end"
    for token in (b"", os.urandom(31), os.urandom(32), closed, brief, house.guest_token):
        request = sign_message(token, wallet, b"a message")
        refused = refusal_of(partial(client.signer.SignMessage, request))
        assert SESSION == (refused.reason, refused.code)


def _is_open(client: Client, token: bytes, house: House) -> bool:
    try:
        client.signer.SignMessage(sign_message(token, house.wallets[0], b"a message"))
    except grpc.RpcError:
        return False
    return True
