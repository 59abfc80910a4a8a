"""Accounts, however many, in calls of as many as a node takes."""

import asyncio
from collections.abc import Sequence
from typing import Final

from gateway.domain.chain import Account, Chain, Commitment

_PER_CALL: Final = 100


async def read_accounts(
    chain: Chain,
    addresses: Sequence[str],
    commitment: Commitment,
    data_slice: tuple[int, int] | None = None,
    *,
    min_context_slot: int = 0,
    per_call: int = _PER_CALL,
) -> list[Account | None]:
    """Reads accounts, in order, `per_call` (at most 100) in a call.

    Calls may answer at different slots, none before `min_context_slot`. Raises
    ChainUnavailableError.
    """
    readings = await asyncio.gather(
        *(
            chain.get_accounts(
                addresses[start : start + per_call], commitment, data_slice, min_context_slot
            )
            for start in range(0, len(addresses), per_call)
        )
    )
    return [account for reading in readings for account in reading.accounts]
