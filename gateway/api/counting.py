"""Counting of calls: each is told with its method, status code and seconds when it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import grpc

from gateway.domain.ports import Clock

Context = grpc.aio.ServicerContext[Any, Any]
Behaviour = Callable[[bytes, Context], Awaitable[Any]]
Observe = Callable[[str, str, float], None]


class CountingInterceptor(grpc.aio.ServerInterceptor):
    """Tells of every call of a method that is served, and changes nothing.

    Put it before the others: it tells the code that they decided on.
    """

    def __init__(self, clock: Clock, observe: Observe) -> None:
        """`observe` is told method, code and seconds."""
        self._clock = clock
        self._observe = observe

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wraps the handler of a call."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_streaming:
            return handler  # not told: a method that is not there would be a label of its own
        make, inner = (
            (grpc.unary_stream_rpc_method_handler, handler.unary_stream)
            if handler.response_streaming
            else (grpc.unary_unary_rpc_method_handler, handler.unary_unary)
        )
        counted = self._counted(handler_call_details.method, inner)
        return make(
            cast(Any, counted),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _counted(self, method: str, inner: Behaviour) -> Behaviour:
        async def counted(request: bytes, context: Context) -> Any:
            started_s = self._clock.monotonic_s()
            code = "UNKNOWN"
            try:
                answer = await inner(request, context)
                code = "OK"
                return answer
            except grpc.aio.AbortError:
                code = _code(context)
                raise
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            finally:
                self._observe(method, code, self._clock.monotonic_s() - started_s)

        return counted


def _code(context: Context) -> str:
    """Returns the name of the status that a call was ended with."""
    code: Any = context.code()
    if isinstance(code, grpc.StatusCode):
        return code.name
    names = {int(one.value[0]): one.name for one in grpc.StatusCode}
    return names.get(int(code), "UNKNOWN")
