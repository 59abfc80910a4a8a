"""Whether a fee payer's balance leaves room for a transaction that a node does not list.

Only transactions change a wallet's lamports, and a node lists every transaction that names it. So
from any point on, what one transaction leaves the next one finds, and what the last one leaves is
the balance. A transaction that landed and is not listed leaves a gap, because it cost its payer at
least the fee: a node that forgot it, but kept the ledger, contradicts itself. (No gap is left by a
payment to the payer itself of exactly its own fee, nor by several that cancel each other out.)
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from gateway.adapters.solana_rpc.errors import RpcError
from gateway.domain.chain import AccountsReading, Commitment
from gateway.domain.history import SignatureRecord, TransactionDetails

_LISTED_MAX: Final = 1_000
_ACCOUNTS_PER_CALL: Final = 100
# What one reading asks for at most, so that a tight budget lets it end; the next goes on.
_PAYERS_PER_READING_MAX: Final = 16
_DETAILS_PER_READING_MAX: Final = 100
_KNOWN_MAX: Final = 20_000


class Source(Protocol):
    """The calls that are asked of one endpoint."""

    async def get_accounts(
        self,
        addresses: Sequence[str],
        commitment: Commitment = "confirmed",
        data_slice: tuple[int, int] | None = None,
        min_context_slot: int = 0,
    ) -> AccountsReading:
        """Returns accounts."""
        ...

    async def get_signatures(
        self, address: str, limit: int, *, before: str = "", until: str = ""
    ) -> list[SignatureRecord]:
        """Returns finalized transactions, newest first."""
        ...

    async def get_transaction_details(self, signature: str) -> TransactionDetails | None:
        """Returns a finalized transaction."""
        ...


@dataclass(frozen=True, slots=True)
class Statement:
    """What a node's own list of a payer's transactions comes to.

    `gap` is a contradiction. `unread` is why the list could not be compared with the balance at
    all: it proves nothing, in either direction. `listed` are the transactions, finalized, and
    `is_busy` says that there are more than are read.
    """

    listed: Sequence[str] = ()
    gap: str = ""
    unread: str = ""
    is_busy: bool = False


@dataclass(frozen=True, slots=True)
class _Change:
    """A payer's lamports before and after a transaction."""

    before: int
    after: int


@dataclass(frozen=True, slots=True)
class _List:
    """A payer's transactions, from the last slot with any at or before the opening on.

    It is anchored if there is such a slot; otherwise it should be all that there ever was.
    """

    payer: str
    records: Sequence[SignatureRecord]
    is_anchored: bool
    is_too_long: bool


