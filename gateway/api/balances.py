"""BalanceService."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager, aclosing

from gateway.api import balances_messages as messages
from gateway.api import fields
from gateway.api.interceptor import Context
from gateway.domain import deadline
from gateway.domain.addresses import require_address
from gateway.domain.errors import InvalidArgumentError
from gateway.domain.ports import Clock
from gateway.domain.requests import require_uuid
from gateway.domain.selections import (
    WALLETS_MAX,
    ByAddresses,
    ByIds,
    OfGroup,
    OfMaster,
    OfTag,
    Selection,
)
from gateway.domain.tokens import TokenFilter
from gateway.workflows.balances import BalanceWorkflows
from gateway.workflows.history import HistoryQuery, HistoryWorkflows
from gateway.workflows.selections import Selections
from gateway.workflows.tokens import MINTS_MAX, TokenWorkflows
from solward.gateway.v1 import balance_service_pb2 as pb
from solward.gateway.v1 import balance_service_pb2_grpc as pb_grpc


class BalanceService(pb_grpc.BalanceServiceServicer):
    """Reads balances, tokens and history from the cluster, for as long as the caller waits."""

    def __init__(
        self,
        selections: Selections,
        balances: BalanceWorkflows,
        tokens: TokenWorkflows,
        history: HistoryWorkflows,
        clock: Clock,
    ) -> None:
        self._selections = selections
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
        selection = _selection(request)
        with self._while_awaited(context):
            addresses = await self._selections.addresses(selection)
            readings = await self._balances.of_addresses(addresses)
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

    async def StreamTokenBalances(
        self, request: pb.StreamTokenBalancesRequest, context: Context
    ) -> AsyncGenerator[pb.StreamTokenBalancesResponse, None]:
        selection, token_filter = _selection(request.wallets), _token_filter(request.filter)
        with self._while_awaited(context):
            addresses = await self._selections.addresses(selection)
            async with aclosing(self._tokens.stream(addresses, token_filter)) as batches:
                async for batch in batches:
                    for response in messages.token_balances(batch, len(addresses)):
                        yield response

    async def GetTotalBalances(
        self, request: pb.GetTotalBalancesRequest, context: Context
    ) -> pb.GetTotalBalancesResponse:
        selection, token_filter = _selection(request.wallets), _token_filter(request.filter)
        with self._while_awaited(context):
            addresses = await self._selections.addresses(selection)
            totals = await self._tokens.total(addresses, token_filter)
        return messages.totals(totals)

    async def ListTransactions(
        self, request: pb.ListTransactionsRequest, context: Context
    ) -> pb.ListTransactionsResponse:
        query = HistoryQuery(
            require_uuid(request.wallet_id, "wallet_id"),
            request.before_signature,
            request.until_signature,
            request.include_token_accounts,
            _mints(request.mints, "mints"),
        )
        with self._while_awaited(context):
            page = await self._history.list_page(query, request.page_size, request.page_token)
        return pb.ListTransactionsResponse(
            transactions=[messages.transaction(entry) for entry in page.entries],
            next_page_token=page.next_page_token,
        )


def _selection(request: pb.BatchGetBalancesRequest | pb.WalletSelection) -> Selection:
    kind = request.WhichOneof("selection")
    if kind == "wallet_ids":
        return ByIds(fields.uuids(request.wallet_ids.ids, "wallet_ids.ids", WALLETS_MAX))
    if kind == "addresses":
        return ByAddresses(_addresses(request.addresses.addresses))
    if kind == "master_wallet_id":
        return OfMaster(require_uuid(request.master_wallet_id, kind))
    if kind == "tag":
        return OfTag(request.tag)
    if kind == "policy_group":
        return OfGroup(request.policy_group)
    raise fields.one_of_missing(
        "wallet_ids", "addresses", "master_wallet_id", "tag", "policy_group"
    )


def _token_filter(request: pb.TokenFilter) -> TokenFilter:
    mints = _mints(request.mints, "filter.mints")
    if request.associated_only and not mints:
        raise InvalidArgumentError("associated_only needs mints", field="filter.mints")
    return TokenFilter(mints, request.associated_only)


def _mints(values: Sequence[str], field: str) -> tuple[str, ...]:
    if len(values) > MINTS_MAX:
        raise InvalidArgumentError(f"{field} must be at most {MINTS_MAX}", field=field)
    named = [require_address(value, f"{field}[{place}]") for place, value in enumerate(values)]
    return tuple(dict.fromkeys(named))


def _addresses(values: Sequence[str]) -> list[str]:
    field = "addresses.addresses"
    fields.require_count(len(values), field, WALLETS_MAX)
    return [require_address(value, f"{field}[{place}]") for place, value in enumerate(values)]
