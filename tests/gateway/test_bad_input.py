"""Bad input gets the right code, reason and field; and the next request works."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from solward.gateway.v1 import balance_service_pb2 as balance_pb
from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from solward.gateway.v1 import signing_service_pb2 as signing_pb
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from tests.gateway.support import Gateway, in_clear, new_id, refusal_of, sealed, stream_refusal

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
ADDRESS = "4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T"
TOKEN = b"t" * 32


@dataclass(frozen=True, slots=True)
class Case:
    """A call of `service.method`, and how it is refused."""

    method: str
    request: Callable[[], Any]
    field: str
    code: grpc.StatusCode = INVALID
    reason: str = "INVALID_FIELD"

    @property
    def name(self) -> str:
        """For a failure's message."""
        return f"{self.method}-{self.field}-{self.reason}"


def create(**options: Any) -> Callable[[], Any]:
    """A master wallet's creation with something wrong."""
    fields = {"request_id": new_id(), "word_count": 12, "credential": in_clear(), **options}
    return lambda: master_pb.CreateMasterWalletRequest(**fields)


def derive(**options: Any) -> Callable[[], Any]:
    """A derivation with something wrong."""
    fields = {
        "request_id": new_id(),
        "master_wallet_id": UNKNOWN_ID,
        "first_index": 0,
        "count": 1,
        "credential": in_clear(),
        **options,
    }
    return lambda: wallet_pb.DeriveWalletsRequest(
        **{name: value for name, value in fields.items() if value is not None}
    )


def import_(**options: Any) -> Callable[[], Any]:
    """An import with something wrong."""
    fields = {
        "request_id": new_id(),
        "address": ADDRESS,
        "plaintext_private_key": b"k" * 32,
        "credential": in_clear(),
        **options,
    }
    return lambda: wallet_pb.ImportWalletRequest(
        **{name: value for name, value in fields.items() if value is not None}
    )


def sign(**options: Any) -> Callable[[], Any]:
    """A signature with something wrong with its transaction."""
    fields = {"reference": "r", "transaction": b"x", "wallet_ids": [UNKNOWN_ID], **options}
    item = signing_pb.TransactionToSign(**fields)
    return lambda: signing_pb.SignTransactionRequest(
        request_id=new_id(), session_token=TOKEN, transaction=item
    )


def update(*paths: str, **options: Any) -> Callable[[], Any]:
    """An update with something wrong."""
    wallet = wallet_pb.Wallet(**{"id": UNKNOWN_ID, **options})
    return lambda: wallet_pb.UpdateWalletRequest(wallet=wallet, update_mask=FieldMask(paths=paths))


def list_wallets(**options: Any) -> Callable[[], Any]:
    """A list with something wrong."""
    return lambda: wallet_pb.ListWalletsRequest(**options)


def batch(ids: Sequence[str]) -> Callable[[], Any]:
    """Balances of wallets by id."""
    selection = balance_pb.WalletIdList(ids=ids)
    return lambda: balance_pb.BatchGetBalancesRequest(wallet_ids=selection)


