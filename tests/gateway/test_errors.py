"""Errors on the wire: one reason, one code, and never more than was meant to be said."""

import io
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from gateway import errors, logs
from gateway.api.interceptor import StatusInterceptor
from gateway.clock import SystemClock
from gateway.domain import errors as domain
from gateway.domain.custody import ItemRefusal
from solward.gateway.v1 import errors_pb2
from solward.gateway.v1 import signing_service_pb2 as signing_pb
from solward.gateway.v1 import signing_service_pb2_grpc as signing_grpc
from solward.gateway.v1 import wallet_service_pb2 as pb
from solward.gateway.v1 import wallet_service_pb2_grpc as pb_grpc
from tests.gateway.support import parse, refusal_of

CANARY = "canary-password-7f3a"


def details(status: status_pb2.Status) -> dict[str, Any]:
    """A status's details by name."""
    kinds = (
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.RetryInfo,
        error_details_pb2.PreconditionFailure,
        error_details_pb2.QuotaFailure,
    )
    found: dict[str, Any] = {}
    for detail in status.details:
        for kind in kinds:
            message = kind()
            if detail.Unpack(message):
                found[kind.DESCRIPTOR.name] = message
    return found


def test_every_reason_of_the_contract_has_a_code() -> None:
    """The table and the contract's enum name the same reasons."""
    contract = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()}  # noqa: SIM118 an enum wrapper does not iterate
    assert contract - {"UNSPECIFIED"} == set(errors.CODES)


def every_error() -> list[type[domain.GatewayError]]:
    """All classes of the tree."""
    classes, tree = [], [domain.GatewayError]
    while tree:
        kind = tree.pop()
        classes.append(kind)
        tree += kind.__subclasses__()
    return classes


@pytest.mark.parametrize("kind", every_error())
def test_every_error_has_a_reason_of_the_contract(kind: type[domain.GatewayError]) -> None:
    """A class's own reason is in the contract, so that it has a code."""
    assert kind.default_reason in errors.CODES


def test_details_fit_the_code() -> None:
    """Bad input names its field, a wrong state its precondition, an outage when to retry."""
    bad = details(errors.to_status(domain.InvalidArgumentError("no", field="count")))
    assert bad["BadRequest"].field_violations[0].field == "count"
    wrong = details(errors.to_status(domain.PreconditionFailedError("no", field="etag")))
    assert wrong["PreconditionFailure"].violations[0].type == "WRONG_STATE"
    away = details(errors.to_status(domain.StoreUnavailableError("no")))
    assert away["RetryInfo"].retry_delay.ToMilliseconds() == errors.RETRY_DELAY_MS
    assert "BadRequest" not in away
    quota = details(
        errors.item_to_status(
            ItemRefusal("RATE_LIMITED", "signer.solward", 8, "no", retry_delay_ms=900)
        )
    )
    assert quota["RetryInfo"].retry_delay.ToMilliseconds() == 900
    assert quota["QuotaFailure"].violations[0].subject == "RATE_LIMITED"


def test_an_unknown_reason_is_internal() -> None:
    """A reason that the contract does not know never reaches a client."""
    status = errors.to_status(domain.NotFoundError("no", reason="INVENTED"))
    assert (13, "INTERNAL") == (status.code, details(status)["ErrorInfo"].reason)


class Panic(BaseException):
    """What a panic in Rust looks like: past every `except Exception`."""


