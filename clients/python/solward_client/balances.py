"""Balances, as a Solana RPC node reports them to the gateway."""

from collections.abc import Sequence

import grpc

from solward.gateway.v1 import balance_service_pb2 as pb
from solward.gateway.v1.balance_service_pb2_grpc import BalanceServiceStub
from solward_client.calls import LONG_TIMEOUT_S, Caller


class Balances:
    """Reads balances. Every method raises SolwardError."""

    def __init__(self, channel: grpc.Channel, caller: Caller) -> None:
        """Take the channel to the gateway."""
        self._stub = BalanceServiceStub(channel)
        self._caller = caller

    def get(self, *, wallet_id: str = "", address: str = "") -> pb.GetBalanceResponse:
        """Return the balance of a wallet (UUID) or of any address."""
        request = (
            pb.GetBalanceRequest(wallet_id=wallet_id)
            if wallet_id
            else pb.GetBalanceRequest(address=address)
        )
        return self._caller.read(self._stub.GetBalance, request)

    def of_addresses(self, addresses: Sequence[str]) -> pb.BatchGetBalancesResponse:
        """Return the balances of up to 10,000 addresses, in order."""
        return self._batch(
            pb.BatchGetBalancesRequest(addresses=pb.AddressList(addresses=addresses))
        )

    def of_wallets(self, wallet_ids: Sequence[str]) -> pb.BatchGetBalancesResponse:
        """Return the balances of up to 10,000 wallets by UUID, in order."""
        return self._batch(pb.BatchGetBalancesRequest(wallet_ids=pb.WalletIdList(ids=wallet_ids)))

    def of_master(self, master_wallet_id: str) -> pb.BatchGetBalancesResponse:
        """Return the balances of a master's wallets (at most 10,000), in index order."""
        return self._batch(pb.BatchGetBalancesRequest(master_wallet_id=master_wallet_id))

    def _batch(self, request: pb.BatchGetBalancesRequest) -> pb.BatchGetBalancesResponse:
        return self._caller.read(self._stub.BatchGetBalances, request, LONG_TIMEOUT_S)