MASTERS = [
    Case("masters.CreateMasterWallet", create(request_id=""), "request_id"),
    Case("masters.CreateMasterWallet", create(request_id="7"), "request_id"),
    Case("masters.CreateMasterWallet", create(request_id="{" + UNKNOWN_ID + "}"), "request_id"),
    Case("masters.CreateMasterWallet", create(word_count=13), "word_count"),
    Case("masters.CreateMasterWallet", create(word_count=0), "word_count"),
    Case("masters.CreateMasterWallet", create(credential=None), "credential"),
    Case("masters.CreateMasterWallet", create(credential=in_clear("")), "credential"),
    Case(
        "masters.CreateMasterWallet",
        create(credential=sealed(b"")),
        "credential.sealed_password",
    ),
    Case("masters.GetMasterWallet", master_pb.GetMasterWalletRequest, "master_wallet_id"),
    Case(
        "masters.GetMasterWallet",
        lambda: master_pb.GetMasterWalletRequest(master_wallet_id=UNKNOWN_ID),
        "master_wallet_id",
        NOT_FOUND,
        "MASTER_WALLET_NOT_FOUND",
    ),
    Case(
        "masters.ListMasterWallets",
        lambda: master_pb.ListMasterWalletsRequest(page_size=-1),
        "page_size",
    ),
    Case(
        "masters.ListMasterWallets",
        lambda: master_pb.ListMasterWalletsRequest(page_token="garbage"),
        "page_token",
    ),
]
DERIVATIONS = [
    Case("wallets.DeriveWallets", derive(count=0), "count"),
    Case("wallets.DeriveWallets", derive(count=-1), "count"),
    Case("wallets.DeriveWallets", derive(count=10_001), "count"),
    Case("wallets.DeriveWallets", derive(count=0, first_index=None), "count"),
    Case("wallets.DeriveWallets", derive(first_index=-1), "first_index"),
    Case("wallets.DeriveWallets", derive(first_index=2**31 - 1, count=2), "first_index"),
    Case(
        "wallets.DeriveWallets",
        derive(first_index=None, credential=sealed(b"x" * 120)),
        "first_index",
    ),
    Case("wallets.DeriveWallets", derive(master_wallet_id="x"), "master_wallet_id"),
    Case("wallets.DeriveWallets", derive(tags=["a"] * 33), "tags"),
    Case("wallets.DeriveWallets", derive(tags=["a" * 65]), "tags"),
    Case("wallets.DeriveWallets", derive(tags=["a\0b"]), "tags"),
    Case(
        "wallets.DeriveWallets",
        derive(),
        "master_wallet_id",
        NOT_FOUND,
        "MASTER_WALLET_NOT_FOUND",
    ),
]
WALLETS = [
    Case("wallets.ImportWallet", import_(address="nonsense"), "address"),
    Case("wallets.ImportWallet", import_(address=ADDRESS + "1"), "address"),
    Case("wallets.ImportWallet", import_(plaintext_private_key=b"k" * 33), "plaintext_private_key"),
    Case("wallets.ImportWallet", import_(plaintext_private_key=None), "sealed_private_key"),
    Case("wallets.ImportWallet", import_(request_id="no"), "request_id"),
    Case("wallets.GetWallet", wallet_pb.GetWalletRequest, "wallet_id"),
    Case(
        "wallets.GetWallet",
        lambda: wallet_pb.GetWalletRequest(wallet_id=UNKNOWN_ID),
        "wallet_id",
        NOT_FOUND,
        "WALLET_NOT_FOUND",
    ),
    Case("wallets.GetWalletByAddress", wallet_pb.GetWalletByAddressRequest, "address"),
    Case(
        "wallets.GetWalletByAddress",
        lambda: wallet_pb.GetWalletByAddressRequest(address=ADDRESS),
        "address",
        NOT_FOUND,
        "WALLET_NOT_FOUND",
    ),
    Case("wallets.UpdateWallet", update(), "update_mask"),
    Case("wallets.UpdateWallet", update("address"), "update_mask"),
    Case("wallets.UpdateWallet", update("tags", "nonsense.path"), "update_mask"),
    Case("wallets.UpdateWallet", update("tags", id="7"), "wallet.id"),
    Case("wallets.UpdateWallet", update("tags", tags=[" "]), "wallet.tags"),
    Case(
        "wallets.UpdateWallet",
        update("display_name", display_name="n" * 101),
        "wallet.display_name",
    ),
    Case("wallets.UpdateWallet", update("tags"), "wallet_id", NOT_FOUND, "WALLET_NOT_FOUND"),
    Case("wallets.AddTag", lambda: wallet_pb.AddTagRequest(wallet_id=UNKNOWN_ID), "tag"),
    Case(
        "wallets.RemoveTag",
        lambda: wallet_pb.RemoveTagRequest(wallet_id=UNKNOWN_ID, tag="t"),
        "wallet_id",
        NOT_FOUND,
        "WALLET_NOT_FOUND",
    ),
    Case(
        "wallets.RecordTrade",
        lambda: wallet_pb.RecordTradeRequest(request_id=new_id(), wallet_id=UNKNOWN_ID),
        "wallet_id",
        NOT_FOUND,
        "WALLET_NOT_FOUND",
    ),
    Case(
        "wallets.DeleteWallet",
        lambda: wallet_pb.DeleteWalletRequest(wallet_id=UNKNOWN_ID, credential=in_clear()),
        "wallet_id",
        NOT_FOUND,
        "WALLET_NOT_FOUND",
    ),
    Case("wallets.ListWallets", list_wallets(page_token="!"), "page_token"),
    Case("wallets.ListWallets", list_wallets(page_size=-5), "page_size"),
    Case("wallets.ListWallets", list_wallets(address_prefix="0"), "address_prefix"),
    Case("wallets.ListWallets", list_wallets(master_wallet_id="7"), "master_wallet_id"),
    Case("wallets.ListWallets", list_wallets(index_min=-1), "index_min"),
    Case("wallets.ListWallets", list_wallets(index_max=2**40), "index_max"),
    Case("wallets.ListWallets", list_wallets(tags=["\x00"]), "tags"),
    Case(
        "wallets.ListWallets",
        list_wallets(create_time_min=Timestamp(seconds=10**15)),
        "create_time_min",
    ),
]
SIGNING = [
    Case(
        "signing.OpenSession",
        lambda: signing_pb.OpenSessionRequest(credential=in_clear()),
        "master_wallet_id",
    ),
    Case(
        "signing.OpenSession",
        lambda: signing_pb.OpenSessionRequest(
            master_wallet_id=UNKNOWN_ID, credential=in_clear(), ttl_seconds=-1
        ),
        "ttl_seconds",
    ),
    Case(
        "signing.OpenSession",
        lambda: signing_pb.OpenSessionRequest(
            wallet_ids=signing_pb.WalletIds(ids=[UNKNOWN_ID]), credential=in_clear()
        ),
        "wallet_ids.ids[0]",
        NOT_FOUND,
        "WALLET_NOT_FOUND",
    ),
    Case(
        "signing.OpenSession",
        lambda: signing_pb.OpenSessionRequest(
            wallet_ids=signing_pb.WalletIds(), credential=in_clear()
        ),
        "wallet_ids.ids",
    ),
    Case(
        "signing.CloseSession",
        lambda: signing_pb.CloseSessionRequest(session_token=b"short"),
        "session_token",
        grpc.StatusCode.UNAUTHENTICATED,
        "SESSION_INVALID",
    ),
    Case(
        "signing.RotatePassword",
        lambda: signing_pb.RotatePasswordRequest(
            master_wallet_id=UNKNOWN_ID, credential=in_clear()
        ),
        "new_credential",
    ),
    Case(
        "signing.SignTransaction",
        sign(transaction=b""),
        "transaction.transaction",
        reason="TRANSACTION_INVALID",
    ),
    Case(
        "signing.SignTransaction",
        sign(transaction=bytes(4_097)),
        "transaction.transaction",
        reason="TRANSACTION_INVALID",
    ),
    Case("signing.SignTransaction", sign(reference="r" * 65), "transaction.reference"),
    Case("signing.SignTransaction", sign(wallet_ids=[]), "transaction.wallet_ids"),
    Case("signing.SignTransaction", sign(wallet_ids=["7"]), "transaction.wallet_ids[0]"),
    Case("signing.SignTransaction", sign(wallet_ids=[UNKNOWN_ID] * 2), "transaction.wallet_ids"),
    Case(
        "signing.SignTransaction",
        sign(),
        "transaction.wallet_ids[0]",
        NOT_FOUND,
        "WALLET_NOT_FOUND",
    ),
    Case(
        "signing.SignTransactions",
        lambda: signing_pb.SignTransactionsRequest(request_id=new_id(), session_token=TOKEN),
        "transactions",
    ),
    Case(
        "signing.SignMessage",
        lambda: signing_pb.SignMessageRequest(
            request_id=new_id(), session_token=TOKEN, wallet_id=UNKNOWN_ID
        ),
        "message",
    ),
    Case("signing.GetPublicKey", signing_pb.GetPublicKeyRequest, "wallet_id"),
    Case(
        "signing.GetPublicKey",
        lambda: signing_pb.GetPublicKeyRequest(signer_box_key=False),
        "signer_box_key",
    ),
]
BALANCES = [
    Case("balances.GetBalance", balance_pb.GetBalanceRequest, "wallet_id"),
    Case(
        "balances.GetBalance",
        lambda: balance_pb.GetBalanceRequest(address="nonsense"),
        "address",
    ),
    Case(
        "balances.GetBalance",
        lambda: balance_pb.GetBalanceRequest(wallet_id=UNKNOWN_ID),
        "wallet_id",
        NOT_FOUND,
        "WALLET_NOT_FOUND",
    ),
    Case("balances.BatchGetBalances", balance_pb.BatchGetBalancesRequest, "wallet_ids"),
    Case("balances.BatchGetBalances", batch([]), "wallet_ids.ids"),
    Case("balances.BatchGetBalances", batch([UNKNOWN_ID] * 10_001), "wallet_ids.ids"),
    Case(
        "balances.BatchGetBalances",
        batch([UNKNOWN_ID]),
        "wallet_ids.ids[0]",
        NOT_FOUND,
        "WALLET_NOT_FOUND",
    ),
]


