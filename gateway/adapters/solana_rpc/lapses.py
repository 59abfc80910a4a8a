"""Whether a transaction can still land, or has: what several providers, each by itself, know of it.

A provider proves that a transaction never landed if all of this comes from itself, in this order:
its finalized height is past the transaction's last valid one, and as many slots went by as that
takes; its history reaches back to where the transaction could first have landed; it finds no status
in that history, at a slot that is not behind its own finalized one. One that fell back, or forgot,
proves nothing.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from gateway.adapters.solana_rpc.errors import RpcError, RpcNodeError
from gateway.domain.chain import (
    Commitment,
    LapsedTransaction,
    LapseReading,
    SignatureReading,
    SignatureStatus,
)

_BLOCKHASH_LIFE_BLOCKS: Final = 150
_RANKS: Final = {"processed": 0, "confirmed": 1, "finalized": 2}


class Provider(Protocol):
    """The calls that are asked of one endpoint."""

    async def get_block_height(self, commitment: Commitment = "finalized") -> int:
        """Returns the block height."""
        ...

    async def get_slot(self, commitment: Commitment = "confirmed") -> int:
        """Returns the slot."""
        ...

    async def get_first_available_slot(self) -> int:
        """Returns the first slot of the node's history."""
        ...

    async def get_signature_statuses(
        self, signatures: Sequence[str], *, search_history: bool
    ) -> SignatureReading:
        """Returns statuses."""
        ...


@dataclass(frozen=True, slots=True)
class _Testimony:
    """What one provider says of each transaction: its status, or why its silence proves nothing."""

    statuses: Sequence[SignatureStatus | None]
    objections: Sequence[str]


async def read_lapsed(
    providers: Sequence[Provider], items: Sequence[LapsedTransaction], providers_min: int
) -> list[LapseReading]:
    """Asks every provider about up to 256 transactions; raises RpcError if none of them answers."""
    answers = await asyncio.gather(*(_ask(provider, items) for provider in providers))
    heard = [answer for answer in answers if isinstance(answer, _Testimony)]
    if not heard:
        raise next(answer for answer in answers if isinstance(answer, RpcError))
    silent = len(answers) - len(heard)
    return [
        replace(_weigh(heard, place, providers_min), silent_count=silent)
        for place in range(len(items))
    ]


async def _ask(provider: Provider, items: Sequence[LapsedTransaction]) -> _Testimony | RpcError:
    try:
        height = await provider.get_block_height("finalized")
        first_slot = await _first_slot(provider)
        slot = await provider.get_slot("finalized")
        signatures = [item.signature for item in items]
        reading = await provider.get_signature_statuses(signatures, search_history=True)
    except RpcError as error:
        return error
    objections = []
    for item in items:
        objection = ""
        if height <= item.last_valid_block_height:
            objection = "the transaction may still land"
        elif first_slot is None:
            objection = "the node does not say where its history begins"
        elif first_slot > item.blockhash_slot:
            objection = "the node's history begins after the transaction was signed"
        elif min(slot, reading.context_slot) <= item.blockhash_slot + _BLOCKHASH_LIFE_BLOCKS:
            # A slot holds one block at most, so its slots must bear out the height that it claims.
            objection = "the node's height runs ahead of its slots"
        elif reading.context_slot < slot:
            objection = "the node fell behind while it was asked"
        objections.append(objection)
    return _Testimony(reading.statuses, objections)


async def _first_slot(provider: Provider) -> int | None:
    """Returns None where the call is not served: the statuses are worth reading all the same."""
    try:
        return await provider.get_first_available_slot()
    except RpcNodeError as error:
        if error.is_passing:
            raise
        return None


def _weigh(heard: Sequence[_Testimony], place: int, providers_min: int) -> LapseReading:
    found = [status for one in heard if (status := one.statuses[place]) is not None]
    if found:
        best = max(found, key=lambda status: _RANKS[status.confirmation])
        ends = {status.error for status in found if status.confirmation == "finalized"}
        if len(ends) > 1:
            return LapseReading(None, is_absent=False, doubt="providers contradict each other")
        return LapseReading(best, is_absent=False)
    objections = [one.objections[place] for one in heard]
    proofs = sum(1 for objection in objections if not objection)
    if proofs >= providers_min:
        return LapseReading(None, is_absent=True)
    reason = next(filter(None, objections), "the others did not answer")
    doubt = f"{proofs} of {providers_min} providers prove that it never landed: {reason}"
    return LapseReading(None, is_absent=False, doubt=doubt)
