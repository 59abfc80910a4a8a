"""A mint's symbol, where its on-chain metadata has one. Whoever made the mint chose it.

Three layouts (little endian; a text is a u32 length and UTF-8):

- Token-2022's TokenMetadata: update authority, mint, name, symbol, ... as an extension of the mint.
- The same behind 8 bytes of discriminator and a u32 length, in an account of any program that
  implements the token metadata interface, to which a mint's metadata pointer may point.
- Metaplex Token Metadata: a byte 4, update authority, mint, name, symbol, uri, ... in an account
  that is derived from the mint. Texts have a limit each, and zeros up to it.

Metadata outside of the mint counts only if it names the mint: otherwise any mint could point to
that of another.
"""

import hashlib
from typing import Final

from gateway.domain.addresses import ADDRESS_BYTES, decode_base58
from gateway.domain.instructions import SYSTEM_PROGRAM
from gateway.domain.token_layout import TokenDataError

METAPLEX_PROGRAM: Final = "metaqbxxUerdq28cj1RbAWkYQm3ybzjb6a8bt518x1s"
SYMBOL_CHARACTERS_MAX: Final = 32
_METAPLEX_KEY: Final = b"\x04"
_METAPLEX_MINT_AT: Final = 33
_METAPLEX_BYTES_MAX: Final = (32, 10, 200)
_INTERFACE_MINT_AT: Final = 32
_DISCRIMINATOR: Final = hashlib.sha256(b"spl_token_metadata_interface:token_metadata").digest()[:8]
_LENGTH_BYTES: Final = 4


def symbol_of_account(program: str, data: bytes, mint: str) -> str:
    """Returns the symbol that an account of `program` has for a mint; raises TokenDataError.

    `data` may be cut: what follows the symbol is not missed.
    """
    if program == SYSTEM_PROGRAM:  # lamports that somebody sent to where metadata could be
        raise TokenDataError("no metadata")
    if program == METAPLEX_PROGRAM:
        return _metaplex_symbol(data, mint)
    metadata = _entry(data)
    _require_mint(metadata[_INTERFACE_MINT_AT:], mint)
    return symbol_of_extension(metadata)


def symbol_of_extension(metadata: bytes) -> str:
    """Returns the symbol of TokenMetadata; raises TokenDataError."""
    _, rest = _text(metadata[2 * ADDRESS_BYTES :])
    symbol, _ = _text(rest)
    return _printable(symbol)


def _metaplex_symbol(data: bytes, mint: str) -> str:
    if data[:1] != _METAPLEX_KEY:
        raise TokenDataError("not metadata of a mint")
    _require_mint(data[_METAPLEX_MINT_AT:], mint)
    rest = data[_METAPLEX_MINT_AT + ADDRESS_BYTES :]
    texts: list[str] = []
    for bytes_max in _METAPLEX_BYTES_MAX:
        text, rest = _text(rest, bytes_max)
        texts.append(text.rstrip("\0"))
    return _printable(texts[1])


def _entry(data: bytes) -> bytes:
    """Returns the value of the metadata's entry; an entry is discriminator, u32 length, value."""
    at = 0
    head = len(_DISCRIMINATOR) + _LENGTH_BYTES
    while any(data[at : at + len(_DISCRIMINATOR)]) and at + head <= len(data):
        start = at + head
        end = start + int.from_bytes(data[start - _LENGTH_BYTES : start], "little")
        if data[at : start - _LENGTH_BYTES] == _DISCRIMINATOR:
            return data[start:end]
        at = end
    raise TokenDataError("no metadata")


def _require_mint(data: bytes, mint: str) -> None:
    if data[:ADDRESS_BYTES] != decode_base58(mint):
        raise TokenDataError("metadata of another mint")


def _text(data: bytes, bytes_max: int | None = None) -> tuple[str, bytes]:
    """Returns a text and what follows it."""
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    most = len(data) - _LENGTH_BYTES
    if length > (most if bytes_max is None else min(most, bytes_max)) or most < 0:
        raise TokenDataError("metadata cut short, or a text too long")
    try:
        return data[_LENGTH_BYTES : _LENGTH_BYTES + length].decode(), data[_LENGTH_BYTES + length :]
    except UnicodeDecodeError:
        raise TokenDataError("metadata is not UTF-8") from None


def _printable(text: str) -> str:
    """Returns what may be shown: no control characters, none that turn text around."""
    shown = "".join(character for character in text if character.isprintable())
    return shown[:SYMBOL_CHARACTERS_MAX].strip()
