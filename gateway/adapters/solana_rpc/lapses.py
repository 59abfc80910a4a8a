"""Whether a transaction can still land, or has: what several providers, each by itself, know of it.

A provider proves that a transaction never landed if all of this comes from itself, in this order:
its finalized height is past the transaction's last valid one, and as many slots went by as that
takes; its history reaches back to where the transaction could first have landed; the blockhash is
not valid at a finalized slot by which it must have been known; what it lists of
the fee payer's transactions accounts for the payer's balance, without this one (see the module
statements); it finds no status of it, at a slot that is not behind its own finalized one, while it
does find those of the transactions that it listed. One that fell back, or forgot, proves nothing.

Where several must agree, a payer of too many transactions to account for is no objection.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from gateway.adapters.solana_rpc.blockhashes import BLOCKHASH_LIFE_BLOCKS
from gateway.adapters.solana_rpc.errors import RpcError, RpcNodeError
from gateway.adapters.solana_rpc.finality import Agreement, Teller, tell, weigh
from gateway.adapters.solana_rpc.statements import Source, Statement, StatementReader
from gateway.domain.chain import (
    BlockhashReading,
    Commitment,
    LapsedTransaction,
    LapseReading,
    SignatureStatus,
)

LAPSED_PER_CALL_MAX: Final = 128
_REFERENCES_MAX: Final = 128


class Provider(Source, Teller, Protocol):
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

    async def read_blockhash(
        self, blockhash: str, commitment: Commitment, min_context_slot: int
    ) -> BlockhashReading:
        """Returns whether a blockhash is valid."""
        ...


@dataclass(frozen=True, slots=True)
class _Testimony:
    """What one provider says of each transaction: its status, or why its silence proves nothing.

    `busy` are the places where nothing is missing but an account of a payer's balance that would
    take more transactions than are read.
    """

    statuses: Sequence[SignatureStatus | None]
    objections: Sequence[str]
    busy: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Chainview:
    """A provider's own account of the chain, before it was asked for statuses.

    `ended` are the blockhashes that are not valid any more at `slot`.
    """

    height: int
    first_slot: int | None
    slot: int
    ended: frozenset[str]
    statements: Mapping[str, Statement]


class Witness:
    """One provider, and what is known already of its history."""

    def __init__(self, provider: Provider, agreement: Agreement) -> None:
        self._provider = provider
        self._statements = StatementReader(provider)
        self._agreement = agreement

    async def ask(self, items: Sequence[LapsedTransaction]) -> _Testimony | RpcError:
        """Asks about all that can be known of these transactions, statuses last."""
        signatures = [item.signature for item in items]
        try:
            view = await self._view(items)
            references = self._references(view, set(signatures))
            told = await tell(self._provider, [*signatures, *references])
        except RpcError as error:
            return error
        statuses, known = told.statuses[: len(items)], told.statuses[len(items) :]
        hole = "" if all(known) else "the node has no status of a transaction that it lists"
        objections = [hole or self._objection(item, view, told.context_slot) for item in items]
        busy = frozenset(
            place
            for place, item in enumerate(items)
            if (statement := view.statements[item.fee_payer]).is_busy
            and objections[place] == statement.unread
        )
        return _Testimony(statuses, objections, busy)

    async def _view(self, items: Sequence[LapsedTransaction]) -> _Chainview:
        height = await self._provider.get_block_height("finalized")
        first_slot = await self._first_slot()
        slot = await self._provider.get_slot("finalized")
        blockhashes = sorted({item.blockhash for item in items})
        readings = await asyncio.gather(*(self._blockhash(one, slot) for one in blockhashes))
        told = dict(zip(blockhashes, readings, strict=True))
        slot = max([slot, *(found.context_slot for found in readings if found)])
        openings: dict[str, int] = {}
        for item in items:
            opening = min(item.blockhash_slot, openings.get(item.fee_payer, item.blockhash_slot))
            openings[item.fee_payer] = opening
        statements = await self._statements.read(openings, slot)
        ended = frozenset(one for one, found in told.items() if found and not found.is_valid)
        return _Chainview(height, first_slot, slot, ended, statements)

    async def _blockhash(self, blockhash: str, slot: int) -> BlockhashReading | None:
        """Returns None where the call is not served."""
        try:
            return await self._provider.read_blockhash(blockhash, "finalized", slot)
        except RpcNodeError as error:
            if error.is_passing:
                raise
            return None

    async def _first_slot(self) -> int | None:
        """Returns None where the call is not served: statuses are worth reading all the same."""
        try:
            return await self._provider.get_first_available_slot()
        except RpcNodeError as error:
            if error.is_passing:
                raise
            return None

    @staticmethod
    def _references(view: _Chainview, asked: set[str]) -> list[str]:
        """Returns transactions of about the same time that the node must know, for it lists them.

        The newest may be newer than its statuses; what is left out here was compared all the same.
        """
        listed = {
            signature: None for found in view.statements.values() for signature in found.listed
        }
        return [name for name in reversed(listed) if name not in asked][:_REFERENCES_MAX]

    def _objection(self, item: LapsedTransaction, view: _Chainview, context_slot: int) -> str:
        objection = _objection_of_time(item, view, context_slot)
        statement = view.statements[item.fee_payer]
        if objection:
            return objection
        if item.signature in statement.listed:
            return "the node lists it among its payer's transactions"
        must_account = self._agreement.expiry_providers_min == 1
        return statement.gap or (statement.unread if must_account else "")


async def read_lapsed(
    witnesses: Sequence[Witness], items: Sequence[LapsedTransaction], agreement: Agreement
) -> list[LapseReading]:
    """Asks every provider about up to 128 transactions; raises RpcError if none of them answers."""
    answers = await asyncio.gather(*(witness.ask(items) for witness in witnesses))
    heard = [answer for answer in answers if isinstance(answer, _Testimony)]
    if not heard:
        raise next(answer for answer in answers if isinstance(answer, RpcError))
    silent = len(answers) - len(heard)
    return [
        replace(_weigh(heard, place, agreement), silent_count=silent) for place in range(len(items))
    ]


def _objection_of_time(item: LapsedTransaction, view: _Chainview, context_slot: int) -> str:
    if view.height <= item.last_valid_block_height:
        return "the transaction may still land"
    if view.first_slot is None:
        return "the node does not say where its history begins"
    if view.first_slot > item.blockhash_slot:
        return "the node's history begins after the transaction was signed"
    if min(view.slot, context_slot) <= item.blockhash_slot + BLOCKHASH_LIFE_BLOCKS:
        # A slot holds one block at most, so its slots must bear out the height that it claims.
        return "the node's height runs ahead of its slots"
    if item.blockhash not in view.ended:
        return "the node does not say that the blockhash has ended"
    if context_slot < view.slot:
        return "the node fell behind while it was asked"
    return ""


def _weigh(heard: Sequence[_Testimony], place: int, agreement: Agreement) -> LapseReading:
    found = [status for one in heard if (status := one.statuses[place]) is not None]
    if found:
        return weigh(found, agreement)
    objections = [one.objections[place] for one in heard]
    proofs = sum(1 for objection in objections if not objection)
    if proofs >= agreement.expiry_providers_min:
        return LapseReading(None, is_absent=True)
    reason = next(filter(None, objections), "the others did not answer")
    wanted = agreement.expiry_providers_min
    doubt = f"{proofs} of {wanted} providers prove that it never landed: {reason}"
    busy = sum(1 for one in heard if place in one.busy)
    return LapseReading(None, is_absent=False, doubt=doubt, is_busy=proofs + busy >= wanted)
