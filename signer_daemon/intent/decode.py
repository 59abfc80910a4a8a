"""Reads a message into an Intent. Whatever no table describes becomes an UNDECODED effect."""

import struct
from collections.abc import Iterator
from functools import cache

from solders.pubkey import Pubkey

from signer_daemon.intent import programs
from signer_daemon.intent.effects import Effect, Intent, Kind
from signer_daemon.intent.instructions import KEY, TABLES, Row
from signer_daemon.intent.wire import Instruction, Message

BASE_FEE_LAMPORTS = 5_000  # for each signature
COMPUTE_UNITS_MAX = 1_400_000  # the runtime clamps a higher request
COMPUTE_UNITS_DEFAULT = 200_000  # for each instruction, where no limit is set; builtins get less

_Field = int | bytes


def read_intent(message: Message, ata_rent_lamports_max: int) -> Intent:
    """Decodes every instruction. `ata_rent_lamports_max` is charged for each ATA that is created:
    the chain knows the exact rent, the policy file bounds it.
    """
    signers = frozenset(message.signers)
    effects: list[Effect] = []
    for index, instruction in enumerate(message.instructions):
        effects += _decode(index, instruction, signers, ata_rent_lamports_max)
    return Intent(
        signers=message.signers,
        fee_payer=message.fee_payer,
        effects=tuple(effects),
        programs=tuple(instruction.program for instruction in message.instructions),
        base_fee_lamports=BASE_FEE_LAMPORTS * message.signature_count,
        priority_fee_lamports=_priority_fee_lamports(message),
        unresolved_tables=message.unresolved_tables,
    )


def _decode(
    index: int, instruction: Instruction, signers: frozenset[str], ata_rent_lamports_max: int
) -> Iterator[Effect]:
    program = instruction.program
    name = programs.NAMES.get(program, program)
    row, fields = _match(instruction, signers)
    if row is None:
        consent = _consent(instruction.accounts, slice(None), signers)
        yield Effect(Kind.UNDECODED, f"{name}/undecoded", index, consent)
        return
    amount = next((field for field in fields if isinstance(field, int)), None)
    if program == programs.ASSOCIATED_TOKEN and row.kind is Kind.LAMPORTS:
        amount = ata_rent_lamports_max
    moves = row.kind in {Kind.LAMPORTS, Kind.TOKENS}
    yield Effect(
        kind=row.kind,
        role=f"{name}/{row.name}",
        instruction=index,
        authorities=_consent(instruction.accounts, row.by, signers),
        destination=_destination(instruction, row, fields),
        amount=amount if moves else None,
        mint=None if row.mint is None else instruction.accounts[row.mint],
        token_program=_token_program(instruction),
    )
    if (program, row.name) == (programs.SYSTEM, "createAccount"):
        # The new account signs away its owner: fatal if it is a wallet that was empty until now.
        consent = _consent(instruction.accounts, slice(1, 2), signers)
        owner = str(Pubkey.from_bytes(instruction.data[-32:]))
        yield Effect(Kind.AUTHORITY, "system/assign", index, consent, owner)


def _match(instruction: Instruction, signers: frozenset[str]) -> tuple[Row | None, list[_Field]]:
    """Finds the row with the longest discriminator that fits. It decides alone: what is not quite
    that instruction is none.
    """
    table, data = TABLES.get(instruction.program, {}), instruction.data
    size = next((size for size in (4, 2, 1, 0) if data[:size] in table), 0)
    row = table.get(data[:size])
    if row is None or len(instruction.accounts) < row.accounts:
        return None, []
    if not row.layouts:
        return row, []
    found = (_unpack(layout, data[size:]) for layout in row.layouts)
    fields = next((fields for fields in found if fields is not None), None)
    if fields is None or _calls_out(instruction, row, signers) or not _is_derived(instruction, row):
        return None, []
    return row, fields


def _unpack(layout: str, data: bytes) -> list[_Field] | None:
    """Reads little-endian fields that fill `data` exactly, or gives None. `*` is a seed string:
    a u64 length and that many bytes.
    """
    head, tail = _structs(layout)
    end = head.size
    if tail is not None:
        end += 8 + int.from_bytes(data[head.size : head.size + 8], "little")
    if len(data) - end != (0 if tail is None else tail.size):
        return None
    fields: list[_Field] = [*head.unpack_from(data)]
    return fields if tail is None else [*fields, *tail.unpack_from(data, end)]


@cache
def _structs(layout: str) -> tuple[struct.Struct, struct.Struct | None]:
    head, star, tail = layout.partition("*")
    return struct.Struct("<" + head), struct.Struct("<" + tail) if star else None


def _calls_out(instruction: Instruction, row: Row, signers: frozenset[str]) -> bool:
    """A Token-2022 mint can have a transfer hook: a program of its choice, which is called with the
    accounts behind the authority. A signer among them lends it its signature, for anything.
    """
    if instruction.program != programs.TOKEN_2022 or not row.name.startswith("transfer"):
        return False
    authority, *extra = instruction.accounts[row.by]
    return any(account in signers and account != authority for account in extra)


def _is_derived(instruction: Instruction, row: Row) -> bool:
    """An ATA must be the one that its owner, token program and mint derive."""
    if instruction.program != programs.ASSOCIATED_TOKEN or row.kind is not Kind.LAMPORTS:
        return True
    _, account, owner, mint, _, token_program = instruction.accounts[:6]
    if token_program not in {programs.TOKEN, programs.TOKEN_2022} or ":" in owner + mint:
        return False
    return account == programs.associated_token_address(owner, token_program, mint)


def _consent(accounts: tuple[str, ...], by: slice, signers: frozenset[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(account for account in accounts[by] if account in signers))


def _destination(instruction: Instruction, row: Row, fields: list[_Field]) -> str | None:
    if isinstance(row.to, int):
        return instruction.accounts[row.to]
    keys = [field for field in fields if isinstance(field, bytes)]
    return str(Pubkey.from_bytes(keys[-1])) if row.to == KEY and keys else None


def _token_program(instruction: Instruction) -> str | None:
    is_token = instruction.program in {programs.TOKEN, programs.TOKEN_2022}
    return instruction.program if is_token else None


def _priority_fee_lamports(message: Message) -> int:
    """ceil(price * limit / 10^6). Doubled requests fail on the chain; here the dearest counts.

    In v1 SIMD-0385 makes these instructions no-ops, but not every runtime agrees yet: both fees
    count, since a bound that is too high only asks for a simpler transaction.
    """
    prices, limits = [0], []
    for instruction in message.instructions:
        if instruction.program == programs.COMPUTE_BUDGET:
            value = int.from_bytes(instruction.data[1:9], "little")
            if instruction.data[:1] == b"\3":
                prices.append(value)
            elif instruction.data[:1] == b"\2":
                limits.append(value)
    default = COMPUTE_UNITS_DEFAULT * len(message.instructions)
    limit = min(max(limits, default=default), COMPUTE_UNITS_MAX)
    return message.priority_fee_lamports - (-max(prices) * limit // 1_000_000)
