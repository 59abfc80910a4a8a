"""Every error of the gateway and what it becomes on the wire, in this one place.

    GatewayError                            gateway.domain.errors
    ├── InvalidArgumentError                INVALID_FIELD
    │   └── TotalTooSmallError              BELOW_RENT_FLOOR
    ├── NotFoundError                       WALLET_NOT_FOUND, MASTER_WALLET_NOT_FOUND, ...
    ├── AlreadyExistsError                  ALREADY_STORED
    ├── PreconditionFailedError             WRONG_STATE
    │   ├── EtagMismatchError               ETAG_MISMATCH
    │   └── RequestIdConflictError          REQUEST_ID_REUSED
    ├── OutOfRangeError                     INVALID_FIELD
    ├── StoreUnavailableError               DATABASE_UNAVAILABLE
    ├── SignerUnavailableError              SIGNER_UNAVAILABLE
    ├── ShuttingDownError                   SHUTTING_DOWN
    ├── ChainUnavailableError               RPC_UNAVAILABLE
    ├── TransactionRejectedError            TRANSACTION_REJECTED
    └── SignerRefusedError                  the signer's own status, unchanged (domain.custody)

An error's `reason` is a name of the contract, and the reason decides the status code. Whatever is
not a GatewayError, or has no reason of its own, is INTERNAL with an incident id that the log
repeats, and nothing else.
"""

from collections.abc import Sequence
from typing import Final

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from gateway.domain.custody import SIGNER_DOMAIN, ItemRefusal, SignerRefusedError
from gateway.domain.errors import GatewayError, PolicyDeniedError, Signed

DOMAIN: Final = "gateway.solward"
RETRY_DELAY_MS: Final = 500
DETAILS_KEY: Final = "grpc-status-details-bin"
_Code = grpc.StatusCode


# The contract (proto/solward/gateway/v1/errors.proto) gives every reason its code.
CODES: Final = {
    "INVALID_FIELD": _Code.INVALID_ARGUMENT,
    "MASTER_WALLET_NOT_FOUND": _Code.NOT_FOUND,
    "WALLET_NOT_FOUND": _Code.NOT_FOUND,
    "DISTRIBUTION_NOT_FOUND": _Code.NOT_FOUND,
    "REQUEST_ID_REUSED": _Code.ALREADY_EXISTS,
    "ALREADY_STORED": _Code.ALREADY_EXISTS,
    "ETAG_MISMATCH": _Code.ABORTED,
    "WRONG_STATE": _Code.FAILED_PRECONDITION,
    "PLAINTEXT_SECRET_REFUSED": _Code.FAILED_PRECONDITION,
    "BELOW_RENT_FLOOR": _Code.INVALID_ARGUMENT,
    "INSUFFICIENT_FUNDS": _Code.FAILED_PRECONDITION,
    "TRANSACTION_INVALID": _Code.INVALID_ARGUMENT,
    "POLICY_DENIED": _Code.PERMISSION_DENIED,
    "DATABASE_UNAVAILABLE": _Code.UNAVAILABLE,
    "SIGNER_UNAVAILABLE": _Code.UNAVAILABLE,
    "RPC_UNAVAILABLE": _Code.UNAVAILABLE,
    "NOT_IMPLEMENTED": _Code.UNIMPLEMENTED,
    "INTERNAL": _Code.INTERNAL,
    "SESSION_INVALID": _Code.UNAUTHENTICATED,
    "TRANSACTION_REJECTED": _Code.FAILED_PRECONDITION,
    "SHUTTING_DOWN": _Code.UNAVAILABLE,
}
_CODE_BY_NUMBER: Final = {code.value[0]: code for code in _Code}


def reason_of(error: GatewayError) -> str:
    """Returns an error's reason; INTERNAL for one that the contract does not know."""
    return error.reason if error.reason in CODES else "INTERNAL"


