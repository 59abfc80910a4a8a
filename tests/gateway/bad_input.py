"""Requests with one mistake each, and how each is refused."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from tests.gateway.support import in_clear, new_id, sealed

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


def update(*paths: str, **options: Any) -> Callable[[], Any]:
    """An update with something wrong."""
    wallet = wallet_pb.Wallet(**{"id": UNKNOWN_ID, **options})
    return lambda: wallet_pb.UpdateWalletRequest(wallet=wallet, update_mask=FieldMask(paths=paths))


def list_wallets(**options: Any) -> Callable[[], Any]:
    """A list with something wrong."""
    return lambda: wallet_pb.ListWalletsRequest(**options)


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
    Case("wallets.DeriveWallets", derive(tags=list(map(str, range(51)))), "tags"),
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
    Case("wallets.UpdateWallet", update("tags", tags=list(map(str, range(51)))), "wallet.tags"),
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
