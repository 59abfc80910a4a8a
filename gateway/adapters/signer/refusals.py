"""What the signer's calls fail with, as the gateway's own errors."""

from typing import Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from gateway.domain.custody import SIGNER_DOMAIN, SignerRefusedError
from gateway.domain.errors import GatewayError, Signed, SignerUnavailableError

CREDENTIAL_REJECTED: Final = "CREDENTIAL_REJECTED"
_SHUTTING_DOWN: Final = "SHUTTING_DOWN"
_DETAILS_KEY: Final = "grpc-status-details-bin"


def to_gateway_error(error: grpc.aio.AioRpcError, *, if_lost: Signed = "no") -> GatewayError:
    """Returns SignerRefusedError for the signer's own answer, SignerUnavailableError otherwise.

    Only a status with the signer's ErrorInfo is its own answer. One without is gRPC speaking: no
    connection, a deadline, a server that stops. The text of that may name paths and is dropped.
    `if_lost` says whether a signature may have been made where there is no answer.
    """
    status = _status(error)
    info = None if status is None else _error_info(status)
    if status is None or info is None:
        code = error.code().name
        return SignerUnavailableError(f"the signer does not answer ({code})", signed=if_lost)
    if info.reason == _SHUTTING_DOWN:
        return SignerUnavailableError("the signer is stopping")
    return SignerRefusedError(
        status.message,
        code=status.code,
        reason=info.reason,
        field=info.metadata.get("field", ""),
        status=status.SerializeToString(),
        signed="maybe" if info.metadata.get("signed") == "maybe" else "no",
    )


def _status(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def _error_info(status: status_pb2.Status) -> error_details_pb2.ErrorInfo | None:
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == SIGNER_DOMAIN:
            return info
    return None
