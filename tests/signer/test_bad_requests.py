"""Requests wrong in one place: the right status, reason and field, and the next one works."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
import pytest

from solward.signer.v1 import signer_service_pb2 as pb
from solward.signer.v1.errors_pb2 import ErrorReason
from tests.signer.client import SIGN, VERIFY, Client, payment, proof_of, sign_message
from tests.signer.house import House, rpc_of, send
from tests.signer.process import SignerProcess
from tests.signer.refusals import refusal_of

INVALID = grpc.StatusCode.INVALID_ARGUMENT
DENIED = grpc.StatusCode.PERMISSION_DENIED
RECORD = ("RECORD_REJECTED", DENIED)
MALFORMED = b"\x01" + bytes(100)

Change = Callable[[Any, House], object]


def put(**values: Any) -> Change:
    """Set fields of the request."""

    def change(request: Any, _: House) -> None:
        for name, value in values.items():
            field = getattr(request, name)
            if isinstance(value, list):
                del field[:]
                field.extend(value)
            else:
                setattr(request, name, value)

    return change


def times(name: str, count: int) -> Change:
    """Fill a repeated field with copies of its first element, or empty it."""

    def change(request: Any, _: House) -> None:
        field = getattr(request, name)
        first = field[0]
        del field[:]
        field.extend([first] * count)

    return change


def within(name: str, **values: Any) -> Change:
    """Set fields of a part of the request: of the first one if it is repeated."""

    def change(request: Any, house: House) -> None:
        part = getattr(request, name)
        put(**values)(part[0] if hasattr(part, "add") else part, house)

    return change


# RPC, what is changed, and the field that the refusal must name.
FIELDS: list[tuple[str, str, Change, str]] = [
    ("CreateMasterWallet", "no words", put(word_count=0), "word_count"),
    ("CreateMasterWallet", "13 words", put(word_count=13), "word_count"),
    ("CreateMasterWallet", "-12 words", put(word_count=-12), "word_count"),
    ("DeriveWallets", "count 0", put(count=0), "count"),
    ("DeriveWallets", "count -1", put(count=-1), "count"),
    ("DeriveWallets", "count 10,001", put(count=10_001), "count"),
    ("DeriveWallets", "index -1", put(first_index=-1), "first_index"),
    ("DeriveWallets", "index 2^31", put(first_index=2**31), "first_index"),
    ("DeriveWallets", "end beyond 2^31", put(first_index=2**31 - 1), "first_index"),
    ("DeriveWallets", "index 2^62", put(first_index=2**62), "first_index"),
    ("RotateRecords", "nothing", put(masters=[], wallets=[]), "wallets"),
    ("RotateRecords", "101 masters", times("masters", 101), "masters"),
    ("RotateRecords", "20,001 wallets", times("wallets", 20_001), "wallets"),
    ("OpenSession", "no purpose", put(purpose=0), "purpose"),
    ("OpenSession", "purpose 3", put(purpose=3), "purpose"),
    ("OpenSession", "ttl -1", put(ttl_seconds=-1), "ttl_seconds"),
    ("OpenSession", "ttl beyond the limit", put(ttl_seconds=3601), "ttl_seconds"),
    ("OpenSession", "no wallets", put(wallets=[]), "wallets"),
    ("OpenSession", "17 wallets", times("wallets", 17), "wallets"),
    ("OpenSession", "one group twice", times("wallets", 2), "wallets"),
    ("OpenSession", "no address", within("wallets", address=""), "wallets[0]"),
    ("OpenSession", "a huge address", within("wallets", address="1" * 2_000_000), "wallets[0]"),
    ("OpenSession", "not base58", within("wallets", address="0OIl" * 10), "wallets[0]"),
    ("OpenSession", "index -2", within("wallets", derivation_index=-2), "wallets[0]"),
    ("OpenSession", "index -1", within("wallets", derivation_index=-1), "wallets[0]"),
    ("OpenSession", "no master", within("wallets", master_fingerprint=""), "wallets[0]"),
    ("OpenSession", "upper case", within("wallets", master_fingerprint="AB" * 16), "wallets[0]"),
    ("OpenSession", "scope -1", within("scope", index_first=-1), "scope.index_first"),
    ("OpenSession", "scope 5 to 4", within("scope", index_first=5), "scope.index_last"),
    ("SignTransactions", "no items", put(items=[]), "items"),
    ("SignTransactions", "501 items", times("items", 501), "items"),
    ("SignMessage", "no message", put(message=b""), "message"),
    ("SignMessage", "65,536 bytes", put(message=b"x" * 65_536), "message"),
    ("SignMessage", "index 2^40", within("wallet", derivation_index=2**40), "wallet"),
    ("CheckPolicy", "no wallets", within("item", wallets=[]), "item.wallets"),
    ("CheckPolicy", "long reference", within("item", reference="r" * 65), "item.reference"),
    ("ResolvePolicyGroups", "1,001 wallets", times("wallets", 1_001), "wallets"),
    ("ResolvePolicyGroups", "no address", within("wallets", address=""), "wallets[0]"),
    ("StreamAuditRecords", "-1", put(first_sequence=-1), "first_sequence"),
    ("GenerateMnemonic", "160 bits", put(entropy_bits=160), "entropy_bits"),
    ("GenerateMnemonic", "no key", put(recipient_public_key=b""), "recipient_public_key"),
    ("GenerateMnemonic", "short key", put(recipient_public_key=b"k" * 31), "recipient_public_key"),
    ("GenerateMnemonic", "zero key", put(recipient_public_key=bytes(32)), "recipient_public_key"),
    ("ExportMnemonic", "no key", put(recipient_public_key=b""), "recipient_public_key"),
    ("ExportPrivateKey", "no key", put(recipient_public_key=b""), "recipient_public_key"),
    ("ExportVault", "101 masters", times("masters", 101), "masters"),
    ("ExportVault", "a lone wallet", put(masters=[]), "wallets[0]"),
    ("Freeze", "nothing named", lambda request, _: request.ClearField("address"), "target"),
    ("Unfreeze", "nothing named", lambda request, _: request.ClearField("address"), "target"),
]
# RPC, what is changed: the record does not open, and nobody is told why.
RECORDS: list[tuple[str, str, Change]] = [
    ("DeriveWallets", "no record", within("master", sealed_record="")),
    ("DeriveWallets", "a wallet's", lambda r, h: within("master", **_record_of(h))(r, h)),
    ("RotateRecords", "a wrong master", within("masters", master_fingerprint="00" * 16)),
    ("RotateRecords", "swapped wallets", lambda r, _: _swap(r.wallets[0], r.wallets[1])),
    ("OpenSession", "another's record", lambda r, h: within("wallets", **_record_of(h))(r, h)),
    ("OpenSession", "a wrong master", within("wallets", master_fingerprint="00" * 16)),
    ("OpenSession", "a wrong index", within("wallets", derivation_index=9)),
    ("OpenSession", "a wrong address", lambda r, h: _rename(r.wallets[0], h)),
    ("OpenSession", "unreadable", within("wallets", sealed_record="solward1$wallet$scrypt")),
    ("OpenSession", "dear KDF", lambda r, _: _edit(r.wallets[0], "$14,8,1$", "$30,8,1$")),
    ("OpenSession", "weak KDF", lambda r, _: _edit(r.wallets[0], "$14,8,1$", "$1,8,1$")),
]


def _record_of(house: House) -> dict[str, str]:
    return {"sealed_record": house.wallets[1].sealed_record}


def _swap(first: Any, second: Any) -> None:
    first.sealed_record, second.sealed_record = second.sealed_record, first.sealed_record


def _rename(wallet: Any, house: House) -> None:
    wallet.address = house.wallets[2].address


def _edit(wallet: Any, old: str, new: str) -> None:
    assert old in wallet.sealed_record
    wallet.sealed_record = wallet.sealed_record.replace(old, new)


def good_request(house: House, rpc: str) -> Any:
    """The good request of an RPC."""
    return next(request for request in house.requests() if rpc_of(request) == rpc)


@pytest.fixture(autouse=True)
def unharmed(signer: SignerProcess, client: Client, house: House) -> Iterator[None]:
    """After each test a good request works, and no traceback was written."""
    yield
    client.signer.SignMessage(sign_message(house.token, house.wallets[3], b"still here"))
    assert "Traceback" not in signer.errors
    assert "failed" not in signer.errors


@pytest.mark.parametrize(
    ("rpc", "change", "field"), [pytest.param(r, c, f, id=f"{r}: {n}") for r, n, c, f in FIELDS]
)
def test_a_bad_field_is_named(house: House, rpc: str, change: Change, field: str) -> None:
    """INVALID_ARGUMENT, INVALID_FIELD, and the field's name."""
    request = good_request(house, rpc)
    change(request, house)
    refused = refusal_of(partial(send, house.client, request))
    assert (INVALID, "INVALID_FIELD", field) == (refused.code, refused.reason, refused.field)
    assert "no" == refused.signed


