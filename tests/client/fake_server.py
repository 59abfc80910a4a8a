"""What a made-up server needs: handlers by name, refusals with details, the binding of secrets."""

import hashlib
import re
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

BOOT_ID = b"boot-id-16-bytes"


def refuse(
    context: grpc.ServicerContext,
    code: grpc.StatusCode,
    reason: str,
    message: str,
    *,
    rule: str = "",
    field: str = "",
    retry_ms: int = 0,
    signed: str = "no",
) -> NoReturn:
    """End a call the way the servers do, with google.rpc details."""
    metadata = {"signed": signed} | ({"rule": rule} if rule else {})
    details: list[Any] = [
        error_details_pb2.ErrorInfo(reason=reason, domain="signer.solward", metadata=metadata)
    ]
    if field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=message)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if retry_ms:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(retry_ms)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = [any_pb2.Any() for _ in details]
    for box, detail in zip(packed, details, strict=True):
        box.Pack(detail)
    status = status_pb2.Status(code=code.value[0], message=message, details=packed)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)


def binding(*parts: str) -> bytes:
    """Return what the protos say a secret is bound to, written out a second time on purpose."""
    bound = b"solward/binding/v1\x00" + BOOT_ID
    for part in parts:
        bound += len(part.encode()).to_bytes(4, "big") + part.encode()
    return hashlib.sha256(bound).digest()


def service(module: Any, handlers: object) -> grpc.GenericRpcHandler:
    """Return a module's one service with the methods that `handlers` has, named in snake case.

    The others are UNIMPLEMENTED, as they are where a server has no servicer for them.
    """
    (service,) = module.DESCRIPTOR.services_by_name.values()
    methods = {}
    for method in service.methods:
        handler = getattr(handlers, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", method.name).lower(), None)
        if handler is None:
            continue
        make: Any = (
            grpc.unary_stream_rpc_method_handler
            if method.server_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        methods[method.name] = make(
            handler,
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
    return grpc.method_handlers_generic_handler(service.full_name, methods)
