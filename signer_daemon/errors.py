"""The signer's one way to say no, and its mapping to gRPC status.

    Exception
    ├── Refusal              a request is refused; carries an ErrorReason, safe to send
    └── (of the rooms)       VaultError, IntentRejected, AuditUnavailableError: `refusal_of`
                             makes each a Refusal; what it does not know becomes INTERNAL

Nothing from an exception that was not expected is ever sent: its text might hold a secret.
"""

import logging
import threading
from collections.abc import Iterator
from typing import Any, NoReturn, cast

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from signer_daemon.intent import IntentRejected
from signer_daemon.ledger import AuditUnavailableError
from signer_daemon.policy import PolicyError
from signer_daemon.vault import errors as vault
from solward.signer.v1 import errors_pb2 as pb
from solward.signer.v1 import signer_service_pb2 as signer_pb

DOMAIN = "signer.solward"
STATUS: dict["pb.ErrorReason.ValueType", grpc.StatusCode] = {
    pb.ERROR_REASON_INVALID_FIELD: grpc.StatusCode.INVALID_ARGUMENT,
    pb.ERROR_REASON_PASSWORD_RULES: grpc.StatusCode.INVALID_ARGUMENT,
    pb.ERROR_REASON_CREDENTIAL_REJECTED: grpc.StatusCode.UNAUTHENTICATED,
    pb.ERROR_REASON_RECORD_REJECTED: grpc.StatusCode.PERMISSION_DENIED,
    pb.ERROR_REASON_SESSION_INVALID: grpc.StatusCode.UNAUTHENTICATED,
    pb.ERROR_REASON_OWNERSHIP_REJECTED: grpc.StatusCode.PERMISSION_DENIED,
    pb.ERROR_REASON_TRANSACTION_MALFORMED: grpc.StatusCode.INVALID_ARGUMENT,
    pb.ERROR_REASON_SIGNER_NOT_REQUIRED: grpc.StatusCode.INVALID_ARGUMENT,
    pb.ERROR_REASON_POLICY_DENIED: grpc.StatusCode.PERMISSION_DENIED,
    pb.ERROR_REASON_RATE_LIMITED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    pb.ERROR_REASON_AUDIT_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    pb.ERROR_REASON_KDF_BUSY: grpc.StatusCode.RESOURCE_EXHAUSTED,
    pb.ERROR_REASON_MNEMONIC_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    pb.ERROR_REASON_MESSAGE_IS_TRANSACTION: grpc.StatusCode.PERMISSION_DENIED,
    pb.ERROR_REASON_NOT_IMPLEMENTED: grpc.StatusCode.UNIMPLEMENTED,
    pb.ERROR_REASON_INTERNAL: grpc.StatusCode.INTERNAL,
    pb.ERROR_REASON_SESSION_LIMIT: grpc.StatusCode.RESOURCE_EXHAUSTED,
    pb.ERROR_REASON_STREAM_LIMIT: grpc.StatusCode.RESOURCE_EXHAUSTED,
    pb.ERROR_REASON_FROZEN: grpc.StatusCode.PERMISSION_DENIED,
    pb.ERROR_REASON_SCOPE_DENIED: grpc.StatusCode.PERMISSION_DENIED,
    pb.ERROR_REASON_PASSWORD_ATTEMPTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    pb.ERROR_REASON_EXPORT_DISABLED: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_POLICY_REJECTED: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_ARCHIVE_REJECTED: grpc.StatusCode.PERMISSION_DENIED,
    pb.ERROR_REASON_SHUTTING_DOWN: grpc.StatusCode.UNAVAILABLE,
}
log = logging.getLogger("solward.signer")