@pytest.mark.parametrize("value", ["", "not-a-uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"])
def test_a_bad_request_id_is_named_by_every_rpc(house: House, value: str) -> None:
    """Every RPC that has a request_id insists on a UUID in its one spelling."""
    for request in house.requests():
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            put(request_id=value)(request, house)
            refused = refusal_of(partial(send, house.client, request))
            assert (INVALID, "request_id") == (refused.code, refused.field), rpc_of(request)


@pytest.mark.parametrize(
    ("rpc", "change"), [pytest.param(r, c, id=f"{r}: {n}") for r, n, c in RECORDS]
)
def test_a_record_that_does_not_open_says_nothing(house: House, rpc: str, change: Change) -> None:
    """One generic refusal, whatever of a record, its address, master or index is wrong."""
    request = good_request(house, rpc)
    change(request, house)
    if rpc == "OpenSession":
        # Sealed for the key groups that the record names, as an honest client would do.
        _reseal(house, request)
    refused = refusal_of(partial(send, house.client, request))
    generic = "the record does not open with this password and identity"
    assert (*RECORD, generic) == (refused.reason, refused.code, refused.message)


def _reseal(house: House, request: pb.OpenSessionRequest) -> None:
    try:
        again = house.client.open_session(list(request.wallets), house.password)
    except ValueError:
        return  # what cannot be read has no key group either
    request.sealed_password = again.sealed_password


