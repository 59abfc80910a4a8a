"""The transactions of several addresses as one list, newest first, each once.

Every address has a list of its own, and all of them are parts of one order, that of the ledger. A
slot tells which of two transactions is newer; within a slot only the lists do. So a slot is merged
when every list has been read beyond it, and a transaction is taken when it is first in each list
that has it. What has been taken of each list is where its next page begins.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from gateway.domain.errors import ChainUnavailableError
from gateway.domain.history import SignatureRecord

_FETCHED_MIN: Final = 200
# So many calls for one list and one page: beyond that a slot would be fuller than slots can be.
_FETCHES_MAX: Final = 20

List = Callable[[str, int, str], Awaitable[list[SignatureRecord]]]
"""(address, limit, before) to an address's transactions, newest first."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A transaction, and the addresses in whose lists it stands."""

    record: SignatureRecord
    addresses: frozenset[str]


@dataclass(slots=True)
class _Lane:
    """The list of one address: what was read of it and not yet taken."""

    address: str
    taken: str
    fetched: str
    entries: deque[SignatureRecord] = field(default_factory=deque)
    ended: bool = False
    fetches: int = 0

    async def read_beyond(self, slot: int, list_: List, limit: int) -> None:
        """Reads until something older than `slot` is there, or the list has ended."""
        while not self.ended and not (self.entries and self.entries[-1].slot < slot):
            if self.fetches == _FETCHES_MAX:
                raise ChainUnavailableError("the RPC node's list has too many of one slot")
            self.fetches += 1
            found = await list_(self.address, limit, self.fetched)
            slots = [record.slot for record in (*self.entries, *found)]
            if slots != sorted(slots, reverse=True):
                raise ChainUnavailableError("the RPC node's list is not newest first")
            self.entries.extend(found)
            self.ended = len(found) < limit
            self.fetched = found[-1].signature if found else self.fetched

    def of_slot(self, slot: int) -> list[str]:
        """Returns the signatures of a slot that come next."""
        found: list[str] = []
        for entry in self.entries:
            if entry.slot != slot:
                break
            found.append(entry.signature)
        return found


async def merge(
    cursors: Mapping[str, str], limit: int, list_: List
) -> tuple[list[Listed], dict[str, str]]:
    """Returns up to `limit` transactions and where each list goes on; none does if all have ended.

    `cursors` says for each address after which transaction to begin, "" for the newest. Raises
    ChainUnavailableError, also for lists that contradict each other.
    """
    lanes = [_Lane(address, cursor, cursor) for address, cursor in cursors.items()]
    size = max(limit, _FETCHED_MIN)
    taken: list[Listed] = []
    while len(taken) < limit:
        await _together(lane.read_beyond(2**64, list_, size) for lane in lanes if not lane.entries)
        slot = max((lane.entries[0].slot for lane in lanes if lane.entries), default=None)
        if slot is None:
            return taken, {}
        await _together(lane.read_beyond(slot, list_, size) for lane in lanes)
        taken += islice(_merge_slot(lanes, slot), limit - len(taken))
    going_on = [lane for lane in lanes if lane.entries or not lane.ended]
    return taken, {lane.address: lane.taken for lane in going_on}


def _merge_slot(lanes: Sequence[_Lane], slot: int) -> Iterable[Listed]:
    """Takes and yields the transactions of a slot."""
    while True:
        rows = [(lane, lane.of_slot(slot)) for lane in lanes]
        heads = [row[0] for _, row in rows if row]
        if not heads:
            return
        later = {signature for _, row in rows for signature in row[1:]}
        first = next((head for head in heads if head not in later), None)
        if first is None:
            raise ChainUnavailableError("the RPC node's lists contradict each other")
        having = [lane for lane, row in rows if row[:1] == [first]]
        records = [lane.entries.popleft() for lane in having]
        for lane in having:
            lane.taken = first
        yield Listed(records[0], frozenset(lane.address for lane in having))


async def _together(work: Iterable[Awaitable[None]]) -> None:
    await asyncio.gather(*work)
