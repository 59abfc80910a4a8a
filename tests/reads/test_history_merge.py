"""Several addresses' lists as one: against the ledger that they are parts of."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import ChainUnavailableError
from gateway.domain.history import SignatureRecord
from gateway.workflows import history_merge
from gateway.workflows.history_merge import merge

ADDRESSES = ["wallet", "first", "second"]
# Newest first: how many slots lie between a transaction and the next, and whom it names.
ledgers = st.lists(
    st.tuples(st.sampled_from([0, 0, 0, 1, 2]), st.sets(st.sampled_from(ADDRESSES), min_size=1)),
    max_size=40,
)


def records(ledger: Sequence[tuple[int, set[str]]]) -> list[tuple[SignatureRecord, set[str]]]:
    """The ledger's transactions, newest first."""
    slot, found = 1_000, []
    for number, (gap, whom) in enumerate(ledger):
        slot -= gap
        found.append((SignatureRecord(f"s{number}", slot, "", None), whom))
    return found


class Node:
    """Lists an address's part of the ledger, at most `page` at once."""

    def __init__(self, ledger: Sequence[tuple[SignatureRecord, set[str]]]) -> None:
        self.ledger = ledger

    async def list(self, address: str, limit: int, before: str) -> list[SignatureRecord]:
        """Newest first, older than `before`."""
        own = [record for record, whom in self.ledger if address in whom]
        names = [record.signature for record in own]
        start = names.index(before) + 1 if before else 0
        return own[start : start + limit]


@settings(max_examples=200, deadline=None)
@given(ledgers, st.integers(1, 7), st.integers(1, 5))
def test_pages_are_the_ledger(
    ledger: list[tuple[int, set[str]]], page_size: int, fetched: int
) -> None:
    """Any ledger, page size and size of fetches: each transaction once, newest slot first, in each
    address's own order, with all the addresses in whose lists it stands.
    """
    truth = records(ledger)
    node = Node(truth)

    async def walk() -> list[history_merge.Listed]:
        cursors = dict.fromkeys(ADDRESSES, "")
        found: list[history_merge.Listed] = []
        while cursors:
            taken, cursors = await merge(cursors, page_size, node.list)
            assert len(taken) <= page_size
            assert taken or not cursors or len(found) == len(truth)
            found += taken
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_merge, "_FETCHED_MIN", fetched)
        patch.setattr(history_merge, "_FETCHES_MAX", 100)
        found = asyncio.run(walk())
    assert {record.signature: whom for record, whom in truth} == {
        item.record.signature: set(item.addresses) for item in found
    }
    assert len(truth) == len(found)
    slots = [item.record.slot for item in found]
    assert sorted(slots, reverse=True) == slots
    for address in ADDRESSES:
        own = [record.signature for record, whom in truth if address in whom]
        assert own == [item.record.signature for item in found if address in item.addresses]


@pytest.mark.parametrize(
    "lists",
    [
        {"wallet": [("a", 5), ("b", 5)], "first": [("b", 5), ("a", 5)]},
        {"wallet": [("a", 5), ("b", 6)]},
        {"wallet": [("a", 5), ("b", 5), ("a", 5)]},
    ],
    ids=["two orders", "not newest first", "twice"],
)
async def test_lists_that_contradict(lists: dict[str, list[tuple[str, int]]]) -> None:
    """Lists that cannot be parts of one ledger are the node's fault, and no page."""

    async def list_(address: str, _limit: int, _before: str) -> list[SignatureRecord]:
        return [SignatureRecord(name, slot, "", None) for name, slot in lists[address]]

    with pytest.raises(ChainUnavailableError):
        await merge(dict.fromkeys(lists, ""), 10, list_)


async def test_a_list_without_end_is_left() -> None:
    """A node that sends one slot for ever is asked some times, not for ever."""
    numbers = iter(range(10**6))
    calls = 0

    async def list_(_address: str, limit: int, _before: str) -> list[SignatureRecord]:
        nonlocal calls
        calls += 1
        return [SignatureRecord(f"s{next(numbers)}", 7, "", None) for _ in range(limit)]

    with pytest.raises(ChainUnavailableError):
        await merge({"wallet": ""}, 10, list_)
    assert 20 == calls
