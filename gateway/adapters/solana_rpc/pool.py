"""Which endpoint is asked, and how often: the seam where failover and rate budgets belong."""

import asyncio
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gateway.adapters.solana_rpc.errors import RpcError, RpcNodeError
from gateway.adapters.solana_rpc.transport import Endpoint
from gateway.adapters.solana_rpc.wire import (
    NodeFault,
    WireError,
    decode_response,
    encode_request,
)
from gateway.domain.ports import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReadRetries:
    """How often a read is tried, and how long to wait between: full jitter below a doubling cap.

    `total_s` bounds a read with all its tries and waits.
    """

    attempts_max: int = 4
    first_delay_s: float = 0.2
    delay_s_max: float = 5.0
    total_s: float = 20.0


class RpcPool(Protocol):
    """Where calls go. `check` raises ValueError on a result that contradicts the request."""

    async def read(
        self,
        method: str,
        params: Sequence[object],
        result_type: type[T],
        check: Callable[[T], None] | None = None,
    ) -> T:
        """Calls a method that changes nothing; may repeat it, here or elsewhere."""
        ...

    async def write(self, method: str, params: Sequence[object], result_type: type[T]) -> T:
        """Calls a method once."""
        ...

    def describe(self) -> Mapping[str, str]:
        """Returns what an operator may see."""
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...


class SingleEndpoint:
    """RpcPool over one endpoint: reads are repeated with jitter, writes are not."""

    def __init__(
        self,
        endpoint: Endpoint,
        clock: Clock,
        *,
        retries: ReadRetries | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`jitter` returns a number in [0, 1)."""
        self._endpoint = endpoint
        self._clock = clock
        self._retries = retries or ReadRetries()
        self._jitter = jitter
        self._ids = itertools.count(1)

    async def read(
        self,
        method: str,
        params: Sequence[object],
        result_type: type[T],
        check: Callable[[T], None] | None = None,
    ) -> T:
        """Calls a method, again after a passing failure; raises the last RpcError."""
        try:
            async with asyncio.timeout(self._retries.total_s):
                return await self._read(method, params, result_type, check)
        except TimeoutError:
            raise RpcError(self._endpoint.name, "timeout", "did not answer in time") from None

    async def _read(
        self,
        method: str,
        params: Sequence[object],
        result_type: type[T],
        check: Callable[[T], None] | None,
    ) -> T:
        delay_s_max = self._retries.first_delay_s
        for attempt in itertools.count(1):
            try:
                return await self._call(method, params, result_type, check)
            except RpcError as error:
                if attempt >= self._retries.attempts_max or not error.is_passing:
                    raise
                delay_s = max(self._jitter() * delay_s_max, error.retry_after_s)
            await self._clock.sleep(delay_s)
            delay_s_max = min(2 * delay_s_max, self._retries.delay_s_max)
        raise AssertionError("unreachable")  # pragma: no cover

    async def write(self, method: str, params: Sequence[object], result_type: type[T]) -> T:
        """Calls a method once; raises RpcError."""
        return await self._call(method, params, result_type, None)

    async def _call(
        self,
        method: str,
        params: Sequence[object],
        result_type: type[T],
        check: Callable[[T], None] | None,
    ) -> T:
        request_id = next(self._ids)
        body = await self._endpoint.post(encode_request(request_id, method, params))
        try:
            answer = decode_response(body, request_id, result_type)
            if not isinstance(answer, NodeFault):
                if check is not None:
                    check(answer)
                return answer
        except ValueError as error:  # WireError is one
            message = str(error) if isinstance(error, WireError) else f"contradiction: {error}"
            raise RpcError(self._endpoint.name, "malformed", message) from None
        raise RpcNodeError(self._endpoint.name, answer.code, answer.message)

    def describe(self) -> Mapping[str, str]:
        """Returns the host."""
        return {"endpoint": self._endpoint.name}

    async def close(self) -> None:
        """Closes the connections."""
        await self._endpoint.close()
