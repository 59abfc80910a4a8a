"""Requests for streams of token balances, and all that comes of one."""

from typing import Any

from solward.gateway.v1 import balance_service_pb2 as pb
from tests.gateway.support import Gateway


def of(*addresses: object, **options: Any) -> pb.StreamTokenBalancesRequest:
    """A request for addresses, with a filter."""
    return pb.StreamTokenBalancesRequest(
        wallets=pb.WalletSelection(addresses=pb.AddressList(addresses=map(str, addresses))),
        filter=pb.TokenFilter(**options),
    )


async def streamed(
    gateway: Gateway, request: pb.StreamTokenBalancesRequest
) -> list[pb.WalletTokenBalances]:
    """All wallets of a stream."""
    found = []
    async for response in gateway.balances.StreamTokenBalances(request):
        found += response.wallets
    return found
