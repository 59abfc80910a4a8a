"""BalanceService."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from gateway.api import balances_messages as messages
from gateway.api import fields
from gateway.api.interceptor import Context
from gateway.domain import deadline
from gateway.domain.addresses import require_address
from gateway.domain.ports import Clock
from gateway.domain.requests import require_uuid
from gateway.workflows.balances import WALLETS_MAX, BalanceWorkflows
from gateway.workflows.history import HistoryWorkflows
from gateway.workflows.tokens import TokenWorkflows
from solward.gateway.v1 import balance_service_pb2 as pb
from solward.gateway.v1 import balance_service_pb2_grpc as pb_grpc


class BalanceService(pb_grpc.BalanceServiceServicer):
    """Reads balances, tokens and history from the cluster, for as long as the caller waits."""

    def __init__(
        self,
        balances: BalanceWorkflows,
        tokens: TokenWorkflows,
        history: HistoryWorkflows,
        clock: Clock,
    ) -> None:
        self._balances = balances
        self._tokens = tokens
        self._history = history
        self._clock = clock

    def _while_awaited(self, context: Context) -> AbstractContextManager[None]:
        return deadline.within(context.time_remaining(), self._clock.monotonic_s())

    async def GetBalance(
        self, request: pb.GetBalanceRequest, context: Context
    ) -> pb.GetBalanceResponse:
        kind = request.WhichOneof("wallet")
        with self._while_awaited(context):
            if kind == "wallet_id":
                reading = await self._balances.of_wallet(require_uuid(request.wallet_id, kind))
            elif kind == "address":
                reading = await self._balances.of_address(request.address)
            else:
                raise fields.one_of_missing("wallet_id", "address")
        return pb.GetBalanceResponse(
            address=reading.address,
            balance_lamports=reading.balance_lamports,
            context_slot=reading.context_slot,
        )

    async def BatchGetBalances(
        self, request: pb.BatchGetBalancesRequest, context: Context
    ) -> pb.BatchGetBalancesResponse:
        kind = request.WhichOneof("selection")
        with self._while_awaited(context):
            if kind == "wallet_ids":
                ids = fields.uuids(request.wallet_ids.ids, "wallet_ids.ids", WALLETS_MAX)
                readings = await self._balances.of_wallets(ids)
            elif kind == "addresses":
                addresses = _addresses(request.addresses.addresses)
                readings = await self._balances.of_addresses(addresses)
            elif kind == "master_wallet_id":
                master_id = require_uuid(request.master_wallet_id, kind)
                readings = await self._balances.of_master(master_id)
            elif kind == "tag":
                readings = await self._balances.of_tag(request.tag)
            else:
                raise fields.one_of_missing("wallet_ids", "addresses", "master_wallet_id", "tag")
        return messages.balances(readings)

    async def ListTokenBalances(
        self, request: pb.ListTokenBalancesRequest, context: Context
    ) -> pb.ListTokenBalancesResponse:
        wallet_id = require_uuid(request.wallet_id, "wallet_id")
        with self._while_awaited(context):
            page = await self._tokens.list_page(wallet_id, request.page_size, request.page_token)
        return pb.ListTokenBalancesResponse(
            token_balances=[messages.token_balance(holding) for holding in page.holdings],
            next_page_token=page.next_page_token,
            context_slot=page.context_slot,
        )

    async def ListTransactions(
        self, request: pb.ListTransactionsRequest, context: Context
    ) -> pb.ListTransactionsResponse:
        wallet_id = require_uuid(request.wallet_id, "wallet_id")
        with self._while_awaited(context):
            page = await self._history.list_page(
                wallet_id,
                request.page_size,
                request.page_token,
                before=request.before_signature,
                until=request.until_signature,
            )
        return pb.ListTransactionsResponse(
            transactions=[messages.transaction(entry) for entry in page.entries],
            next_page_token=page.next_page_token,
        )


def _addresses(values: Sequence[str]) -> list[str]:
    field = "addresses.addresses"
    fields.require_count(len(values), field, WALLETS_MAX)
    return [require_address(value, f"{field}[{place}]") for place, value in enumerate(values)]
