"""How the token programs lay accounts and mints out: a fixed part, and Token-2022's extensions.

Layouts (little endian) as of SPL Token and Token-2022: an account is 165 bytes, a mint 82.
Token-2022 may add, after byte 165, one byte that says which of the two it is (a mint is padded with
zeros up to there) and extensions: u16 type, u16 length, that many bytes.

Whatever does not fit exactly is TokenDataError: no amount is ever guessed.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from gateway.domain.token_programs import TOKEN, TOKEN_PROGRAMS

ACCOUNT_BYTES: Final = 165
MINT_BYTES: Final = 82
_MULTISIG_BYTES: Final = 355
_EXTENSION: Final = struct.Struct("<HH")


class TokenDataError(ValueError):
    """The bytes are not what the token programs, or metadata, are laid out as."""


class Kind(IntEnum):
    """What an account of Token-2022 is, as its byte 165 says."""

    MINT = 1
    ACCOUNT = 2


class Extension(IntEnum):
    """Types of extensions that mean something here."""

    TRANSFER_FEE_CONFIG = 1
    TRANSFER_FEE_AMOUNT = 2
    CONFIDENTIAL_ACCOUNT = 5
    DEFAULT_STATE = 6
    MEMO_TRANSFER = 8
    NON_TRANSFERABLE = 9
    TRANSFER_HOOK = 14
    METADATA_POINTER = 18
    TOKEN_METADATA = 19
    PAUSABLE = 26


def split(
    data: bytes, program: str, kind: Kind, *, is_cut: bool = False
) -> tuple[bytes, dict[int, bytes]]:
    """Returns the fixed part and the extensions by type; raises TokenDataError.

    With `is_cut` only the beginning was read: the last extension may be cut short.
    """
    size = MINT_BYTES if kind is Kind.MINT else ACCOUNT_BYTES
    if program not in TOKEN_PROGRAMS:
        raise TokenDataError("not of a token program")
    if len(data) == size:
        return data, {}
    # A multisig has the one size that an extended account never has.
    is_multisig = len(data) == _MULTISIG_BYTES and not is_cut
    if program == TOKEN or len(data) <= ACCOUNT_BYTES or is_multisig:
        raise TokenDataError(f"{len(data)} bytes")
    if data[ACCOUNT_BYTES] != kind or any(data[size:ACCOUNT_BYTES]):
        raise TokenDataError("account of another kind")
    extensions: dict[int, bytes] = {}
    for number, value in _extensions(data[ACCOUNT_BYTES + 1 :], is_cut=is_cut):
        if number in extensions:
            raise TokenDataError(f"extension {number} occurs twice")
        extensions[number] = value
    return data[:size], extensions


def _extensions(data: bytes, *, is_cut: bool) -> Iterator[tuple[int, bytes]]:
    """Yields (type, value). Type 0 ends them; after it, and in a rest too short for one, zeros."""
    at = 0
    while at + _EXTENSION.size <= len(data):
        number, length = _EXTENSION.unpack_from(data, at)
        if number == 0:
            break
        end = at + _EXTENSION.size + length
        if end > len(data) and not is_cut:
            raise TokenDataError("extension beyond the end")
        yield number, data[at + _EXTENSION.size : end]
        at = end
    if any(data[at:]) and not is_cut:
        raise TokenDataError("bytes after the extensions")


def is_some(tag: int) -> bool:
    """Says whether an optional value is there, by its u32 tag; raises TokenDataError."""
    if tag not in (0, 1):
        raise TokenDataError(f"option tag {tag}")
    return tag == 1
