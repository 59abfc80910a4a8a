"""Balances, as a Solana RPC node reports them to the gateway."""

from collections.abc import Callable, Iterator, Sequence

import grpc

from solward.gateway.v1 import balance_service_pb2 as pb
from solward.gateway.v1.balance_service_pb2_grpc import BalanceServiceStub
from solward_client.calls import LONG_TIMEOUT_S, Caller, pages


def select(
    *,
    wallet_ids: Sequence[str] = (),
    addresses: Sequence[str] = (),
    master_wallet_id: str = "",
    tag: str = "",
    policy_group: str = "",
) -> pb.WalletSelection:
    """Select wallets by one of the five: UUIDs, addresses, a master, a tag, a policy group."""
    if master_wallet_id:
        return pb.WalletSelection(master_wallet_id=master_wallet_id)
    if tag:
        return pb.WalletSelection(tag=tag)
    if policy_group:
        return pb.WalletSelection(policy_group=policy_group)
    if wallet_ids:
        return pb.WalletSelection(wallet_ids=pb.WalletIdList(ids=wallet_ids))
    return pb.WalletSelection(addresses=pb.AddressList(addresses=addresses))


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

    def of_group(self, policy_group: str) -> pb.BatchGetBalancesResponse:
        """Return the balances of all wallets in a group of the signer's policy (at most 10,000)."""
        return self._batch(pb.BatchGetBalancesRequest(policy_group=policy_group))

    def total(
        self,
        wallets: pb.WalletSelection,
        *,
        mints: Sequence[str] = (),
        associated_only: bool = False,
        timeout_s: float = LONG_TIMEOUT_S,
    ) -> pb.GetTotalBalancesResponse:
        """Return what up to 10,000 wallets hold together; see `select`."""
        request = pb.GetTotalBalancesRequest(
            wallets=wallets, filter=pb.TokenFilter(mints=mints, associated_only=associated_only)
        )
        return self._caller.read(self._stub.GetTotalBalances, request, timeout_s)

    def stream_tokens(
        self,
        wallets: pb.WalletSelection,
        *,
        mints: Sequence[str] = (),
        associated_only: bool = False,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
        timeout_s: float = LONG_TIMEOUT_S,
    ) -> Iterator[pb.WalletTokenBalances]:
        """Walk through up to 10,000 wallets in order, each with all its token accounts or an error.

        With `mints` only accounts of these; with `associated_only` only the associated ones, which
        is far quicker. `progress` is called with how many wallets are done, and of how many.
        """
        request = pb.StreamTokenBalancesRequest(
            wallets=wallets, filter=pb.TokenFilter(mints=mints, associated_only=associated_only)
        )
        whole: pb.WalletTokenBalances | None = None
        done = 0
        for response in self._caller.stream(self._stub.StreamTokenBalances, request, timeout_s):
            for part in response.wallets:
                if whole is None:
                    whole = part
                else:
                    whole.token_balances.extend(part.token_balances)
                if not part.has_more:
                    whole.has_more = False
                    yield whole
                    whole = None
                    done += 1
            progress(done, response.wallet_count)

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
        self,
        wallet_id: str,
        *,
        before: str = "",
        until: str = "",
        page_size: int = 0,
        include_token_accounts: bool = False,
        mints: Sequence[str] = (),
    ) -> Iterator[pb.TransactionRecord]:
        """Walk through a wallet's finalized transactions, newest first, page by page.

        It begins with what is older than the signature `before` and ends before `until`. What names
        only the wallet's token accounts (all, or those of `mints`) is listed if asked for.
        """

        def fetch(token: str) -> tuple[Sequence[pb.TransactionRecord], str]:
            request = pb.ListTransactionsRequest(
                wallet_id=wallet_id,
                page_size=page_size,
                page_token=token,
                before_signature="" if token else before,
                until_signature=until,
                include_token_accounts=include_token_accounts,
                mints=mints,
            )
            page = self._caller.read(self._stub.ListTransactions, request, LONG_TIMEOUT_S)
            return page.transactions, page.next_page_token

        return pages(fetch)

    def _batch(self, request: pb.BatchGetBalancesRequest) -> pb.BatchGetBalancesResponse:
        return self._caller.read(self._stub.BatchGetBalances, request, LONG_TIMEOUT_S)
