"""What a call can end with, decoded from `grpc-status-details-bin`.

SolwardError
├── InvalidRequestError     the request cannot be right; `field` names the culprit
├── NotFoundError           no such wallet, master or distribution
├── ConflictError           right request, wrong moment: taken id, stale etag, state, funds
├── DeniedError             policy (`rule` names it), password, session or ownership
├── LimitedError            a rate or capacity limit; `retry_delay_ms` says when to try again
├── UnavailableError        a server, the database or the cluster does not answer
├── UnimplementedError      the server does not have this call yet
├── ServerFaultError        the server failed in a way it did not expect
└── SignerKeyChangedError   the signer's sealing key is not the pinned one; nothing was sent
"""

from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from solward.gateway.v1 import signing_service_pb2 as signing_pb

DETAILS_KEY = "grpc-status-details-bin"
CLIENT_DOMAIN = "client.solward"


class SolwardError(Exception):
    """A call was refused or failed. Its text is the server's own and holds no secret.

    `reason` and `domain` are those of google.rpc.ErrorInfo: the stable name of what happened and
    who says so. Both are empty where the transport failed before a server of Solward could answer.

    `signed` is "no" if no signature was made by the call, "maybe" if nobody can say: asked again
    for the same bytes, the signer gives the same signature.
    """

    def __init__(  # noqa: PLR0913 - one for each thing that details name
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        domain: str = "",
        field: str = "",
        rule: str = "",
        retry_delay_ms: int = 0,
        signed: str = "maybe",
    ) -> None:
        """Take the canonical status, the server's words and what its details name."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.domain = domain
        self.field = field
        self.rule = rule
        self.retry_delay_ms = retry_delay_ms
        self.signed = signed

    def __str__(self) -> str:
        """Return one line: reason, message, and field and rule where the message lacks them."""
        extras = [
            f"{name} {value}"
            for name, value in (("field", self.field), ("rule", self.rule))
            if value and value not in self.message
        ]
        if self.retry_delay_ms:
            extras.append(f"try again in {self.retry_delay_ms / 1000:.1f} s")
        tail = f" ({'; '.join(extras)})" if extras else ""
        return f"{self.reason or self.code.name}: {self.message}{tail}"


class InvalidRequestError(SolwardError):
    """The request cannot be right; `field` names what is wrong with it."""


class NotFoundError(SolwardError):
    """No resource has this id or address."""


class ConflictError(SolwardError):
    """The request is right but not now: a taken id, a stale etag, a wrong state, too few funds."""


class DeniedError(SolwardError):
    """Policy, password, session or ownership stand in the way."""


class LimitedError(SolwardError):
    """A limit is reached; `retry_delay_ms` says when it makes sense to try again."""


class UnavailableError(SolwardError):
    """A server, the database or the cluster does not answer, or not in time."""


class UnimplementedError(SolwardError):
    """The server does not implement this call; the message names what is missing."""


class ServerFaultError(SolwardError):
    """The server failed in a way it did not expect."""


class SignerKeyChangedError(SolwardError):
    """The key that secrets would be sealed to is not the pinned one. Nothing was sent."""


_CLASSES: dict[grpc.StatusCode, type[SolwardError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequestError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: ConflictError,
    grpc.StatusCode.ABORTED: ConflictError,
    grpc.StatusCode.FAILED_PRECONDITION: ConflictError,
    grpc.StatusCode.PERMISSION_DENIED: DeniedError,
    grpc.StatusCode.UNAUTHENTICATED: DeniedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: LimitedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: UnavailableError,
    grpc.StatusCode.UNIMPLEMENTED: UnimplementedError,
}
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def decode(error: grpc.RpcError) -> SolwardError:
    """Return what a failed call says. Details that do not parse are left out, never raised."""
    code, message = error.code(), error.details() or "no details"
    facts = _facts(_status(error))
    return _CLASSES.get(code, ServerFaultError)(code, message, **facts)


def from_batch_item(error: signing_pb.SigningError) -> SolwardError:
    """Return the refusal of one item of a SignTransactions batch."""
    code = _CODES.get(error.code, grpc.StatusCode.UNKNOWN)
    return _CLASSES.get(code, ServerFaultError)(
        code,
        error.message,
        reason=error.reason,
        domain=error.domain,
        field=error.field,
        rule=error.rule,
        retry_delay_ms=error.retry_delay_ms,
        signed=error.signed or "maybe",
    )


def raise_decoded(error: grpc.RpcError) -> NoReturn:
    """Raise what a failed call says in place of gRPC's own exception."""
    raise decode(error) from None


def _status(error: grpc.RpcError) -> status_pb2.Status:
    # The stubs describe one item of the metadata as something that cannot be taken apart.
    metadata: Any = error.trailing_metadata() or ()
    for key, value in metadata:
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                break
    return status_pb2.Status()


def _facts(status: status_pb2.Status) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    info = _unpack(status, error_details_pb2.ErrorInfo)
    if info is not None:
        facts = {"reason": info.reason, "domain": info.domain}
        names = ("field", "rule", "signed")
        facts |= {name: info.metadata[name] for name in names if name in info.metadata}
    bad_request = _unpack(status, error_details_pb2.BadRequest)
    if bad_request is not None and bad_request.field_violations:
        facts.setdefault("field", bad_request.field_violations[0].field)
    retry = _unpack(status, error_details_pb2.RetryInfo)
    if retry is not None:
        facts["retry_delay_ms"] = retry.retry_delay.ToMilliseconds()
    return facts


def _unpack(status: status_pb2.Status, kind: Any) -> Any:
    for detail in status.details:
        if detail.Is(kind.DESCRIPTOR):
            message = kind()
            try:
                detail.Unpack(message)
            except DecodeError:
                return None
            return message
    return None
