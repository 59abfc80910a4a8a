"""A refused call, with the details that come with its status."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "signer.solward"


@dataclass(frozen=True, slots=True)
class Refused:
    """What a caller learns."""

    code: grpc.StatusCode
    message: str
    reason: str
    field: str
    rule: str
    signed: str
    retry_delay_ms: int
    raw: bytes
    """All of it, as it came."""


def refusal_of(call: Callable[[], object]) -> Refused:
    """How the signer refuses a call; fails if it does not, or without the details that it owes."""
    with pytest.raises(grpc.RpcError) as caught:
        _exhaust(call())
    return read(caught.value)


def _exhaust(answer: object) -> None:
    if isinstance(answer, Iterable):
        for _ in answer:
            pass


def read(error: Any) -> Refused:
    """Take an RpcError apart: what grpc raises is a Call too, but no type says so."""
    trailing = {item.key: item.value for item in error.trailing_metadata()}
    packed = trailing.get("grpc-status-details-bin", b"")
    assert packed, f"no details: {error.code()} {error.details()}"
    status = status_pb2.Status.FromString(packed)
    info, bad, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    for detail in status.details:
        assert any(detail.Unpack(kind) for kind in (info, bad, retry)), detail.type_url
    assert (status.code, status.message) == (error.code().value[0], error.details())
    assert info.domain == DOMAIN
    fields = [violation.field for violation in bad.field_violations]
    assert fields == [info.metadata["field"]] * len(fields)
    return Refused(
        code=error.code(),
        message=status.message,
        reason=info.reason,
        field=info.metadata["field"],
        rule=info.metadata["rule"],
        signed=info.metadata["signed"],
        retry_delay_ms=retry.retry_delay.ToMilliseconds(),
        raw=packed + status.message.encode(),
    )
