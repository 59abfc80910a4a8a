"""BalanceService."""

from collections.abc import Sequence
from typing import NoReturn

from gateway.api import fields
from gateway.domain.addresses import require_address
from gateway.domain.amounts import U64_MAX
from gateway.domain.chain import BalanceReading
from gateway.domain.errors import ChainUnavailableError
from gateway.domain.requests import require_uuid
from gateway.errors import NotServedError
from gateway.workflows.balances import WALLETS_MAX, BalanceWorkflows
from solward.gateway.v1 import balance_service_pb2 as pb
from solward.gateway.v1 import balance_service_pb2_grpc as pb_grpc


class BalanceService(pb_grpc.BalanceServiceServicer):
    """Reads balances from the cluster."""

    def __init__(self, workflows: BalanceWorkflows) -> None:
        self._workflows = workflows

    async def GetBalance(
        self, request: pb.GetBalanceRequest, _context: object
    ) -> pb.GetBalanceResponse:
        kind = request.WhichOneof("wallet")
        if kind == "wallet_id":
            reading = await self._workflows.of_wallet(require_uuid(request.wallet_id, kind))
        elif kind == "address":
            reading = await self._workflows.of_address(request.address)
        else:
            raise fields.one_of_missing("wallet_id", "address")
        return pb.GetBalanceResponse(
            address=reading.address,
            balance_lamports=reading.balance_lamports,
            context_slot=reading.context_slot,
        )

    async def BatchGetBalances(
        self, request: pb.BatchGetBalancesRequest, _context: object
    ) -> pb.BatchGetBalancesResponse:
        kind = request.WhichOneof("selection")
        if kind == "wallet_ids":
            ids = fields.uuids(request.wallet_ids.ids, "wallet_ids.ids", WALLETS_MAX)
            readings = await self._workflows.of_wallets(ids)
        elif kind == "addresses":
            readings = await self._workflows.of_addresses(_addresses(request.addresses.addresses))
        elif kind == "master_wallet_id":
            master_id = require_uuid(request.master_wallet_id, kind)
            readings = await self._workflows.of_master(master_id)
        else:
            raise fields.one_of_missing("wallet_ids", "addresses", "master_wallet_id")
        return _response(readings)

    async def ListTokenBalances(
        self, _request: pb.ListTokenBalancesRequest, _context: object
    ) -> NoReturn:
        raise NotServedError("ListTokenBalances: token accounts are not read yet")

    async def ListTransactions(
        self, _request: pb.ListTransactionsRequest, _context: object
    ) -> NoReturn:
        raise NotServedError("ListTransactions: transaction history is not read yet")


def _addresses(values: Sequence[str]) -> list[str]:
    field = "addresses.addresses"
    fields.require_count(len(values), field, WALLETS_MAX)
    return [require_address(value, f"{field}[{place}]") for place, value in enumerate(values)]


def _response(readings: Sequence[BalanceReading]) -> pb.BatchGetBalancesResponse:
    total_lamports = sum(reading.balance_lamports for reading in readings)
    if total_lamports > U64_MAX:  # no cluster holds so much: the node is lying
        raise ChainUnavailableError("the RPC node's balances sum to more than 2**64-1")
    return pb.BatchGetBalancesResponse(
        balances=[
            pb.WalletBalance(
                address=reading.address,
                balance_lamports=reading.balance_lamports,
                context_slot=reading.context_slot,
                error_reason=reading.error_reason,
            )
            for reading in readings
        ],
        total_lamports=total_lamports,
        error_count=sum(1 for reading in readings if reading.error_reason),
    )
