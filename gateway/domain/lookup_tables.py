"""Address lookup tables: what they hold, and which of them a v0 transaction uses.

A v0 transaction names an account by one byte where a table holds its address, and pays 34 bytes for
each table. What signs or is called as a program cannot be looked up. Content is only ever appended
to a table, so that an entry stays what it was when the plan was made.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.domain.addresses import ADDRESS_BYTES, encode_base58
from gateway.domain.instructions import Instruction

LOOKUP_TABLE_PROGRAM: Final = "AddressLookupTab1e1111111111111111111111111"
ENTRIES_MAX: Final = 256
TABLES_MAX: Final = 128
"""How many an order may name: 40 hold 10,000 wallets, as many again their token accounts."""
TABLE_BYTES: Final = ADDRESS_BYTES + 2
"""What each used table adds to a transaction: its address, and two counts of indexes."""
_USES_MIN: Final = 2  # one address by a table is 35 bytes, by itself 32
# solana_address_lookup_table_interface::state: type, slots of deactivation and of the last
# extension, where that began, an authority; the addresses come after 56 bytes.
_INITIALIZED: Final = (1).to_bytes(4, "little")
_DEACTIVATION: Final = slice(4, 12)
STATE_SLICE: Final = (0, 12)
"""Offset and length of what `is_active` looks at."""
_ACTIVE: Final = b"\xff" * 8
_HEADER_BYTES: Final = 56


@dataclass(frozen=True, slots=True)
class LookupTable:
    """A table as it was read: `content` is its addresses, 32 bytes each, one after another."""

    address: str
    content: bytes

    @property
    def entries(self) -> tuple[str, ...]:
        """Its addresses in base58, by index."""
        return _entries(self.content)

    @property
    def digest(self) -> str:
        """SHA-256 of the content in hex: what the signer's policy pins."""
        return hashlib.sha256(self.content).hexdigest()


class LookupTables:
    """The tables that transactions may use, by preference where several would do."""

    def __init__(self, tables: Sequence[LookupTable] = ()) -> None:
        self.tables = tuple(tables)
        index: dict[str, list[int]] = {}
        for position, table in enumerate(self.tables):
            for entry in dict.fromkeys(table.entries):
                index.setdefault(entry, []).append(position)
        self._positions: Mapping[str, Sequence[int]] = index

    def __bool__(self) -> bool:
        return bool(self.tables)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LookupTables) and self.tables == other.tables

    def __hash__(self) -> int:
        return hash(self.tables)

    def __repr__(self) -> str:
        return f"LookupTables({[table.address for table in self.tables]})"

    def cover(self, accounts: Iterable[str]) -> list[tuple[LookupTable, int]]:
        """Returns the tables to look accounts up in, in order, and how many each one serves.

        The table that holds most comes first, and one that would serve a single account is left
        out. Each account is looked up in the first of the returned tables that holds it.
        """
        remaining = {account for account in accounts if account in self._positions}
        counts = [0] * len(self.tables)
        for account in remaining:
            for position in self._positions[account]:
                counts[position] += 1
        found: list[tuple[LookupTable, int]] = []
        while (most := max(counts, default=0)) >= _USES_MIN:
            best = counts.index(most)
            served = [account for account in remaining if best in self._positions[account]]
            for account in served:
                for position in self._positions[account]:
                    counts[position] -= 1
            remaining.difference_update(served)
            found.append((self.tables[best], len(served)))
        return found

    def used_by(self, payer: str, instructions: Iterable[Instruction]) -> list[LookupTable]:
        """Returns the tables that a transaction of these instructions uses, in order."""
        if not self.tables:
            return []
        return [table for table, _ in self.cover(lookable(payer, instructions))]

    def only(self, used: Collection[LookupTable]) -> "LookupTables":
        """Returns those of the tables that are used: for what uses only them, they choose alike."""
        return LookupTables([table for table in self.tables if table in used])

    def shelf_of(self, accounts: Sequence[str]) -> tuple[int, ...]:
        """Returns a key by which those come together whose accounts are in the same tables.

        What no table holds comes last.
        """
        none = len(self.tables)
        return tuple(self._positions.get(account, (none,))[0] for account in accounts)


NO_TABLES: Final = LookupTables()


def lookable(payer: str, instructions: Iterable[Instruction]) -> set[str]:
    """Returns the accounts that a table may serve: none that signs, none that is a program."""
    used: set[str] = set()
    fixed = {payer}
    for instruction in instructions:
        fixed.add(instruction.program)
        for use in instruction.accounts:
            (fixed if use.is_signer else used).add(use.address)
    return used - fixed


def is_active(owner: str, data: bytes) -> bool:
    """True if an account is a lookup table that is not being closed; STATE_SLICE is enough."""
    is_table = owner == LOOKUP_TABLE_PROGRAM and data[:4] == _INITIALIZED
    return is_table and data[_DEACTIVATION] == _ACTIVE


def read_lookup_table(address: str, owner: str, data: bytes) -> LookupTable:
    """Reads an account; raises ValueError if it is no table that transactions can use."""
    if owner != LOOKUP_TABLE_PROGRAM or data[:4] != _INITIALIZED:
        raise ValueError("it is not an address lookup table")
    if not is_active(owner, data):
        raise ValueError("the lookup table is being closed")
    content = data[_HEADER_BYTES:]
    if not content or len(content) % ADDRESS_BYTES:
        raise ValueError("the lookup table holds no addresses")
    if len(content) > ENTRIES_MAX * ADDRESS_BYTES:
        raise ValueError("the lookup table is longer than tables are")
    return LookupTable(address, content)


@lru_cache(maxsize=2 * TABLES_MAX)
def _entries(content: bytes) -> tuple[str, ...]:
    return tuple(
        encode_base58(content[at : at + ADDRESS_BYTES])
        for at in range(0, len(content), ADDRESS_BYTES)
    )
