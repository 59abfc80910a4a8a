"""MasterWalletService."""

from gateway.api import fields
from gateway.domain.custody import key_id_of
from gateway.domain.requests import require_uuid
from gateway.domain.wallets import MasterWallet
from gateway.workflows.masters import MasterWorkflows
from solward.gateway.v1 import master_wallet_service_pb2 as pb
from solward.gateway.v1 import master_wallet_service_pb2_grpc as pb_grpc


class MasterWalletService(pb_grpc.MasterWalletServiceServicer):
    """Creates and lists master wallets."""

    def __init__(self, workflows: MasterWorkflows) -> None:
        self._workflows = workflows

    async def CreateMasterWallet(
        self, request: pb.CreateMasterWalletRequest, _context: object
    ) -> pb.CreateMasterWalletResponse:
        master = await self._workflows.create(
            fields.request_id(request.request_id),
            request.word_count,
            fields.credential(request.credential),
        )
        return pb.CreateMasterWalletResponse(master_wallet=_message(master))

    async def GetMasterWallet(
        self, request: pb.GetMasterWalletRequest, _context: object
    ) -> pb.GetMasterWalletResponse:
        master = await self._workflows.get(
            require_uuid(request.master_wallet_id, "master_wallet_id")
        )
        return pb.GetMasterWalletResponse(master_wallet=_message(master))

    async def ListMasterWallets(
        self, request: pb.ListMasterWalletsRequest, _context: object
    ) -> pb.ListMasterWalletsResponse:
        page = await self._workflows.list_page(request.page_size, request.page_token)
        return pb.ListMasterWalletsResponse(
            master_wallets=[_message(master) for master in page.items],
            next_page_token=page.next_page_token,
        )


def _message(master: MasterWallet) -> pb.MasterWallet:
    message = pb.MasterWallet(
        id=str(master.id),
        fingerprint=master.fingerprint,
        key_group=master.key_group,
        key_id=key_id_of(master.encrypted_mnemonic),
        derived_count=master.derived_count,
    )
    message.create_time.FromDatetime(master.created_at)
    return message
