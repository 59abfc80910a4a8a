"""WalletService."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from gateway.api import fields
from gateway.domain.amounts import require_u64
from gateway.domain.custody import Secret, key_id_of
from gateway.domain.errors import InvalidArgumentError
from gateway.domain.requests import require_uuid
from gateway.domain.wallets import (
    DERIVATION_INDEX_MAX,
    IMPORTED_INDEX,
    Wallet,
    WalletFilter,
    require_name,
    require_tag,
    require_tags,
)
from gateway.workflows.derivation import Derivation, DeriveCommand
from gateway.workflows.wallets import WalletWorkflows
from solward.gateway.v1 import wallet_service_pb2 as pb
from solward.gateway.v1 import wallet_service_pb2_grpc as pb_grpc

_UPDATABLE: Final = ("tags", "display_name")


class WalletService(pb_grpc.WalletServiceServicer):
    """Derives, imports, finds, tags and deletes wallets."""

    def __init__(self, workflows: WalletWorkflows, derivation: Derivation) -> None:
        self._workflows = workflows
        self._derivation = derivation

    async def DeriveWallets(
        self, request: pb.DeriveWalletsRequest, _context: object
    ) -> AsyncGenerator[pb.DeriveWalletsResponse, None]:
        command = DeriveCommand(
            request_id=fields.request_id(request.request_id),
            master_wallet_id=require_uuid(request.master_wallet_id, "master_wallet_id"),
            first_index=request.first_index if request.HasField("first_index") else None,
            count=request.count,
            tags=require_tags(request.tags),
            password=fields.credential(request.credential),
        )
        async with aclosing(self._derivation.derive(command)) as reports:
            async for report in reports:
                yield pb.DeriveWalletsResponse(
                    derived_count=report.derived_count,
                    total_count=report.total_count,
                    done=report.done,
                    created_count=report.created_count,
                    first_index=report.first_index,
                )

    async def ImportWallet(
        self, request: pb.ImportWalletRequest, _context: object
    ) -> pb.ImportWalletResponse:
        wallet = await self._workflows.import_wallet(
            fields.request_id(request.request_id),
            request.address,
            _private_key(request),
            fields.credential(request.credential),
            require_tags(request.tags),
        )
        return pb.ImportWalletResponse(wallet=message(wallet))

    async def GetWallet(
        self, request: pb.GetWalletRequest, _context: object
    ) -> pb.GetWalletResponse:
        wallet = await self._workflows.get(require_uuid(request.wallet_id, "wallet_id"))
        return pb.GetWalletResponse(wallet=message(wallet))

    async def GetWalletByAddress(
        self, request: pb.GetWalletByAddressRequest, _context: object
    ) -> pb.GetWalletByAddressResponse:
        wallet = await self._workflows.get_by_address(request.address)
        return pb.GetWalletByAddressResponse(wallet=message(wallet))

    async def ListWallets(
        self, request: pb.ListWalletsRequest, _context: object
    ) -> pb.ListWalletsResponse:
        page = await self._workflows.list_page(
            _filter(request), request.page_size, request.page_token
        )
        return pb.ListWalletsResponse(
            wallets=[message(wallet) for wallet in page.items],
            next_page_token=page.next_page_token,
        )

    async def UpdateWallet(
        self, request: pb.UpdateWalletRequest, _context: object
    ) -> pb.UpdateWalletResponse:
        paths = set(request.update_mask.paths)
        if not paths:
            raise InvalidArgumentError("update_mask is empty", field="update_mask")
        if not paths.issubset(_UPDATABLE):
            raise InvalidArgumentError(
                f"update_mask may name {' and '.join(_UPDATABLE)} only", field="update_mask"
            )
        new = request.wallet
        wallet = await self._workflows.update(
            require_uuid(new.id, "wallet.id"),
            name=require_name(new.display_name, "wallet.display_name")
            if "display_name" in paths
            else None,
            tags=require_tags(new.tags, "wallet.tags") if "tags" in paths else None,
        )
        return pb.UpdateWalletResponse(wallet=message(wallet))

    async def DeleteWallet(
        self, request: pb.DeleteWalletRequest, _context: object
    ) -> pb.DeleteWalletResponse:
        await self._workflows.delete(
            require_uuid(request.wallet_id, "wallet_id"), fields.credential(request.credential)
        )
        return pb.DeleteWalletResponse()

    async def AddTag(self, request: pb.AddTagRequest, _context: object) -> pb.AddTagResponse:
        wallet_id = require_uuid(request.wallet_id, "wallet_id")
        wallet = await self._workflows.add_tag(wallet_id, require_tag(request.tag))
        return pb.AddTagResponse(wallet=message(wallet))

    async def RemoveTag(
        self, request: pb.RemoveTagRequest, _context: object
    ) -> pb.RemoveTagResponse:
        wallet_id = require_uuid(request.wallet_id, "wallet_id")
        wallet = await self._workflows.remove_tag(wallet_id, require_tag(request.tag))
        return pb.RemoveTagResponse(wallet=message(wallet))

    async def RecordTrade(
        self, request: pb.RecordTradeRequest, _context: object
    ) -> pb.RecordTradeResponse:
        wallet = await self._workflows.record_trade(
            fields.request_id(request.request_id),
            require_uuid(request.wallet_id, "wallet_id"),
            require_u64(request.volume_lamports, "volume_lamports"),
        )
        return pb.RecordTradeResponse(wallet=message(wallet))


def _private_key(request: pb.ImportWalletRequest) -> Secret:
    kind = request.WhichOneof("private_key")
    if kind == "sealed_private_key":
        return fields.sealed(request.sealed_private_key, kind)
    if kind != "plaintext_private_key":
        raise fields.one_of_missing("sealed_private_key", "plaintext_private_key")
    if len(request.plaintext_private_key) not in (32, 64):
        raise InvalidArgumentError(f"{kind} must be 32 or 64 bytes", field=kind)
    return Secret(plaintext=request.plaintext_private_key)


def _filter(request: pb.ListWalletsRequest) -> WalletFilter:
    for name in ("index_min", "index_max"):
        if request.HasField(name) and not 0 <= getattr(request, name) <= DERIVATION_INDEX_MAX:
            raise InvalidArgumentError(f"{name} is no derivation index", field=name)
    master = request.master_wallet_id
    return WalletFilter(
        tags_all=require_tags(request.tags, "tags"),
        master_wallet_id=require_uuid(master, "master_wallet_id") if master else None,
        address_prefix=request.address_prefix,
        index_first=request.index_min if request.HasField("index_min") else None,
        index_last=request.index_max if request.HasField("index_max") else None,
        created_from=fields.timestamp(request.create_time_min, "create_time_min")
        if request.HasField("create_time_min")
        else None,
        created_before=fields.timestamp(request.create_time_max, "create_time_max")
        if request.HasField("create_time_max")
        else None,
    )


def message(wallet: Wallet) -> pb.Wallet:
    """Returns a wallet's message. Its sealed key stays behind."""
    result = pb.Wallet(
        id=str(wallet.id),
        address=wallet.address,
        derivation_index=IMPORTED_INDEX
        if wallet.derivation_index is None
        else wallet.derivation_index,
        master_wallet_id="" if wallet.master_wallet_id is None else str(wallet.master_wallet_id),
        tags=wallet.tags,
        trade_count=wallet.total_trades,
        volume_lamports=wallet.total_volume_lamports,
        key_group=wallet.key_group,
        key_id=key_id_of(wallet.encrypted_private_key),
        display_name=wallet.name,
    )
    result.create_time.FromDatetime(wallet.created_at)
    if wallet.last_used_at is not None:
        result.last_use_time.FromDatetime(wallet.last_used_at)
    return result
