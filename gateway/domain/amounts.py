"""Integers on chain: unsigned 64-bit amounts, and what a lamport is."""

from typing import Final

from gateway.domain.errors import InvalidArgumentError

U64_MAX: Final = 2**64 - 1
LAMPORTS_PER_SOL: Final = 1_000_000_000


def require_u64(value: int, field: str) -> int:
    """Returns `value` if it fits u64; raises InvalidArgumentError naming `field` otherwise."""
    if not 0 <= value <= U64_MAX:
        raise InvalidArgumentError(f"{field} must be between 0 and {U64_MAX}", field=field)
    return value
