"""Exact-bytes parser for Solana transactions: legacy, v0 and v1 (SIMD-0385).

What is judged must be what is signed. So the parser walks the wire bytes itself, accepts one
encoding of each value only, and hands back the message as the very slice it walked: nothing is
serialised again. It is written out rather than left to a library because a library's parser
tolerates trailing bytes, and panics where this one must refuse.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from solders.pubkey import Pubkey

LEGACY = -1  # `Message.version` of a message from before versions existed
SIGNATURE_BYTES = 64
KEY_BYTES = 32
# Packet limits: 1,232 bytes for legacy and v0; SIMD-0385 gives v1 4,096 and these counts.
WIRE_BYTES_MAX = {LEGACY: 1232, 0: 1232, 1: 4096}
V1_SIGNATURES_MAX, V1_ACCOUNTS_MAX, V1_INSTRUCTIONS_MAX = 12, 64, 64
V1_HEAP_BYTES = range(32 << 10, (256 << 10) + 1, 1 << 10)
ACCOUNTS_MAX = 256  # an account index is one byte
_V1_PREFIX = 0x81


class IntentRejected(ValueError):
    """The bytes are not one well-formed transaction; the text says where they stop being one."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: base58 program and accounts (an account that a lookup table should supply
    but nobody pinned reads `lookup:<table>:<index>`), and its data.
    """

    program: str
    accounts: tuple[str, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """A decoded message. `version` is LEGACY, 0 or 1; `keys` are the static accounts, of which the
    first `signature_count` sign and the first pays the fee. `priority_fee_lamports` is v1's.
    """

    version: int
    keys: tuple[str, ...]
    signature_count: int
    instructions: tuple[Instruction, ...]
    unresolved_tables: tuple[str, ...] = ()
    priority_fee_lamports: int = 0

    @property
    def signers(self) -> tuple[str, ...]:
        """The addresses that must sign, in the order of their signature slots."""
        return self.keys[: self.signature_count]

    @property
    def fee_payer(self) -> str:
        """The address that pays base and priority fee."""
        return self.keys[0]


@dataclass(frozen=True, slots=True)
class ParsedTransaction:
    """A transaction's wire bytes, taken apart but not changed."""

    wire: bytes
    message: Message
    message_bytes: bytes  # what every signer signs, a slice of `wire`
    signature_offset: int  # of the first signature slot in `wire`

    def signatures(self) -> dict[str, bytes]:
        """Gives each signer's slot as it stands: 64 bytes, all zero where nobody has signed."""
        at = self.signature_offset
        return {
            address: self.wire[at + slot * SIGNATURE_BYTES : at + (slot + 1) * SIGNATURE_BYTES]
            for slot, address in enumerate(self.message.signers)
        }

    def assemble(self, signatures: Mapping[str, bytes]) -> tuple[bytes, bool]:
        """Gives the wire bytes with `signatures` (by address, 64 bytes each) in their slots, others
        kept, and whether every slot is now filled. Raises ValueError for a stranger's signature.
        """
        slots = self.signatures()
        for address, signature in signatures.items():
            if address not in slots or len(signature) != SIGNATURE_BYTES:
                raise ValueError("a signature that this transaction has no slot for")
            slots[address] = signature
        filled = b"".join(slots.values())
        before, after = self.signature_offset, self.signature_offset + len(filled)
        complete = all(any(signature) for signature in slots.values())
        return self.wire[:before] + filled + self.wire[after:], complete


class _Reader:
    """A cursor that refuses to run past the end."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise IntentRejected(f"cut short at byte {len(self.data)}")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def uint(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def keys(self, count: int) -> tuple[str, ...]:
        packed = self.take(count * KEY_BYTES)
        return tuple(
            str(Pubkey.from_bytes(packed[at : at + KEY_BYTES]))
            for at in range(0, len(packed), KEY_BYTES)
        )

    def compact_u16(self) -> int:
        """Reads Solana's ShortU16: 1 to 3 bytes, and only the shortest spelling of a number."""
        value = 0
        for place in range(3):
            byte = self.uint(1)
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                if (byte == 0 and place > 0) or value > 0xFFFF:
                    break
                return value
        raise IntentRejected(f"a length at byte {self.at} is not spelled canonically")


def parse_transaction(
    wire: bytes, lookup_tables: Mapping[str, tuple[str, ...]] | None = None
) -> ParsedTransaction:
    """Parses one full transaction; signature slots may be zero. `lookup_tables` holds the contents
    of tables whose pinned hash the caller has checked. Raises IntentRejected.
    """
    reader = _Reader(wire)
    if wire[:1] == bytes([_V1_PREFIX]):
        message = _read_message(reader, lookup_tables or {})
        message_bytes, signature_offset = wire[: reader.at], reader.at
        reader.take(message.signature_count * SIGNATURE_BYTES)
    else:
        slots = reader.compact_u16()
        signature_offset = reader.at
        reader.take(slots * SIGNATURE_BYTES)
        message_offset = reader.at
        message = _read_message(reader, lookup_tables or {})
        message_bytes = wire[message_offset : reader.at]
        if message.version == 1 or slots != message.signature_count:
            raise IntentRejected("the signature slots are not the ones that the message asks for")
    if reader.at != len(wire):
        raise IntentRejected(f"{len(wire) - reader.at} bytes after the end of the transaction")
    if len(wire) > WIRE_BYTES_MAX[message.version]:
        raise IntentRejected(f"longer than {WIRE_BYTES_MAX[message.version]} bytes")
    return ParsedTransaction(wire, message, message_bytes, signature_offset)


