"""Running a transaction without landing it, and telling a node that will not from one that is away.

A refusal says something of the transaction's format or of the node; an outage says nothing.
"""

import base64
from typing import Final

from gateway.adapters.solana_rpc import wire
from gateway.adapters.solana_rpc.calls import RpcPool
from gateway.adapters.solana_rpc.errors import RpcNodeError
from gateway.adapters.solana_rpc.reads import error_text, require_slot, with_slot
from gateway.domain.chain import Simulation
from gateway.domain.errors import TransactionRejectedError

# "Method not found", and "invalid params": what a node says to bytes that it cannot decode.
_REFUSALS: Final = frozenset({-32601, -32602})


async def read_simulation(pool: RpcPool, wire_bytes: bytes, min_context_slot: int) -> Simulation:
    """Runs a transaction without signature check, with a fresh blockhash, and forgets it.

    Raises TransactionRejectedError if a node says that it does not simulate, or not such bytes, and
    no other may yet; RpcError otherwise.
    """
    options: dict[str, object] = {
        "encoding": "base64",
        "sigVerify": False,
        "replaceRecentBlockhash": True,
        "commitment": "confirmed",
    }
    try:
        answer = await pool.read(
            "simulateTransaction",
            [base64.b64encode(wire_bytes).decode(), with_slot(options, min_context_slot)],
            wire.InContext[wire.SimulationWire],
            lambda found: require_slot(found.context, min_context_slot),
        )
    except RpcNodeError as error:
        if error.code in _REFUSALS:
            raise TransactionRejectedError(error.message) from error
        raise
    found = answer.value
    return Simulation(
        error_text(found.err),
        found.units_consumed or 0,
        found.logs or [],
        found.loaded_accounts_data_size or 0,
    )
