"""Token accounts and mints of both token programs, decoded byte by byte.

Layouts (little endian) as of SPL Token and Token-2022: an account is 165 bytes, a mint 82.
Token-2022 may add, after byte 165, one byte that says which of the two it is (a mint is padded with
zeros up to there) and extensions: u16 type, u16 length, that many bytes.

Whatever does not fit exactly is TokenDataError: no amount is ever guessed.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.domain.addresses import encode_base58

TOKEN_PROGRAM: Final = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"  # noqa: S105  an address
TOKEN_2022_PROGRAM: Final = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"  # noqa: S105  an address
TOKEN_PROGRAMS: Final = (TOKEN_PROGRAM, TOKEN_2022_PROGRAM)
ACCOUNT_BYTES: Final = 165
MINT_BYTES: Final = 82
MULTISIG_BYTES: Final = 355
SYMBOL_CHARACTERS_MAX: Final = 32

_MINT_KIND: Final = 1
_ACCOUNT_KIND: Final = 2
_FROZEN: Final = 2
_TRANSFER_FEE_AMOUNT: Final = 2
_TOKEN_METADATA: Final = 19
# mint, owner, amount, delegate, state, native reserve, delegated amount, close authority; an
# optional value is a u32 (0 or 1) and the value.
_ACCOUNT: Final = struct.Struct("<32s32sQI32sBIQQI32s")
# mint authority, supply, decimals, is initialized, freeze authority
_MINT: Final = struct.Struct("<I32sQBBI32s")
_EXTENSION: Final = struct.Struct("<HH")


class TokenDataError(ValueError):
    """The bytes are not a token account or mint that we understand."""


@dataclass(frozen=True, slots=True)
class TokenAccount:
    """A token account. Amounts are base units; addresses are "" where there is none.

    `withheld_amount` are Token-2022 transfer fees that wait to be harvested. A native account
    holds wrapped SOL.
    """

    mint: str
    owner: str
    amount: int
    delegate: str
    delegated_amount: int
    frozen: bool
    native: bool
    close_authority: str
    withheld_amount: int


@dataclass(frozen=True, slots=True)
class Mint:
    """A mint. `symbol` is what its maker wrote into its metadata: "" if nothing, never proof."""

    decimals: int
    supply: int
    symbol: str


@dataclass(frozen=True, slots=True)
class TokenHolding:
    """A token account of a wallet, and what is known of it.

    `account` is None if it did not decode, `mint` if its mint could not be read; `error_reason`
    says why, as the contract names it.
    """

    address: str
    program: str
    lamports: int
    account: TokenAccount | None = None
    mint: Mint | None = None
    is_associated: bool = False
    error_reason: str = ""


def parse_token_account(data: bytes, program: str) -> TokenAccount:
    """Decodes an account of a token program; raises TokenDataError."""
    base, extensions = _split(data, program, ACCOUNT_BYTES, _ACCOUNT_KIND)
    (mint, owner, amount, has_delegate, delegate, state, is_native, _reserve, delegated,
     has_closer, closer) = _ACCOUNT.unpack(base)  # fmt: skip
    if state not in (1, _FROZEN):
        raise TokenDataError(f"account state {state}")
    if (withheld := extensions.get(_TRANSFER_FEE_AMOUNT)) is not None and len(withheld) != 8:
        raise TokenDataError("withheld fees of another size")
    return TokenAccount(
        mint=encode_base58(mint),
        owner=encode_base58(owner),
        amount=amount,
        delegate=_optional(has_delegate, delegate),
        delegated_amount=delegated if has_delegate else 0,
        frozen=state == _FROZEN,
        native=_is_some(is_native),
        close_authority=_optional(has_closer, closer),
        withheld_amount=int.from_bytes(withheld or b"", "little"),
    )


def parse_mint(data: bytes, program: str) -> Mint:
    """Decodes a mint of a token program; raises TokenDataError."""
    base, extensions = _split(data, program, MINT_BYTES, _MINT_KIND)
    has_authority, _, supply, decimals, initialized, has_freezer, _ = _MINT.unpack(base)
    _is_some(has_authority)
    _is_some(has_freezer)
    if initialized != 1:
        raise TokenDataError("mint is not initialized")
    metadata = extensions.get(_TOKEN_METADATA)
    return Mint(decimals, supply, _symbol(metadata) if metadata is not None else "")


def _split(data: bytes, program: str, size: int, kind: int) -> tuple[bytes, dict[int, bytes]]:
    """Returns the fixed part and the extensions, in which no type occurs twice."""
    if program not in TOKEN_PROGRAMS:
        raise TokenDataError("not of a token program")
    if len(data) == size:
        return data, {}
    # A multisig has the one size that an extended account never has.
    if program == TOKEN_PROGRAM or len(data) <= ACCOUNT_BYTES or len(data) == MULTISIG_BYTES:
        raise TokenDataError(f"{len(data)} bytes")
    if data[ACCOUNT_BYTES] != kind or any(data[size:ACCOUNT_BYTES]):
        raise TokenDataError("account of another kind")
    extensions: dict[int, bytes] = {}
    for number, value in _extensions(data[ACCOUNT_BYTES + 1 :]):
        if number in extensions:
            raise TokenDataError(f"extension {number} occurs twice")
        extensions[number] = value
    return data[:size], extensions


def _extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields (type, value). Type 0 ends them; after it, and in a rest too short for one, zeros."""
    at = 0
    while at + _EXTENSION.size <= len(data):
        number, length = _EXTENSION.unpack_from(data, at)
        if number == 0:
            break
        end = at + _EXTENSION.size + length
        if end > len(data):
            raise TokenDataError("extension beyond the end")
        yield number, data[at + _EXTENSION.size : end]
        at = end
    if any(data[at:]):
        raise TokenDataError("bytes after the extensions")


def _symbol(metadata: bytes) -> str:
    """Returns the symbol of TokenMetadata: authority, mint, then texts of u32 length and UTF-8."""
    _, rest = _text(metadata[64:])
    symbol, _ = _text(rest)
    printable = "".join(character for character in symbol if character.isprintable())
    return printable[:SYMBOL_CHARACTERS_MAX].strip()


def _text(data: bytes) -> tuple[str, bytes]:
    length = int.from_bytes(data[:4], "little")
    if len(data) < 4 or length > len(data) - 4:
        raise TokenDataError("metadata cut short")
    try:
        return data[4 : 4 + length].decode(), data[4 + length :]
    except UnicodeDecodeError:
        raise TokenDataError("metadata is not UTF-8") from None


def _is_some(tag: int) -> bool:
    if tag not in (0, 1):
        raise TokenDataError(f"option tag {tag}")
    return tag == 1


def _optional(tag: int, address: bytes) -> str:
    return encode_base58(address) if _is_some(tag) else ""