@dataclass(slots=True)
class StatementReader:
    """Reads the statements of payers at one node. What is final is read once and remembered."""

    source: Source
    _known: OrderedDict[tuple[str, str], _Change] = field(default_factory=OrderedDict)
    _read_times: Counter[str] = field(default_factory=Counter)

    async def read(self, payers: Mapping[str, int], slot: int) -> dict[str, Statement]:
        """Reads statements up to a finalized slot or later; raises RpcError.

        `payers` maps each address to the slot that its own statement has to begin at or before.
        """
        turn = sorted(payers, key=lambda payer: self._read_times[payer])[:_PAYERS_PER_READING_MAX]
        self._read_times.update(turn)
        if len(self._read_times) > _KNOWN_MAX:
            self._read_times.clear()
        balances = await self._balances(turn, slot)
        found = await asyncio.gather(
            *(self._list(payer, payers[payer], balances[payer][0]) for payer in turn)
        )
        await self._learn([one for one in found if one is not None])
        statements = dict.fromkeys(payers, Statement(unread="its payer's turn has not come yet"))
        for payer, one in zip(turn, found, strict=True):
            statements[payer] = self._compare(one, balances[payer][1])
        return statements

    async def _balances(self, payers: Sequence[str], slot: int) -> dict[str, tuple[int, int]]:
        """Returns for each payer the slot that its balance was read at, and the balance."""
        found: dict[str, tuple[int, int]] = {}
        for start in range(0, len(payers), _ACCOUNTS_PER_CALL):
            chunk = payers[start : start + _ACCOUNTS_PER_CALL]
            reading = await self.source.get_accounts(chunk, "finalized", (0, 0), slot)
            for payer, account in zip(chunk, reading.accounts, strict=True):
                found[payer] = (reading.context_slot, account.lamports if account else 0)
        return found

    async def _list(self, payer: str, opening_slot: int, end_slot: int) -> _List | None:
        """Lists what the balance that was read at `end_slot`, before this, has been through.

        A list from a node that lags behind the balance leaves a gap, so its slot need not be known.
        """
        try:
            records = await self.source.get_signatures(payer, _LISTED_MAX)
        except RpcError as error:
            if _may_pass(error):
                raise
            return None
        older = [record.slot for record in records if record.slot <= opening_slot]
        begin = max(older, default=0)
        kept = [record for record in records if begin <= record.slot <= end_slot]
        return _List(payer, kept, bool(older), not older and len(records) >= _LISTED_MAX)

    async def _learn(self, lists: Sequence[_List]) -> None:
        """Reads the transactions that are not known yet, as many as one reading may."""
        wanted = [
            (found.payer, record)
            for found in lists
            if not found.is_too_long
            for record in found.records
            if (found.payer, record.signature) not in self._known
        ]
        if wanted:
            await asyncio.gather(
                *(self._learn_one(*one) for one in wanted[:_DETAILS_PER_READING_MAX])
            )

    async def _learn_one(self, payer: str, record: SignatureRecord) -> None:
        try:
            details = await self.source.get_transaction_details(record.signature)
        except RpcError as error:
            if _may_pass(error):
                raise
            return
        if details is None or (details.slot, bool(details.error)) != (
            record.slot,
            bool(record.error),
        ):
            return
        if payer not in details.keys:
            return
        place = details.keys.index(payer)
        self._known[payer, record.signature] = _Change(
            details.pre_balances[place], details.post_balances[place]
        )
        while len(self._known) > _KNOWN_MAX:
            self._known.popitem(last=False)

    def _compare(self, found: _List | None, balance: int) -> Statement:
        if found is None:
            return Statement(unread="the node does not tell of its payer's transactions")
        listed = [record.signature for record in found.records]
        if found.is_too_long:
            why = "its payer has had more transactions than are read"
            return Statement(listed, unread=why, is_busy=True)
        changes = [self._known.get((found.payer, signature)) for signature in listed]
        known = [change for change in changes if change is not None]
        if len(known) != len(changes):
            return Statement(listed, unread="not all transactions of its payer have been read")
        opening = _opening(known, balance)
        if opening is None:
            # Should one of them have been told wrong, the next reading asks again.
            self._forget(found.payer, listed)
            return Statement(listed, gap="its payer's balance is not what the list comes to")
        if not listed and not balance:
            # Whoever was to pay had something once: the node may be of another cluster.
            return Statement(gap="the node has never heard of its payer")
        if opening and not found.is_anchored:
            return Statement(listed, unread="the list of its payer's transactions begins too late")
        return Statement(listed)

    def _forget(self, payer: str, signatures: Iterable[str]) -> None:
        for signature in signatures:
            self._known.pop((payer, signature), None)


def _may_pass(error: RpcError) -> bool:
    """False for what the node tells in a way that will be no better the next time."""
    return error.is_passing and error.kind not in {"malformed", "oversized"}


def _opening(changes: Sequence[_Change], closing: int) -> int | None:
    """Returns the balance before the first change; None if changes and closing do not join up.

    In whatever order: every balance that something leaves, something finds, but for one.
    """
    found = Counter(change.before for change in changes)
    found[closing] += 1
    left = Counter(change.after for change in changes)
    if left - found:
        return None
    return next((found - left).elements())