class Refusal(Exception):
    """A request, or one item of a batch, is refused. Everything in it may be sent to the caller."""

    def __init__(
        self,
        reason: "pb.ErrorReason.ValueType",
        message: str,
        *,
        field: str = "",
        rule: str = "",
        retry_delay_ms: int = 0,
        signed: str = "no",
    ) -> None:
        """Name the reason; `field` at fault, `rule` that denied, `signed` "no" or "maybe"."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field
        self.rule = rule
        self.retry_delay_ms = retry_delay_ms
        self.signed = signed

    @property
    def code(self) -> grpc.StatusCode:
        """The canonical status code."""
        return STATUS[self.reason]

    @property
    def name(self) -> str:
        """The reason as ErrorInfo and the audit log spell it."""
        return pb.ErrorReason.Name(self.reason).removeprefix("ERROR_REASON_")

    def at(self, field: str) -> "Refusal":
        """Return the same refusal, of `field`."""
        return Refusal(
            self.reason,
            self.message,
            field=field,
            rule=self.rule,
            retry_delay_ms=self.retry_delay_ms,
            signed=self.signed,
        )

    def to_item(self) -> signer_pb.ItemError:
        """Return it as the result of one item of a batch."""
        return signer_pb.ItemError(
            reason=self.reason,
            code=self.code.value[0],
            message=self.message,
            rule=self.rule,
            field=self.field,
            retry_delay_ms=self.retry_delay_ms,
            signed=self.signed,
        )

    def to_status(self) -> status_pb2.Status:
        """Return google.rpc.Status with ErrorInfo, and BadRequest or RetryInfo where they fit."""
        metadata = {"signed": self.signed, "field": self.field, "rule": self.rule}
        details: list[Any] = [
            error_details_pb2.ErrorInfo(
                reason=self.name, domain=DOMAIN, metadata={k: v for k, v in metadata.items() if v}
            )
        ]
        if self.field:
            violation = error_details_pb2.BadRequest.FieldViolation(
                field=self.field, description=self.message
            )
            details.append(error_details_pb2.BadRequest(field_violations=[violation]))
        if self.retry_delay_ms:
            delay = duration_pb2.Duration()
            delay.FromMilliseconds(self.retry_delay_ms)
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        packed = []
        for detail in details:
            packed.append(any_pb2.Any())
            packed[-1].Pack(detail)
        return status_pb2.Status(code=self.code.value[0], message=self.message, details=packed)


def invalid(field: str, message: str) -> Refusal:
    """Return the refusal of a field that is malformed, missing or out of range."""
    return Refusal(pb.ERROR_REASON_INVALID_FIELD, f"{field}: {message}", field=field)


# What the rooms raise, most special first. Their messages are written to be shown.
_OF_ROOMS: tuple[tuple[type[Exception], "pb.ErrorReason.ValueType"], ...] = (
    (IntentRejected, pb.ERROR_REASON_TRANSACTION_MALFORMED),
    (AuditUnavailableError, pb.ERROR_REASON_AUDIT_UNAVAILABLE),
    (vault.PasswordRejected, pb.ERROR_REASON_PASSWORD_RULES),
    (vault.TextInvalid, pb.ERROR_REASON_INVALID_FIELD),
    (vault.PrivateKeyInvalid, pb.ERROR_REASON_INVALID_FIELD),
    (vault.MnemonicInvalid, pb.ERROR_REASON_MNEMONIC_INVALID),
    (vault.RecordRejected, pb.ERROR_REASON_RECORD_REJECTED),
    (vault.ArchiveRejected, pb.ERROR_REASON_ARCHIVE_REJECTED),
    (vault.OwnershipRejected, pb.ERROR_REASON_OWNERSHIP_REJECTED),
    (vault.EnvelopeRejected, pb.ERROR_REASON_CREDENTIAL_REJECTED),
    (PolicyError, pb.ERROR_REASON_POLICY_REJECTED),
    (vault.KdfBusy, pb.ERROR_REASON_KDF_BUSY),
    (vault.MemoryUnavailable, pb.ERROR_REASON_KDF_BUSY),
    (vault.SessionLimit, pb.ERROR_REASON_SESSION_LIMIT),
    (vault.SessionError, pb.ERROR_REASON_SESSION_INVALID),
)
_BUSY_RETRY_MS = 1000


def refusal_of(error: BaseException) -> Refusal | None:
    """Return the refusal that an exception of the rooms stands for; None if it is not expected."""
    if isinstance(error, Refusal):
        return error
    for kind, reason in _OF_ROOMS:
        if isinstance(error, kind):
            busy = reason == pb.ERROR_REASON_KDF_BUSY
            return Refusal(reason, str(error), retry_delay_ms=_BUSY_RETRY_MS if busy else 0)
    return None


def abort(context: grpc.ServicerContext, refusal: Refusal) -> NoReturn:
    """End the call with the refusal's status and details."""
    status = refusal.to_status().SerializeToString()
    context.set_trailing_metadata((("grpc-status-details-bin", status),))
    context.abort(refusal.code, refusal.message)


class Calls:
    """The calls under way. Once drained, new ones are refused: to ask again elsewhere is safe."""

    def __init__(self) -> None:
        """Begin with none."""
        self._changed = threading.Condition()
        self._count = 0
        self._ended = False

    def begin(self) -> None:
        """Count a call in. Raises Refusal."""
        with self._changed:
            if self._ended:
                raise Refusal(
                    pb.ERROR_REASON_SHUTTING_DOWN, "the signer stops", retry_delay_ms=_BUSY_RETRY_MS
                )
            self._count += 1

    def end(self) -> None:
        """Count a call out."""
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def drain(self, timeout_s: float) -> None:
        """Refuse new calls, and wait for those under way."""
        with self._changed:
            self._ended = True
            self._changed.wait_for(lambda: not self._count, timeout_s)


class RefusalInterceptor(grpc.ServerInterceptor):
    """Turns what a servicer raises into a status: a refusal as it is, the rest as bare INTERNAL."""

    def __init__(self, calls: Calls) -> None:
        """Count calls in `calls`."""
        self._calls = calls

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Wrap the handler of a unary or response-streaming call."""
        handler = continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith("/grpc.health."):
            return handler  # to be asked to the end; what it serves holds nothing up
        if handler.response_streaming:
            make, inner = grpc.unary_stream_rpc_method_handler, handler.unary_stream
        else:
            make, inner = grpc.unary_unary_rpc_method_handler, handler.unary_unary

        def guarded(request: Any, context: grpc.ServicerContext) -> Any:
            with _Guard(context, handler_call_details.method, self._calls):
                return inner(request, context)

        def guarded_stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with _Guard(context, handler_call_details.method, self._calls):
                yield from inner(request, context)

        # grpc's own generics cannot say "whatever the inner handler takes".
        return cast(Any, make)(
            guarded_stream if handler.response_streaming else guarded,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


class _Guard:
    def __init__(self, context: grpc.ServicerContext, method: str, calls: Calls) -> None:
        self._context = context
        self._method = method
        self._calls = calls

    def __enter__(self) -> None:
        try:
            self._calls.begin()
        except Refusal as refusal:
            abort(self._context, refusal)

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self._calls.end()
        if error is None or isinstance(error, GeneratorExit):
            return
        if (refusal := refusal_of(error)) is not None:
            abort(self._context, refusal)
        if self._context.code() is not None:  # type: ignore[attr-defined] # not in the type stubs
            return  # an inner abort is on its way out
        # The type alone: the text of an unexpected exception might hold a secret.
        log.error("%s failed: %s", self._method, type(error).__name__)
        signed = "maybe" if "/Sign" in self._method else "no"
        abort(self._context, Refusal(pb.ERROR_REASON_INTERNAL, "internal error", signed=signed))
