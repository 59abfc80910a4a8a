"""How many instructions fit one transaction: bytes, signatures, account locks, instruction trace.

Pure arithmetic on the wire formats, checked in tests against compiled transactions:

- legacy: signatures, header, addresses, blockhash, instructions; lengths are compact-u16. At most
  1,232 bytes.
- v0: the same, a version before and lookup tables behind. What a table holds is one byte instead of
  an address.
- v1 (SIMD-0385): fixed header, addresses, configuration, instruction headers of 4 bytes and their
  payloads, signatures last; lengths are single bytes. At most 4,096 bytes.

All limits hold together. The limits are the protocol's; what a cluster charges is not known here.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gateway.domain.instructions import Instruction
from gateway.domain.lookup_tables import NO_TABLES, TABLE_BYTES, LookupTables


class TransactionVersion(StrEnum):
    """Formats that plans are packed into."""

    LEGACY = "legacy"
    V0 = "0"
    V1 = "1"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the protocol allows one transaction."""

    bytes_max: int
    signatures_max: int
    accounts_max: int
    instructions_max: int
    trace_entries_max: int


LIMITS: Final = {
    # 1,232 bytes hold at most 12 signatures with anything to sign; the count itself is not limited.
    TransactionVersion.LEGACY: Limits(1_232, 127, 64, 64, 64),
    TransactionVersion.V0: Limits(1_232, 127, 64, 64, 64),
    TransactionVersion.V1: Limits(4_096, 12, 64, 64, 64),
}
_SIGNATURE_BYTES: Final = 64
_ADDRESS_BYTES: Final = 32
_LEGACY_FIXED_BYTES: Final = 3 + 32  # header, blockhash
_V0_FIXED_BYTES: Final = 2  # version, count of tables
# Version, header, configuration mask, blockhash, counts of instructions and addresses; then the
# three configuration values that we set: priority fee (8), compute limit (4), loaded data (4).
_V1_FIXED_BYTES: Final = 1 + 3 + 4 + 32 + 1 + 1 + 8 + 4 + 4
_V1_INSTRUCTION_HEADER_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Measure:
    """The size of a transaction in each of the limited ways."""

    bytes: int
    signatures: int
    accounts: int
    instructions: int
    trace_entries: int

    def fits(self, limits: Limits) -> bool:
        """True if no limit is exceeded."""
        return (
            self.bytes <= limits.bytes_max
            and self.signatures <= limits.signatures_max
            and self.accounts <= limits.accounts_max
            and self.instructions <= limits.instructions_max
            and self.trace_entries <= limits.trace_entries_max
        )


@dataclass(frozen=True, slots=True)
class _Content:
    """What is in a transaction. `instruction_bytes` do not depend on where accounts are named."""

    signers: AbstractSet[str]
    accounts: AbstractSet[str]
    programs: AbstractSet[str] = frozenset()
    instructions: int = 0
    trace_entries: int = 0
    instruction_bytes: int = 0

    def with_more(self, version: TransactionVersion, more: Sequence[Instruction]) -> "_Content":
        """Returns it with more instructions."""
        uses = [use for item in more for use in item.accounts]
        programs = {item.program for item in more}
        return _Content(
            self.signers | {use.address for use in uses if use.is_signer},
            self.accounts | programs | {use.address for use in uses},
            self.programs | programs,
            self.instructions + len(more),
            self.trace_entries + sum(item.trace_entries for item in more),
            self.instruction_bytes + sum(_instruction_bytes(version, item) for item in more),
        )


@dataclass(slots=True)
class Parcel:
    """A transaction being filled. `add` keeps it within the limits."""

    version: TransactionVersion
    payer: str
    lookup_tables: LookupTables = NO_TABLES
    _content: _Content = field(init=False)

    def __post_init__(self) -> None:
        """The payer signs and is written, whatever else happens."""
        self._content = _Content({self.payer}, {self.payer})

    def measure(self) -> Measure:
        """Returns the present size."""
        return self._measure(self._content)

    def add(self, instructions: Sequence[Instruction]) -> bool:
        """Adds instructions that belong together; returns False, adding none, if they don't fit."""
        content = self._content.with_more(self.version, instructions)
        if not self._measure(content).fits(LIMITS[self.version]):
            return False
        self._content = content
        return True

    def _measure(self, content: _Content) -> Measure:
        signers, named = len(content.signers), len(content.accounts)
        total = signers * _SIGNATURE_BYTES + content.instruction_bytes
        if self.version is TransactionVersion.V1:
            total += _V1_FIXED_BYTES
        else:
            total += _LEGACY_FIXED_BYTES
            if self.version is TransactionVersion.V0:
                lookable = content.accounts - content.signers - content.programs
                served = [count for _, count in self.lookup_tables.cover(lookable)]
                total += _V0_FIXED_BYTES + TABLE_BYTES * len(served) + sum(served)
                named -= sum(served)
            total += sum(map(_compact_bytes, (signers, named, content.instructions)))
        return Measure(
            total + named * _ADDRESS_BYTES,
            signers,
            len(content.accounts),
            content.instructions,
            content.trace_entries,
        )


def pack(
    version: TransactionVersion,
    payer: str,
    opening: Sequence[Instruction],
    groups: Iterable[Sequence[Instruction]],
    lookup_tables: LookupTables = NO_TABLES,
) -> list[int]:
    """Fills transactions in order; returns how many groups each of them holds.

    Every transaction begins with `opening`; a group is never split. Without a payer ("") the first
    signer of a transaction's first group pays. Raises ValueError if a group does not fit an empty
    transaction.
    """
    counts: list[int] = []
    parcel: Parcel | None = None
    for group in groups:
        if parcel is not None and parcel.add(group):
            counts[-1] += 1
            continue
        parcel = Parcel(version, payer or _first_signer(group), lookup_tables)
        if not (parcel.add(opening) and parcel.add(group)):
            raise ValueError("a group of instructions exceeds a transaction")
        counts.append(1)
    return counts


def _first_signer(group: Sequence[Instruction]) -> str:
    return next(use.address for item in group for use in item.accounts if use.is_signer)


def _instruction_bytes(version: TransactionVersion, instruction: Instruction) -> int:
    payload = len(instruction.accounts) + len(instruction.data)
    if version is TransactionVersion.V1:
        return _V1_INSTRUCTION_HEADER_BYTES + payload
    lengths = _compact_bytes(len(instruction.accounts)) + _compact_bytes(len(instruction.data))
    return 1 + lengths + payload


def _compact_bytes(number: int) -> int:
    """Bytes of a compact-u16."""
    return 1 if number < 0x80 else 2 if number < 0x4000 else 3