def starts_like_a_message(data: bytes) -> bool:
    """Tells whether `data`, or any beginning of it, decodes as a transaction message. Wider than
    what the network accepts: it is there to refuse, so a false alarm is the cheaper mistake.
    """
    if data[:1] and 0x80 <= data[0] < 0xC0:
        return True  # the version prefix, of today's versions and later ones; UTF-8 never starts so
    try:
        _read_message(_Reader(data), {}, strict=False)
    except IntentRejected:
        return False
    return True


def _read_message(
    reader: _Reader, lookup_tables: Mapping[str, tuple[str, ...]], *, strict: bool = True
) -> Message:
    version = LEGACY
    if reader.data[reader.at : reader.at + 1] >= b"\x80":
        version = reader.uint(1) & 0x7F
    if version == 1:
        return _read_v1(reader)
    if version > 1:
        raise IntentRejected(f"message version {version} is not known")
    header = reader.take(3)
    keys = reader.keys(reader.compact_u16())
    reader.take(KEY_BYTES)  # the recent blockhash, or a nonce: the same to this judge
    compiled = []
    for _ in range(reader.compact_u16()):
        program = reader.uint(1)
        accounts = reader.take(reader.compact_u16())
        compiled.append((program, accounts, reader.take(reader.compact_u16())))
    loaded: tuple[str, ...] = ()
    unresolved: tuple[str, ...] = ()
    if version == 0:
        loaded, unresolved = _read_lookups(reader, lookup_tables, strict=strict)
    if not strict:
        return Message(version, keys, header[0], ())
    _check_header(header, keys)
    instructions = _resolve(compiled, keys, keys + loaded)
    return Message(version, keys, header[0], instructions, unresolved)


def _read_lookups(
    reader: _Reader, lookup_tables: Mapping[str, tuple[str, ...]], *, strict: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Gives the looked-up accounts in the runtime's order (all writable ones first, then all
    read-only ones) and the tables that nobody vouches for.
    """
    writable: list[str] = []
    readonly: list[str] = []
    unresolved: list[str] = []
    for _ in range(reader.compact_u16()):
        (table,) = reader.keys(1)
        contents = lookup_tables.get(table)
        if contents is None:
            unresolved.append(table)
        taken = len(writable) + len(readonly)
        for into in (writable, readonly):
            for index in reader.take(reader.compact_u16()):
                if contents is None:
                    into.append(f"lookup:{table}:{index}")
                elif index < len(contents):
                    into.append(contents[index])
                else:
                    raise IntentRejected(f"lookup table {table} has no entry {index}")
        if strict and taken == len(writable) + len(readonly):
            raise IntentRejected(f"nothing is looked up in table {table}")
    return tuple(writable + readonly), tuple(unresolved)


def _read_v1(reader: _Reader) -> Message:
    header = reader.take(3)
    mask = reader.uint(4)
    if mask & ~0b11111 or mask & 0b11 in {0b01, 0b10}:
        raise IntentRejected("the configuration mask is not one that SIMD-0385 defines")
    reader.take(KEY_BYTES)
    instruction_count, key_count = reader.uint(1), reader.uint(1)
    keys = reader.keys(key_count)
    priority_fee_lamports = reader.uint(8) if mask & 0b11 else 0
    reader.take(4 * (mask >> 2 & 0b11).bit_count())  # compute and data limits: no lamports in them
    heap_bytes = reader.uint(4) if mask & 0b10000 else V1_HEAP_BYTES[0]
    if heap_bytes not in V1_HEAP_BYTES:
        raise IntentRejected("a heap of this size does not exist")
    heads = [(reader.uint(1), reader.uint(1), reader.uint(2)) for _ in range(instruction_count)]
    compiled = [
        (program, reader.take(accounts), reader.take(size)) for program, accounts, size in heads
    ]
    _check_header(header, keys)
    if (
        header[0] > V1_SIGNATURES_MAX
        or key_count > V1_ACCOUNTS_MAX
        or instruction_count > V1_INSTRUCTIONS_MAX
    ):
        raise IntentRejected("more signatures, accounts or instructions than v1 allows")
    instructions = _resolve(compiled, keys, keys)
    return Message(1, keys, header[0], instructions, (), priority_fee_lamports)


def _check_header(header: bytes, keys: tuple[str, ...]) -> None:
    signed, readonly_signed, readonly_unsigned = header
    if readonly_signed >= signed or signed + readonly_unsigned > len(keys):
        raise IntentRejected("the header's counts do not fit the account keys")


def _resolve(
    compiled: list[tuple[int, bytes, bytes]], keys: tuple[str, ...], accounts: tuple[str, ...]
) -> tuple[Instruction, ...]:
    """Turns indices into addresses. The program must be a static key and never the fee payer."""
    if len(set(accounts)) != len(accounts) or len(accounts) > ACCOUNTS_MAX:
        raise IntentRejected("an account is listed twice, or there are too many")
    instructions = []
    for program, indices, data in compiled:
        if not 0 < program < len(keys) or any(index >= len(accounts) for index in indices):
            raise IntentRejected("an instruction points outside the account keys")
        names = tuple(accounts[index] for index in indices)
        instructions.append(Instruction(keys[program], names, data))
    return tuple(instructions)
