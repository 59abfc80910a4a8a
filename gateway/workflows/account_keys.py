"""Finds the account keys of a transaction, to look up which of them are wallets of ours.

Tolerant and cheap on purpose. The signer parses the exact bytes and judges; here a key that is
missed only means that a proof is not sent, and then a `vault` policy denies.
"""

from typing import Final

from solders.pubkey import Pubkey

_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_HEADER_BYTES: Final = 3
_BLOCKHASH_BYTES: Final = 32
_VERSION_FLAG: Final = 0x80
_V1_PREFIX: Final = 0x81
_KEYS_MAX: Final = 256


def static_account_keys(transaction: bytes) -> list[str]:
    """Returns the addresses that stand in a legacy, v0 or v1 transaction; [] for anything else."""
    try:
        start, count = _v1_keys(transaction) if _is_v1(transaction) else _keys(transaction)
    except IndexError:
        return []
    end = start + count * _KEY_BYTES
    if count > _KEYS_MAX or end > len(transaction):
        return []
    return [
        str(Pubkey.from_bytes(transaction[at : at + _KEY_BYTES]))
        for at in range(start, end, _KEY_BYTES)
    ]


def _is_v1(transaction: bytes) -> bool:
    return transaction[:1] == bytes([_V1_PREFIX])


def _v1_keys(transaction: bytes) -> tuple[int, int]:
    """Passes prefix, header, configuration mask (4), blockhash and instruction count."""
    at = 1 + _HEADER_BYTES + 4 + _BLOCKHASH_BYTES + 1
    return at + 1, transaction[at]


def _keys(transaction: bytes) -> tuple[int, int]:
    """Reads signature slots, a version prefix if there is one, the header and the key count."""
    at, slots = _compact_u16(transaction, 0)
    at += slots * _SIGNATURE_BYTES
    if transaction[at] & _VERSION_FLAG:
        at += 1
    return _compact_u16(transaction, at + _HEADER_BYTES)


def _compact_u16(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(3):
        byte = data[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < _VERSION_FLAG:
            return at + place + 1, value
    raise IndexError
