"""A payer's statement: a transaction that landed and is not listed leaves a gap."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.solana_rpc.errors import RpcError, RpcNodeError
from gateway.adapters.solana_rpc.statements import Statement, StatementReader
from gateway.domain.chain import Account, AccountsReading, Commitment
from gateway.domain.history import SignatureRecord, TransactionDetails

PAYER, OTHER = "payer", "other"
changes = st.lists(st.integers(-(10**6), 10**6).filter(bool), min_size=1, max_size=40)


@dataclass
class Node:
    """A node's ledger of one payer: transactions by name, one or two a slot, and the balance."""

    deltas: Sequence[int]
    opening: int = 10**9
    lost: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    extra: int = 0
    slot: int = 1_000

    def change(self, number: int) -> tuple[int, int]:
        """The payer's balance before and after a transaction."""
        before = self.opening + sum(self.deltas[:number])
        return before, before + self.deltas[number]

    @property
    def balance(self) -> int:
        """What the payer holds at last."""
        return self.opening + sum(self.deltas) + self.extra

    async def get_accounts(
        self,
        addresses: Sequence[str],
        commitment: Commitment = "confirmed",
        data_slice: tuple[int, int] | None = None,
        min_context_slot: int = 0,
    ) -> AccountsReading:
        """Answers with the balance, which is final."""
        assert ([PAYER], "finalized", 900) == (addresses, commitment, min_context_slot)
        assert (0, 0) == data_slice
        return AccountsReading(self.slot, [Account(self.balance, "", False, b"")])

    async def get_signatures(
        self, address: str, limit: int, *, before: str = "", until: str = ""
    ) -> list[SignatureRecord]:
        """Lists what is not lost, newest first."""
        assert (PAYER, "", "") == (address, before, until)
        names = [f"{number}" for number in range(len(self.deltas))]
        kept = [name for name in reversed(names) if name not in self.lost]
        return [SignatureRecord(name, self.slot_of(name), "", None) for name in kept][:limit]

    async def get_transaction_details(self, signature: str) -> TransactionDetails | None:
        """Answers with a transaction that is not broken."""
        self.asked.append(signature)
        if signature in self.broken:
            return None
        before, after = self.change(int(signature))
        return TransactionDetails(
            self.slot_of(signature), None, "legacy", [OTHER, PAYER], "", 0, [1, before], [1, after],
            (), (),
        )  # fmt: skip

    def slot_of(self, name: str) -> int:
        """The slot of a transaction: two share one."""
        return 100 + int(name) // 2


async def statement(node: Node, opening_slot: int = 100) -> Statement:
    """What the node's list comes to."""
    return (await StatementReader(node).read({PAYER: opening_slot}, 900))[PAYER]


@given(changes, st.integers(0, 150))
async def test_a_whole_list_accounts_for_the_balance(deltas: list[int], opening: int) -> None:
    """Whatever came and went, and wherever the statement begins: no gap, if it begins at all."""
    found = await statement(Node(deltas), opening)
    anchored = opening >= 100
    assert ("", anchored) == (found.gap, not found.unread)


@given(changes, st.randoms(use_true_random=False))
async def test_one_that_is_missing_leaves_a_gap(deltas: list[int], chance: random.Random) -> None:
    """Any one transaction after the first that is not listed is found out."""
    node = Node([1, *deltas])
    node.lost = {str(chance.randint(1, len(deltas)))}
    assert "balance" in (await statement(node)).gap


@given(changes, st.data())
async def test_a_missing_range_leaves_a_gap(deltas: list[int], data: st.DataObject) -> None:
    """A range that is not listed is found out, unless it came to nothing in all."""
    node = Node([1, *deltas])
    first = data.draw(st.integers(1, len(deltas)))
    last = data.draw(st.integers(first, len(deltas)))
    node.lost = {str(number) for number in range(first, last + 1)}
    came_to = sum(node.deltas[first : last + 1])
    assert bool(came_to) == bool((await statement(node)).gap)


async def test_a_history_from_the_start_begins_with_nothing() -> None:
    """Without an older transaction the list must begin at zero; a pruned one does not."""
    assert Statement(["1", "0"]) == await statement(Node([5, -2], opening=0), 50)
    pruned = Node([5, -2, -1], opening=0, lost={"0"})
    assert "begins too late" in (await statement(pruned, 50)).unread
    assert "begins too late" in (await statement(Node([], opening=7))).unread


