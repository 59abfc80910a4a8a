"""Solana JSON-RPC over plain HTTP, for nodes that are not to be trusted.

What a node sends is decoded into typed structures and nothing else. Malformed, oversized, mistyped,
truncated or contradictory answers are RpcError: never a wrong number and never a crash. (Parsers of
the solders package panic past `except Exception`, so they are not used on answers.)
"""

from gateway.adapters.solana_rpc.budgets import Rates
from gateway.adapters.solana_rpc.calls import RpcPool
from gateway.adapters.solana_rpc.circuit import EndpointSnapshot
from gateway.adapters.solana_rpc.client import SolanaRpc
from gateway.adapters.solana_rpc.errors import RpcError, RpcNodeError
from gateway.adapters.solana_rpc.finality import Agreement
from gateway.adapters.solana_rpc.observing import SILENT, Observer
from gateway.adapters.solana_rpc.pool import EndpointPool, ReadRetries, SingleEndpoint
from gateway.adapters.solana_rpc.transport import Endpoint, EndpointLimits

__all__ = [
    "SILENT",
    "Agreement",
    "Endpoint",
    "EndpointLimits",
    "EndpointPool",
    "EndpointSnapshot",
    "Observer",
    "Rates",
    "ReadRetries",
    "RpcError",
    "RpcNodeError",
    "RpcPool",
    "SingleEndpoint",
    "SolanaRpc",
]