class Faulty(pb_grpc.WalletServiceServicer):
    """Fails as `failure` says."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None

    async def GetWallet(  # noqa: N802 gRPC calls it so
        self, _request: pb.GetWalletRequest, _context: object
    ) -> pb.GetWalletResponse:
        """Fails, or answers."""
        if self.failure is not None:
            raise self.failure
        return pb.GetWalletResponse()

    async def DeriveWallets(  # noqa: N802 gRPC calls it so
        self, _request: pb.DeriveWalletsRequest, _context: object
    ) -> AsyncIterator[pb.DeriveWalletsResponse]:
        """Says something, then fails."""
        yield pb.DeriveWalletsResponse(derived_count=1)
        if self.failure is not None:
            raise self.failure


async def with_server(
    work: Callable[[Any, Faulty], Awaitable[None]],
) -> None:
    """Runs `work` with a stub on a server that fails."""
    servicer: Faulty = cast(Any, Faulty)()  # the other methods are not called
    server = grpc.aio.server(interceptors=[StatusInterceptor(SystemClock())])
    pb_grpc.add_WalletServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await work(pb_grpc.WalletServiceStub(channel), servicer)
    await server.stop(None)


@pytest.mark.parametrize("kind", [ValueError, Panic, KeyError, RecursionError])
async def test_what_nobody_foresaw_is_an_incident(kind: type[BaseException]) -> None:
    """INTERNAL and an id for the client; type and place in the log; the text in neither."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter())
    logging.getLogger(logs.LOGGER_NAME).addHandler(handler)

    async def work(stub: Any, servicer: Faulty) -> None:
        servicer.failure = kind(CANARY)
        refusal = await refusal_of(stub.GetWallet(pb.GetWalletRequest()))
        assert (grpc.StatusCode.INTERNAL, "INTERNAL") == (refusal.code, refusal.reason)
        line = json.loads(stream.getvalue().splitlines()[-1])
        assert {"signed": "no", "incident_id": line["id"]} == refusal.metadata
        assert line["error"] == [f"{kind.__module__}.{kind.__qualname__}"]
        assert any("GetWallet" in place for place in line["trace"])
        assert CANARY not in refusal.message + str(refusal.metadata) + stream.getvalue()
        servicer.failure = None
        await stub.GetWallet(pb.GetWalletRequest())

    try:
        await with_server(work)
    finally:
        logging.getLogger(logs.LOGGER_NAME).removeHandler(handler)


async def test_an_incident_of_a_call_that_signs_leaves_open_whether_it_did() -> None:
    """Nobody knows how far it came: `signed` is "maybe"."""

    class FaultySigning(signing_grpc.SigningServiceServicer):
        async def SignMessage(  # noqa: N802 gRPC calls it so
            self, _request: signing_pb.SignMessageRequest, _context: object
        ) -> signing_pb.SignMessageResponse:
            raise KeyError(CANARY)

    server = grpc.aio.server(interceptors=[StatusInterceptor(SystemClock())])
    signing_grpc.add_SigningServiceServicer_to_server(cast(Any, FaultySigning)(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = signing_grpc.SigningServiceStub(channel)
        refusal = await refusal_of(stub.SignMessage(signing_pb.SignMessageRequest()))
    await server.stop(None)
    assert ("INTERNAL", "maybe") == (refusal.reason, refusal.metadata["signed"])


async def test_a_stream_that_fails_midway_ends_with_a_status() -> None:
    """What was sent stays sent, and then comes the refusal with its details."""

    async def work(stub: Any, servicer: Faulty) -> None:
        servicer.failure = domain.StoreUnavailableError("the database cannot be reached")
        call = stub.DeriveWallets(pb.DeriveWalletsRequest())
        assert (await call.read()).derived_count == 1
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert parse(caught.value).reason == "DATABASE_UNAVAILABLE"

    await with_server(work)


def test_the_log_shows_causes_by_type_and_no_text() -> None:
    """A chain of causes is logged as a list of types."""
    try:
        try:
            raise ValueError(CANARY)
        except ValueError as inner:
            raise domain.StoreUnavailableError("visible") from inner
    except domain.StoreUnavailableError as error:
        described = logs.describe(error)
    assert described["error"] == [
        "gateway.domain.errors.StoreUnavailableError",
        "builtins.ValueError",
    ]
    assert CANARY not in json.dumps(described)