def test_a_wrong_password_opens_nothing(client: Client) -> None:
    """Neither a session nor a proof nor wallets: the refusal is that of a record that is wrong."""
    house = House.built(client)  # of its own: wrong passwords are counted
    wrong = "wrong" + house.password
    first = house.wallets[0]
    for request in (
        client.open_session([first], wrong, purpose=SIGN),
        client.open_session([first], wrong, purpose=VERIFY),
        client.derive(house.master, wrong, 1),
        client.rotate([house.master], [first], wrong, "a new password"),
    ):
        refused = refusal_of(partial(send, client, request))
        assert RECORD == (refused.reason, refused.code)


def test_a_transfer_is_not_signed_for_the_wrong_wallet(house: House) -> None:
    """A batch gives each bad item its own reason and field, and signs the good one among them."""
    first, second, third, _ = house.wallets
    good, bytes_ = payment(first, second), payment(first, second).transaction
    forged = proof_of(second)
    forged.ownership_tag = proof_of(third).ownership_tag
    items = [
        good,
        pb.TransactionItem(transaction=bytes_[:-1], wallets=[first]),
        pb.TransactionItem(transaction=bytes_ + b"\0", wallets=[first]),
        pb.TransactionItem(transaction=b"", wallets=[first]),
        pb.TransactionItem(transaction=MALFORMED, wallets=[first]),
        pb.TransactionItem(transaction=bytes_, wallets=[third]),
        pb.TransactionItem(transaction=bytes_, wallets=[first, first]),
        pb.TransactionItem(transaction=bytes_, wallets=[]),
        pb.TransactionItem(transaction=bytes_, wallets=[first] * 13),
        pb.TransactionItem(transaction=bytes_, wallets=[first], vault_destinations=[forged]),
        pb.TransactionItem(transaction=bytes_, wallets=[first], reference="r" * 65),
    ]
    expected = [
        "",
        *["TRANSACTION_MALFORMED items[{}].transaction"] * 4,
        "SIGNER_NOT_REQUIRED items[{}].wallets[0]",
        "INVALID_FIELD items[{}].wallets[1]",
        *["INVALID_FIELD items[{}].wallets"] * 2,
        "OWNERSHIP_REJECTED items[{}].vault_destinations[0]",
        "INVALID_FIELD items[{}].reference",
    ]
    results = house.client.sign(house.token, items)
    assert [text.format(at) for at, text in enumerate(expected)] == [
        f"{_reason(result)} {result.error.field}".strip() for result in results
    ]
    assert results[0].signed.is_complete


def _reason(result: pb.TransactionResult) -> str:
    if result.WhichOneof("outcome") == "signed":
        return ""
    return ErrorReason.Name(result.error.reason).removeprefix("ERROR_REASON_")