async def test_a_payer_that_nobody_knows() -> None:
    """Without a transaction or a lamport it never paid for anything: perhaps another cluster."""
    assert "never heard" in (await statement(Node([], opening=0))).gap


async def test_what_landed_after_the_balance_was_read_does_not_count() -> None:
    """A transaction in a later slot than the balance's is left out."""
    node = Node([1, -2, -3, -4, -5])
    node.slot, node.extra = 101, 5
    assert Statement(["3", "2", "1", "0"]) == await statement(node)


async def test_what_is_listed_and_not_there_proves_nothing() -> None:
    """A transaction that is listed and cannot be read leaves the list uncompared."""
    found = await statement(Node([1, -2, -3], broken={"1"}))
    assert ("", "not all transactions of its payer have been read") == (found.gap, found.unread)


async def test_calls_are_bounded_and_go_on_where_they_ended() -> None:
    """A reading asks for 100 transactions at most; the next asks for the others, and none twice."""
    node = Node([-1] * 250)
    reader = StatementReader(node)
    for left in (150, 50):
        found = (await reader.read({PAYER: 100}, 900))[PAYER]
        assert found.unread
        assert left == 250 - len(node.asked)
    assert "" == (await reader.read({PAYER: 100}, 900))[PAYER].unread
    assert 250 == len(node.asked) == len(set(node.asked))


async def test_payers_take_turns() -> None:
    """Of 40 payers 16 are read at a time, and each has had its turn after three readings."""
    payers = [f"payer {number}" for number in range(40)]
    seen: list[str] = []

    class Many(Node):
        async def get_accounts(
            self,
            addresses: Sequence[str],
            commitment: Commitment = "confirmed",
            data_slice: tuple[int, int] | None = None,
            min_context_slot: int = 0,
        ) -> AccountsReading:
            assert ("finalized", (0, 0), 900) == (commitment, data_slice, min_context_slot)
            return AccountsReading(self.slot, [None] * len(addresses))

        async def get_signatures(
            self, address: str, limit: int, *, before: str = "", until: str = ""
        ) -> list[SignatureRecord]:
            assert (1_000, "", "") == (limit, before, until)
            seen.append(address)
            return []

    reader = StatementReader(Many([]))
    for _ in range(3):
        found = await reader.read(dict.fromkeys(payers, 100), 900)
        assert 24 == sum("turn" in one.unread for one in found.values())
    assert (48, set(payers)) == (len(seen), set(seen))


async def test_a_payer_of_too_many_transactions() -> None:
    """A list of 1,000 that does not reach back far enough is not read at all."""
    node = Node([-1] * 1_200)
    assert "more transactions" in (await statement(node)).unread
    assert [] == node.asked
    assert "" == (await StatementReader(node).read({PAYER: 690}, 900))[PAYER].unread


@pytest.mark.parametrize(
    "error", [RpcNodeError("n", -32015, "version"), RpcError("n", "malformed", "what is this?")]
)
async def test_what_cannot_be_read_is_doubt_and_not_an_error(error: RpcError) -> None:
    """A transaction or a list that no node tells in a way we read: unread, for this payer alone."""

    class Odd(Node):
        async def get_transaction_details(self, signature: str) -> TransactionDetails | None:
            raise error if signature == "1" else AssertionError

    class Silent(Node):
        async def get_signatures(
            self, address: str, limit: int, *, before: str = "", until: str = ""
        ) -> list[SignatureRecord]:
            assert (PAYER, 1_000, "", "") == (address, limit, before, until)
            raise error

    node = Odd([-1, -2])
    node.lost = {"0"}
    assert "been read" in (await statement(node)).unread
    assert "does not tell" in (await statement(Silent([-1]))).unread


async def test_after_a_gap_everything_is_read_again() -> None:
    """What one answer told wrong does not stay wrong."""
    node = Node([-1, -2, -3])
    reader = StatementReader(node)
    node.extra = 1
    assert (await reader.read({PAYER: 100}, 900))[PAYER].gap
    node.extra = 0
    assert "" == (await reader.read({PAYER: 100}, 900))[PAYER].gap
    assert 6 == len(node.asked)


async def test_a_node_that_fails_is_an_error() -> None:
    """A busy node raises; nothing is concluded."""

    class Busy(Node):
        async def get_transaction_details(self, signature: str) -> TransactionDetails | None:
            raise RpcNodeError("n", -32005, f"behind {signature}")

    with pytest.raises(RpcNodeError):
        await statement(Busy([-1, -2]))
