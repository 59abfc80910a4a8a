"""Balances, as a Solana RPC node reports them to the gateway."""

from collections.abc import Iterator, Sequence

import grpc

from solward.gateway.v1 import balance_service_pb2 as pb
from solward.gateway.v1.balance_service_pb2_grpc import BalanceServiceStub
from solward_client.calls import LONG_TIMEOUT_S, Caller, pages


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

    def of_tag(self, tag: str) -> pb.BatchGetBalancesResponse:
        """Return the balances of all wallets with a tag (at most 10,000), oldest wallet first."""
        return self._batch(pb.BatchGetBalancesRequest(tag=tag))

    def tokens(self, wallet_id: str, *, page_size: int = 0) -> Iterator[pb.TokenBalance]:
        """Walk through a wallet's token accounts, in order of their addresses, page by page."""

        def fetch(token: str) -> tuple[Sequence[pb.TokenBalance], str]:
            request = pb.ListTokenBalancesRequest(
                wallet_id=wallet_id, page_size=page_size, page_token=token
            )
            page = self._caller.read(self._stub.ListTokenBalances, request, LONG_TIMEOUT_S)
            return page.token_balances, page.next_page_token

        return pages(fetch)

    def history(
        self, wallet_id: str, *, before: str = "", until: str = "", page_size: int = 0
    ) -> Iterator[pb.TransactionRecord]:
        """Walk through a wallet's finalized transactions, newest first, page by page.

        It begins with what is older than the signature `before` and ends before `until`.
        """

        def fetch(token: str) -> tuple[Sequence[pb.TransactionRecord], str]:
            request = pb.ListTransactionsRequest(
                wallet_id=wallet_id,
                page_size=page_size,
                page_token=token,
                before_signature="" if token else before,
                until_signature=until,
            )
            page = self._caller.read(self._stub.ListTransactions, request, LONG_TIMEOUT_S)
            return page.transactions, page.next_page_token

        return pages(fetch)

    def _batch(self, request: pb.BatchGetBalancesRequest) -> pb.BatchGetBalancesResponse:
        return self._caller.read(self._stub.BatchGetBalances, request, LONG_TIMEOUT_S)
