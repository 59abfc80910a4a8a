"""Idempotent requests: an id chosen by the caller, bound to one RPC and one body."""

from dataclasses import dataclass
from uuid import UUID

from gateway.domain.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class RequestKey:
    """Names a request. `request_hash` is SHA-256 of whatever must be the same in a repetition."""

    request_id: UUID
    rpc: str
    request_hash: bytes


def require_uuid(text: str, field: str) -> UUID:
    """Parses a UUID of 36 characters; raises InvalidArgumentError naming `field`."""
    try:
        parsed = UUID(text)
    except ValueError:
        parsed = None
    if parsed is None or str(parsed) != text.lower():
        raise InvalidArgumentError(f"{field} is not a UUID", field=field)
    return parsed