@pytest.mark.parametrize(
    "cases",
    [MASTERS, DERIVATIONS, WALLETS, SIGNING, BALANCES],
    ids=["masters", "derivations", "wallets", "signing", "balances"],
)
async def test_bad_input_names_its_field_and_harms_nothing(
    gateway: Gateway, cases: list[Case]
) -> None:
    """Each refusal has the code, reason and field expected, and the next request is answered."""
    for case in cases:
        service, method = case.method.split(".")
        call = getattr(getattr(gateway, service), method)(case.request())
        refusal = await (stream_refusal(call) if method == "DeriveWallets" else refusal_of(call))
        expected = (case.name, case.code, case.reason, "gateway.solward", (case.field,))
        assert expected == (
            case.name,
            refusal.code,
            refusal.reason,
            refusal.domain,
            refusal.fields,
        )
        assert case.field == refusal.metadata["field"]
        assert [] == list((await gateway.wallets.ListWallets(list_wallets()())).wallets)


async def test_bytes_that_are_no_message_are_refused(gateway: Gateway) -> None:
    """A request that does not decode is the client's mistake, not the gateway's failure."""
    call: Any = gateway.channel.unary_unary("/solward.gateway.v1.WalletService/GetWallet")
    refusal = await refusal_of(call(b"\xff\xff\xff"))
    assert (INVALID, "INVALID_FIELD") == (refusal.code, refusal.reason)


@pytest.mark.parametrize(
    ("service", "method", "request_message"),
    [
        ("balances", "ListTokenBalances", balance_pb.ListTokenBalancesRequest()),
        ("balances", "ListTransactions", balance_pb.ListTransactionsRequest()),
    ],
)
async def test_what_is_not_there_yet_says_so(
    gateway: Gateway, service: str, method: str, request_message: Any
) -> None:
    """UNIMPLEMENTED, NOT_IMPLEMENTED, and a message that names the call."""
    refusal = await refusal_of(getattr(getattr(gateway, service), method)(request_message))
    assert (grpc.StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED") == (refusal.code, refusal.reason)
    assert refusal.message.startswith(method)
