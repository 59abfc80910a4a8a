"""Base58 addresses: 32 bytes in the Bitcoin alphabet, 32 to 44 characters."""

from typing import Final

from gateway.domain.errors import InvalidArgumentError

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS: Final = {character: digit for digit, character in enumerate(_ALPHABET)}
ADDRESS_BYTES: Final = 32


def decode_base58(text: str) -> bytes:
    """Decodes base58 to bytes; raises ValueError on a character outside the alphabet."""
    number = 0
    for character in text:
        try:
            number = number * 58 + _DIGITS[character]
        except KeyError:
            raise ValueError("not a base58 character") from None
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def encode_base58(data: bytes) -> str:
    """Encodes bytes as base58."""
    number = int.from_bytes(data, "big")
    characters: list[str] = []
    while number:
        number, digit = divmod(number, 58)
        characters.append(_ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(characters))


def is_address(text: str) -> bool:
    """True if `text` is base58 of exactly 32 bytes, in the one spelling base58 has for them."""
    if not 32 <= len(text) <= 44:
        return False
    try:
        return len(decode_base58(text)) == ADDRESS_BYTES
    except ValueError:
        return False


def require_address(text: str, field: str) -> str:
    """Returns `text` if it is an address; raises InvalidArgumentError naming `field` otherwise."""
    if not is_address(text):
        raise InvalidArgumentError(f"{field} is not a base58 address of 32 bytes", field=field)
    return text


def is_address_prefix(text: str) -> bool:
    """True if `text` could begin an address: up to 44 base58 characters."""
    return len(text) <= 44 and all(character in _DIGITS for character in text)
