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
from gateway.domain.errors import GatewayError, InvalidArgumentError
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

_WATCHES: Final = frozenset(
    {
        "/grpc.health.v1.Health/Watch",
        "/solward.gateway.v1.DistributionService/WatchDistribution",
    }
)


class CallRefusedError(Exception):
    """A status that is ready to send: the only item of a batch was refused."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status


class Watches:
    """The streams that end only when their client goes: a drain would wait for them in vain."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.ended = False

    @contextmanager
    def joined(self, method: str) -> Iterator[None]:
        """Counts the present task among the watches, if its method is one."""
        task = asyncio.current_task()
        if task is None or method not in _WATCHES:
            yield
            return
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)

    def end(self) -> None:
        """Ends them all; their clients are told UNAVAILABLE and may watch elsewhere."""
        self.ended = True
        for task in self._tasks:
            task.cancel()


class StatusInterceptor(grpc.aio.ServerInterceptor):
    """Turns whatever a servicer raises into a status with details, and never shows more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.watches = Watches()

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
            self.watches,
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
        self, clock: Clock, watches: Watches, method: str, decode: Callable[[bytes], Message]
    ) -> None:
        self._clock = clock
        self._watches = watches
        self._method = method
        self._decode = decode

    def unary(
        self, inner: Callable[[Message, Context], Awaitable[Message]]
    ) -> Callable[[bytes, Context], Awaitable[Message]]:
        async def guarded(raw: bytes, context: Context) -> Message:
            started_s = self._clock.monotonic_s()
            try:
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
                responses = inner(self._request(raw), context)
                with self._watches.joined(self._method):
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
        if isinstance(error, asyncio.CancelledError) and self._watches.ended:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the gateway stops")
        if isinstance(error, _PASSING):
            raise error
        incident_id = ""
        if isinstance(error, CallRefusedError):
            status = error.status
        elif isinstance(error, GatewayError):
            status = errors.to_status(error)
        else:
            incident_id = uuid.uuid4().hex
            status = errors.internal_status(incident_id)
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
