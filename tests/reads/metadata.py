"""Bytes of metadata and of extended mints, as the programs write them."""

import hashlib
import struct

from solders.pubkey import Pubkey
from solders.token.state import Mint

_AUTHORITY = bytes([1]) * 32
_DISCRIMINATOR = hashlib.sha256(b"spl_token_metadata_interface:token_metadata").digest()[:8]


def text(value: str) -> bytes:
    """A text as borsh has it."""
    raw = value.encode()
    return struct.pack("<I", len(raw)) + raw


def padded(value: str, size: int) -> bytes:
    """A text with zeros up to a size, as Metaplex has it."""
    raw = value.encode().ljust(size, b"\0")
    return struct.pack("<I", len(raw)) + raw


def metaplex(
    mint: Pubkey, symbol: str, *, name: str = "Name", uri: str = "u", pad: bool = True
) -> bytes:
    """A Metaplex metadata account: what matters of it, and what follows."""
    if pad:
        texts = padded(name, 32) + padded(symbol, 10) + padded(uri, 200)
    else:
        texts = text(name) + text(symbol) + text(uri)
    return b"\4" + _AUTHORITY + bytes(mint) + texts + bytes(436)


def token_metadata(mint: Pubkey, symbol: str, uri: str = "u") -> bytes:
    """TokenMetadata without additional fields."""
    return _AUTHORITY + bytes(mint) + text("Name") + text(symbol) + text(uri) + bytes(4)


def interface(mint: Pubkey, symbol: str) -> bytes:
    """An account of any program that implements the metadata interface."""
    value = token_metadata(mint, symbol)
    return _DISCRIMINATOR + struct.pack("<I", len(value)) + value


def extended_mint(
    mint: Pubkey, symbol: str = "", *, pointer: Pubkey | None = None, uri: str = "u"
) -> bytes:
    """A Token-2022 mint of 6 decimals with a metadata pointer, and metadata of its own."""
    extensions = b""
    if pointer:
        extensions += struct.pack("<HH", 18, 64) + _AUTHORITY + bytes(pointer)
    if symbol:
        value = token_metadata(mint, symbol, uri)
        extensions += struct.pack("<HH", 19, len(value)) + value
    return bytes(Mint(None, 9, 6, True, None)).ljust(165, b"\0") + b"\1" + extensions