def is_defect(error: GatewayError) -> bool:
    """Returns True for an error that no client can do anything about: an incident, as any other."""
    return not isinstance(error, SignerRefusedError) and reason_of(error) == "INTERNAL"


def to_status(error: GatewayError) -> status_pb2.Status:
    """Returns the google.rpc.Status of an error; of a SignerRefusedError the signer's own."""
    if isinstance(error, SignerRefusedError):
        return status_pb2.Status.FromString(error.status)
    reason = reason_of(error)
    code = CODES[reason]
    rule = error.rule if isinstance(error, PolicyDeniedError) else ""
    metadata = {"signed": error.signed, "field": error.field, "rule": rule}
    details: list[Message] = [_error_info(reason, DOMAIN, metadata)]
    if code is _Code.UNAVAILABLE:
        details.append(_retry_info(RETRY_DELAY_MS))
    elif error.field:
        details.append(_bad_request(error.field, error.message))
    if code is _Code.FAILED_PRECONDITION:
        violation = error_details_pb2.PreconditionFailure.Violation(
            type=reason, subject=error.field, description=error.message
        )
        details.append(error_details_pb2.PreconditionFailure(violations=[violation]))
    return _status(code, error.message, details)


def item_to_status(refusal: ItemRefusal) -> status_pb2.Status:
    """Returns the status of a call whose only item was refused."""
    metadata = {"signed": refusal.signed, "rule": refusal.rule, "field": refusal.field}
    details: list[Message] = [_error_info(refusal.reason, refusal.domain, metadata)]
    if refusal.field:
        details.append(_bad_request(refusal.field, refusal.message))
    if refusal.retry_delay_ms:
        details.append(_retry_info(refusal.retry_delay_ms))
    code = code_of(refusal.code)
    if code is _Code.RESOURCE_EXHAUSTED:
        violation = error_details_pb2.QuotaFailure.Violation(
            subject=refusal.rule or refusal.reason, description=refusal.message
        )
        details.append(error_details_pb2.QuotaFailure(violations=[violation]))
    return _status(code, refusal.message, details)


def internal_status(incident_id: str, signed: Signed) -> status_pb2.Status:
    """Returns the status of a failure that nobody foresaw: an id to look for in the log."""
    message = f"the gateway failed; its log has incident {incident_id}"
    metadata = {"signed": signed, "incident_id": incident_id}
    return _status(_Code.INTERNAL, message, [_error_info("INTERNAL", DOMAIN, metadata)])


def refused_item(error: GatewayError) -> ItemRefusal:
    """Returns an error as the result of one item of a batch."""
    if isinstance(error, SignerRefusedError):
        return ItemRefusal(
            reason=error.reason,
            domain=SIGNER_DOMAIN,
            code=error.code,
            message=error.message,
            field=error.field,
            signed=error.signed,
        )
    reason = reason_of(error)
    code = CODES[reason]
    return ItemRefusal(
        reason=reason,
        domain=DOMAIN,
        code=code.value[0],
        message=error.message,
        field=error.field,
        retry_delay_ms=RETRY_DELAY_MS if code is _Code.UNAVAILABLE else 0,
        signed=error.signed,
    )


def code_of(number: int) -> grpc.StatusCode:
    """Returns the status code with this number; UNKNOWN if there is none."""
    return _CODE_BY_NUMBER.get(number, _Code.UNKNOWN)


def _status(code: grpc.StatusCode, message: str, details: Sequence[Message]) -> status_pb2.Status:
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code.value[0], message=message, details=packed)


def _error_info(reason: str, domain: str, metadata: dict[str, str]) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(
        reason=reason,
        domain=domain,
        metadata={key: value for key, value in metadata.items() if value},
    )


def _bad_request(field: str, description: str) -> error_details_pb2.BadRequest:
    violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
    return error_details_pb2.BadRequest(field_violations=[violation])


def _retry_info(delay_ms: int) -> error_details_pb2.RetryInfo:
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(delay_ms)
    return error_details_pb2.RetryInfo(retry_delay=delay)
