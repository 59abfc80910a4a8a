"""Checks of request fields that the domain does not make itself; each names its field."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.domain.custody import Secret
from gateway.domain.errors import InvalidArgumentError
from gateway.domain.requests import require_uuid
from solward.gateway.v1.credentials_pb2 import Credential

TOKEN_BYTES: Final = 32
# A sealed password is 48 + 56 bytes and at most 1,024 of password.
_SEALED_BYTES_MAX: Final = 4_096


def credential(value: Credential, field: str = "credential") -> Secret:
    """Returns the password as it came; raises InvalidArgumentError if there is none."""
    if value.WhichOneof("password") == "sealed_password":
        return sealed(value.sealed_password, f"{field}.sealed_password")
    if value.plaintext_password:
        return Secret(plaintext=value.plaintext_password.encode())
    raise InvalidArgumentError(f"{field} is missing", field=field)


def sealed(value: bytes, field: str) -> Secret:
    """Returns a sealed secret; raises InvalidArgumentError if it is empty or too long."""
    if not 0 < len(value) <= _SEALED_BYTES_MAX:
        raise InvalidArgumentError(f"{field} is not a sealed secret", field=field)
    return Secret(sealed=value)


def session_token(value: bytes) -> bytes:
    """Returns a token of 32 bytes; raises InvalidArgumentError (SESSION_INVALID) otherwise."""
    if len(value) != TOKEN_BYTES:
        raise InvalidArgumentError(
            f"session_token is not {TOKEN_BYTES} bytes",
            field="session_token",
            reason="SESSION_INVALID",
        )
    return value


def request_id(value: str) -> str:
    """Returns a request id as it is spelled: sealed secrets may be bound to that spelling."""
    require_uuid(value, "request_id")
    return value


def uuids(values: Sequence[str], field: str, count_max: int) -> list[UUID]:
    """Returns 1 to `count_max` UUIDs; raises InvalidArgumentError naming the bad one."""
    require_count(len(values), field, count_max)
    return [require_uuid(value, f"{field}[{place}]") for place, value in enumerate(values)]


def require_count(count: int, field: str, count_max: int) -> None:
    """Raises InvalidArgumentError unless there are 1 to `count_max`."""
    if not 1 <= count <= count_max:
        raise InvalidArgumentError(f"{field} must hold 1 to {count_max}, not {count}", field=field)


def timestamp(value: Timestamp, field: str) -> datetime:
    """Returns a time in UTC; raises InvalidArgumentError for one that is no time."""
    try:
        return value.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidArgumentError(f"{field} is not a time", field=field) from None


def one_of_missing(*names: str) -> InvalidArgumentError:
    """Returns the error for a oneof that is not set."""
    return InvalidArgumentError(f"{' or '.join(names)} must be given", field=names[0])
