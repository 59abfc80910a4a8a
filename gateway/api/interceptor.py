"""What every call goes through: decoding, the mapping of errors to statuses, one log line."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, Final, NoReturn, cast

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2

from gateway import errors, logs
from gateway.domain.custody import SignerRefusedError
from gateway.domain.errors import GatewayError, InvalidArgumentError, ShuttingDownError, Signed
from gateway.domain.ports import Clock

log = logging.getLogger("solward.gateway")
Context = grpc.aio.ServicerContext[Any, Any]
# What must pass: an abort on its way out, a call whose client has gone, the end of the process.
_PASSING: Final = (
    grpc.aio.AbortError,
    asyncio.CancelledError,
    GeneratorExit,
    KeyboardInterrupt,
    SystemExit,
)

# The streams that end only when their client goes: a drain would wait for them in vain.
_WATCHES: Final = frozenset(
    {
        "/grpc.health.v1.Health/Watch",
        "/solward.gateway.v1.DistributionService/WatchDistribution",
    }
)
_SIGNING: Final = "/solward.gateway.v1.SigningService/Sign"
_UNWIND_S: Final = 1.0


class CallRefusedError(Exception):
    """A status that is ready to send: the only item of a batch was refused."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status


class Calls:
    """The calls under way, for an end in order: every client is told what became of its own."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], str] = {}
        self.ended = False

    @contextmanager
    def joined(self, method: str) -> Iterator[None]:
        """Counts the present task in. Raises ShuttingDownError once the gateway stops, except for
        questions about its health.
        """
        if self.ended and not method.startswith("/grpc.health."):
            raise ShuttingDownError("the gateway stops")
        task = asyncio.current_task()
        if task is None:
            yield
            return
        self._tasks[task] = method
        try:
            yield
        finally:
            del self._tasks[task]

    async def drain(self, seconds: float) -> None:
        """Refuses new calls, ends watches, and after `seconds` whatever still runs.

        Their clients are told SHUTTING_DOWN and may go elsewhere.
        """
        self.ended = True
        for task in [task for task, method in self._tasks.items() if method in _WATCHES]:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_UNWIND_S)


class StatusInterceptor(grpc.aio.ServerInterceptor):
    """Turns whatever a servicer raises into a status with details, and never shows more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.calls = Calls()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wraps the handler of a unary or response-streaming call."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_streaming:
            return handler  # unknown methods; of ours, only reflection takes a stream
        guard = _Guard(
            self._clock,
            self.calls,
            handler_call_details.method,
            handler.request_deserializer,
        )
        # Requests are decoded in the guard: grpc would log a traceback and answer UNKNOWN.
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                cast(Any, guard.stream(handler.unary_stream)),
                response_serializer=handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            cast(Any, guard.unary(handler.unary_unary)),
            response_serializer=handler.response_serializer,
        )


class _Guard:
    def __init__(
        self, clock: Clock, calls: Calls, method: str, decode: Callable[[bytes], Message]
    ) -> None:
        self._clock = clock
        self._calls = calls
        self._method = method
        self._if_lost: Signed = "maybe" if method.startswith(_SIGNING) else "no"
        self._decode = decode

    def unary(
        self, inner: Callable[[Message, Context], Awaitable[Message]]
    ) -> Callable[[bytes, Context], Awaitable[Message]]:
        async def guarded(raw: bytes, context: Context) -> Message:
            started_s = self._clock.monotonic_s()
            try:
                with self._calls.joined(self._method):
                    return await inner(self._request(raw), context)
            except BaseException as error:  # noqa: BLE001 the one place; a Rust panic is no Exception
                await self._fail(error, context, started_s)

        return guarded

    def stream(
        self, inner: Callable[[Message, Context], Any]
    ) -> Callable[[bytes, Context], Awaitable[None]]:
        async def guarded(raw: bytes, context: Context) -> None:
            started_s = self._clock.monotonic_s()
            try:
                with self._calls.joined(self._method):
                    responses = inner(self._request(raw), context)
                    if isinstance(responses, AsyncIterator):
                        await _write_all(responses, context)
                    else:
                        await responses  # the health service writes to the context by itself
            except BaseException as error:  # noqa: BLE001 the one place; a Rust panic is no Exception
                await self._fail(error, context, started_s)

        return guarded

    def _request(self, raw: bytes) -> Message:
        try:
            return self._decode(raw)
        except DecodeError:
            raise InvalidArgumentError("the request does not decode") from None

    async def _fail(self, error: BaseException, context: Context, started_s: float) -> NoReturn:
        """Ends the call with the error's status, logged; raises what is to pass."""
        if isinstance(error, asyncio.CancelledError) and self._calls.ended:
            error = ShuttingDownError("the gateway stops", signed=self._if_lost)
        if isinstance(error, _PASSING):
            raise error
        incident_id = ""
        if isinstance(error, CallRefusedError):
            status = error.status
        elif isinstance(error, GatewayError) and not errors.is_defect(error):
            status = errors.to_status(error)
        else:
            incident_id = uuid.uuid4().hex
            status = errors.internal_status(incident_id, self._if_lost)
        code = errors.code_of(status.code)
        facts: dict[str, Any] = {
            "method": self._method,
            "code": code.name,
            "reason": error.reason if isinstance(error, GatewayError) else "",
            "milliseconds": round((self._clock.monotonic_s() - started_s) * 1000, 1),
        }
        if incident_id:
            log.error("incident", exc_info=error, extra={"facts": {**facts, "id": incident_id}})
        else:
            if error.__cause__ is not None and not isinstance(error, SignerRefusedError):
                facts["cause"] = logs.describe(error.__cause__)
            whose = "signer" if isinstance(error, SignerRefusedError) else "gateway"
            log.info("refused", extra={"facts": {**facts, "by": whose}})
        context.set_trailing_metadata(((errors.DETAILS_KEY, status.SerializeToString()),))
        await context.abort(code, status.message)


async def _write_all(responses: AsyncIterator[Message], context: Context) -> None:
    """Writes a stream; closes it at once if the client has gone: it may hold a transaction."""
    async with aclosing(cast(Any, responses)) as stream:
        async for response in stream:
            await context.write(response)
