"""Master wallets."""

from collections.abc import Iterator
from uuid import uuid4

import grpc

from solward.gateway.v1 import master_wallet_service_pb2 as pb
from solward.gateway.v1.master_wallet_service_pb2_grpc import MasterWalletServiceStub
from solward_client.calls import Caller, pages
from solward_client.credentials import Sealer

PAGE_SIZE = 1_000


class Masters:
    """Creates and finds master wallets. Every method raises SolwardError."""

    def __init__(self, channel: grpc.Channel, caller: Caller, sealer: Sealer) -> None:
        """Take the channel to the gateway."""
        self._stub = MasterWalletServiceStub(channel)
        self._caller = caller
        self._sealer = sealer

    def create(
        self, password: str, *, word_count: int = 24, request_id: str | None = None
    ) -> pb.MasterWallet:
        """Create a master whose mnemonic (12 or 24 words) nobody sees."""
        request_id = request_id or str(uuid4())
        request = pb.CreateMasterWalletRequest(
            request_id=request_id,
            word_count=word_count,
            credential=self._sealer.credential(
                password, "CreateMasterWallet", (request_id, word_count)
            ),
        )
        return self._caller.write(self._stub.CreateMasterWallet, request).master_wallet

    def get(self, master_wallet_id: str) -> pb.MasterWallet:
        """Return one master."""
        request = pb.GetMasterWalletRequest(master_wallet_id=master_wallet_id)
        return self._caller.read(self._stub.GetMasterWallet, request).master_wallet

    def list(self) -> Iterator[pb.MasterWallet]:
        """Walk through all masters, oldest first."""

        def fetch(token: str) -> tuple[list[pb.MasterWallet], str]:
            request = pb.ListMasterWalletsRequest(page_size=PAGE_SIZE, page_token=token)
            page = self._caller.read(self._stub.ListMasterWallets, request)
            return list(page.master_wallets), page.next_page_token

        return pages(fetch)
