"""A client of real gateway processes, and how their calls fail."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import grpc
import pytest
from solders.hash import Hash
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction

from solward.gateway.v1 import distribution_service_pb2_grpc
from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from solward.gateway.v1 import master_wallet_service_pb2_grpc as master_grpc
from solward.gateway.v1 import signing_service_pb2 as signing_pb
from solward.gateway.v1 import signing_service_pb2_grpc as signing_grpc
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from solward.gateway.v1 import wallet_service_pb2_grpc as wallet_grpc
from tests.gateway.support import in_clear, new_id

CANARY = "canary-password-2f9c1e77"


class Client:
    """Stubs of a running gateway."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.masters = master_grpc.MasterWalletServiceStub(channel)
        self.wallets = wallet_grpc.WalletServiceStub(channel)
        self.signing = signing_grpc.SigningServiceStub(channel)
        self.distributions = distribution_service_pb2_grpc.DistributionServiceStub(channel)

    def create_master(self, password: str = CANARY) -> master_pb.MasterWallet:
        """Makes a master wallet."""
        request = master_pb.CreateMasterWalletRequest(
            request_id=new_id(), word_count=24, credential=in_clear(password)
        )
        return self.masters.CreateMasterWallet(request).master_wallet

    def derive(self, master: master_pb.MasterWallet, count: int) -> Iterator[Any]:
        """Derives from index 0 with the canary password."""
        request = wallet_pb.DeriveWalletsRequest(
            request_id=new_id(),
            master_wallet_id=master.id,
            first_index=0,
            count=count,
            credential=in_clear(CANARY),
        )
        return self.wallets.DeriveWallets(request)

    def first_wallets(self, count: int) -> list[wallet_pb.Wallet]:
        """The first stored wallets."""
        page = self.wallets.ListWallets(wallet_pb.ListWalletsRequest(page_size=count))
        return list(page.wallets)

    def session(self, master: master_pb.MasterWallet, password: str = CANARY) -> bytes:
        """Opens a session for a master."""
        request = signing_pb.OpenSessionRequest(
            master_wallet_id=master.id, credential=in_clear(password)
        )
        return self.signing.OpenSession(request).session_token


def transaction(source: str, destination: str, lamports: int = 1) -> bytes:
    """An unsigned transfer."""
    payer = Pubkey.from_string(source)
    instruction = transfer(
        TransferParams(
            from_pubkey=payer, to_pubkey=Pubkey.from_string(destination), lamports=lamports
        )
    )
    message = Message.new_with_blockhash([instruction], payer, Hash.default())
    return bytes(Transaction.new_unsigned(message))


def sign_request(
    token: bytes, wallet: wallet_pb.Wallet, wire: bytes
) -> signing_pb.SignTransactionRequest:
    """A request to sign by one wallet."""
    item = signing_pb.TransactionToSign(transaction=wire, wallet_ids=[wallet.id])
    return signing_pb.SignTransactionRequest(
        request_id=new_id(), session_token=token, transaction=item
    )


def code_of(call: Callable[[], Any]) -> grpc.StatusCode:
    """How a call that must fail fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return status_code(caught.value)


def status_code(error: grpc.RpcError) -> grpc.StatusCode:
    """The code of a failed call, which its type does not say it has."""
    code: grpc.StatusCode = cast(Any, error).code()
    return code
