"""How many instructions fit one transaction: bytes, signatures, account locks, instruction trace.

Pure arithmetic on the wire formats, checked in tests against compiled transactions:

- legacy: signatures, header, addresses, blockhash, instructions; lengths are compact-u16. At most
  1,232 bytes.
- v1 (SIMD-0385): fixed header, addresses, configuration, instruction headers of 4 bytes and their
  payloads, signatures last; lengths are single bytes. At most 4,096 bytes.

All limits hold together. The limits are the protocol's; what a cluster charges is not known here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gateway.domain.instructions import Instruction


class TransactionVersion(StrEnum):
    """Formats that plans are packed into."""

    LEGACY = "legacy"
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
    TransactionVersion.V1: Limits(4_096, 12, 64, 64, 64),
}
_SIGNATURE_BYTES: Final = 64
_ADDRESS_BYTES: Final = 32
_LEGACY_FIXED_BYTES: Final = 3 + 32  # header, blockhash
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


@dataclass(slots=True)
class Parcel:
    """A transaction being filled. `add` keeps it within the limits."""

    version: TransactionVersion
    payer: str
    _signers: set[str] = field(init=False)
    _accounts: set[str] = field(init=False)
    _instructions: int = 0
    _trace_entries: int = 0
    _instruction_bytes: int = 0

    def __post_init__(self) -> None:
        """The payer signs and is written, whatever else happens."""
        self._signers = {self.payer}
        self._accounts = {self.payer}

    def measure(self) -> Measure:
        """Returns the present size."""
        return self._measure(
            len(self._signers), len(self._accounts), self._instructions, self._instruction_bytes
        )

    def add(self, instructions: Sequence[Instruction]) -> bool:
        """Adds instructions that belong together; returns False, adding none, if they don't fit."""
        signers = self._signers.union(
            use.address for item in instructions for use in item.accounts if use.is_signer
        )
        accounts = self._accounts.union(
            address
            for item in instructions
            for address in (item.program, *(use.address for use in item.accounts))
        )
        count = self._instructions + len(instructions)
        trace = self._trace_entries + sum(item.trace_entries for item in instructions)
        size = self._instruction_bytes + sum(map(self._bytes_of, instructions))
        measure = self._measure(len(signers), len(accounts), count, size, trace)
        if not measure.fits(LIMITS[self.version]):
            return False
        self._signers, self._accounts = signers, accounts
        self._instructions, self._trace_entries, self._instruction_bytes = count, trace, size
        return True

    def _measure(
        self, signers: int, accounts: int, count: int, size: int, trace: int | None = None
    ) -> Measure:
        total = signers * _SIGNATURE_BYTES + accounts * _ADDRESS_BYTES + size
        if self.version is TransactionVersion.V1:
            total += _V1_FIXED_BYTES
        else:
            total += _LEGACY_FIXED_BYTES + sum(map(_compact_bytes, (signers, accounts, count)))
        return Measure(
            total, signers, accounts, count, self._trace_entries if trace is None else trace
        )

    def _bytes_of(self, instruction: Instruction) -> int:
        payload = len(instruction.accounts) + len(instruction.data)
        if self.version is TransactionVersion.V1:
            return _V1_INSTRUCTION_HEADER_BYTES + payload
        lengths = _compact_bytes(len(instruction.accounts)) + _compact_bytes(len(instruction.data))
        return 1 + lengths + payload


def pack(
    version: TransactionVersion,
    payer: str,
    opening: Sequence[Instruction],
    groups: Iterable[Sequence[Instruction]],
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
        parcel = Parcel(version, payer or _first_signer(group))
        if not (parcel.add(opening) and parcel.add(group)):
            raise ValueError("a group of instructions exceeds a transaction")
        counts.append(1)
    return counts


def _first_signer(group: Sequence[Instruction]) -> str:
    return next(use.address for item in group for use in item.accounts if use.is_signer)


def _compact_bytes(number: int) -> int:
    """Bytes of a compact-u16."""
    return 1 if number < 0x80 else 2 if number < 0x4000 else 3
