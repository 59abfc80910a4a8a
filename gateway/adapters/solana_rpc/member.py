"""One endpoint of a pool: its connection, its budgets, its health, and one call to it."""

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from gateway.adapters.solana_rpc.budgets import Budgets, Rates
from gateway.adapters.solana_rpc.circuit import Circuit
from gateway.adapters.solana_rpc.errors import RpcError, RpcNodeError
from gateway.adapters.solana_rpc.observing import Observer
from gateway.adapters.solana_rpc.transport import Endpoint
from gateway.adapters.solana_rpc.wire import (
    NodeFault,
    WireError,
    decode_response,
    encode_request,
)
from gateway.domain.ports import Clock

T = TypeVar("T")
Check = Callable[[T], object]

_PATIENCE_S: Final = 1.0
"""A call that waited so long at the node in vain has seen it fail, whatever its caller's haste."""
_KIB: Final = 1024
_ANSWER_BYTES_MAX: Final = {
    "getBalance": 16 * _KIB,
    "getBlockHeight": 16 * _KIB,
    "getEpochInfo": 16 * _KIB,
    "getFeeForMessage": 16 * _KIB,
    "getFirstAvailableBlock": 16 * _KIB,
    "getGenesisHash": 16 * _KIB,
    "getHealth": 16 * _KIB,
    "getLatestBlockhash": 16 * _KIB,
    "getMinimumBalanceForRentExemption": 16 * _KIB,
    "getSlot": 16 * _KIB,
    "isBlockhashValid": 16 * _KIB,
    "getRecentPrioritizationFees": 64 * _KIB,
    "sendTransaction": 256 * _KIB,  # a refusal comes with logs
    "getSignatureStatuses": 512 * _KIB,
    "getSignaturesForAddress": 2048 * _KIB,
    "getTransaction": 2048 * _KIB,
    "simulateTransaction": 2048 * _KIB,
}
"""Several times what an honest node needs: to read more would only hold up everybody else."""


class _RestingError(RpcError):
    """The endpoint asked for rest while this call was waiting for its turn. It was not made."""


class Member:
    """Makes single calls to an endpoint and remembers how they went."""

    def __init__(
        self,
        endpoint: Endpoint,
        clock: Clock,
        rates: Rates,
        ids: Iterator[int],
        observer: Observer,
    ) -> None:
        self.name = endpoint.name
        self.circuit = Circuit(endpoint.name)
        self._observer = observer
        self.budgets = Budgets(rates)
        self.genesis_hash = ""
        # How many slots it was behind the others when they were compared last.
        self.lag_slots = 0
        self._endpoint = endpoint
        self._clock = clock
        self._ids = ids

    async def close(self) -> None:
        """Closes the connections."""
        await self._endpoint.close()

    def refused(self, why: str) -> RpcError:
        """Opens the circuit for what no call showed; returns the error that says so."""
        error = RpcError(self.name, "malformed", why)
        self.circuit.refused(error, self._clock.monotonic_s())
        return error

    async def call(
        self,
        method: str,
        params: Sequence[object],
        result_type: type[T],
        check: Check[T] | None,
        seconds_max: float,
    ) -> T:
        """Calls once, within the budget and so many seconds; raises RpcError."""
        wait_s = self.budgets.wait_s(method, self._clock.monotonic_s())
        if wait_s >= seconds_max:
            self._observer.budget_waited(self.name, method, 0)
            raise RpcError(self.name, "rate_limited", f"the budget of {method} is used up")
        self.budgets.take(method, self._clock.monotonic_s())
        if wait_s:
            self._observer.budget_waited(self.name, method, wait_s)
            await self._clock.sleep(wait_s)
            self._require_awake()
        started_s = self._clock.monotonic_s()
        outcome = "cancelled"
        try:
            answer = await self._judged(method, params, result_type, check, seconds_max - wait_s)
            outcome = "ok"
            return answer
        except RpcError as error:
            outcome = error.kind
            raise
        finally:
            took_s = self._clock.monotonic_s() - started_s
            self._observer.call_ended(self.name, method, outcome, took_s)

    async def _judged(
        self,
        method: str,
        params: Sequence[object],
        result_type: type[T],
        check: Check[T] | None,
        seconds_max: float,
    ) -> T:
        """Calls, and tells the circuit how it went; raises RpcError."""
        ends_at_s = self._clock.monotonic_s() + seconds_max
        asked_at_s = math.inf

        def begin() -> None:
            nonlocal asked_at_s
            self._require_awake()
            asked_at_s = self._clock.monotonic_s()

        is_trial = self.circuit.called(self._clock.monotonic_s())
        try:
            async with asyncio.timeout(seconds_max):
                answer = await self._exchange(method, params, result_type, check, begin)
        except TimeoutError:
            late = RpcError(self.name, "timeout", "did not answer in time")
            # Less is the caller's haste or our own queue, and not held against the node.
            if ends_at_s - asked_at_s >= _PATIENCE_S:
                self.circuit.failed(late, self._clock.monotonic_s(), is_trial=is_trial)
            raise late from None
        except _RestingError:
            raise
        except RpcError as error:
            if error.is_passing:
                self.circuit.failed(error, self._clock.monotonic_s(), is_trial=is_trial)
            else:
                self.circuit.succeeded()
            raise
        finally:
            if is_trial:
                self.circuit.tried(self._clock.monotonic_s())
        self.circuit.succeeded()
        return answer

    def _require_awake(self) -> None:
        """Returns if the endpoint may be called; whoever queued asks once more."""
        if self.circuit.rests_s(self._clock.monotonic_s()):
            raise _RestingError(self.name, "rate_limited", "asked to be called less often")

    async def _exchange(
        self,
        method: str,
        params: Sequence[object],
        result_type: type[T],
        check: Check[T] | None,
        begin: Callable[[], None],
    ) -> T:
        request_id = next(self._ids)
        request = encode_request(request_id, method, params)
        bytes_max = _ANSWER_BYTES_MAX.get(method)
        body = await self._endpoint.post(request, bytes_max, begin)
        try:
            answer = decode_response(body, request_id, result_type)
            if not isinstance(answer, NodeFault):
                if check is not None:
                    check(answer)
                return answer
        except ValueError as error:  # WireError is one
            message = str(error) if isinstance(error, WireError) else f"contradiction: {error}"
            raise RpcError(self.name, "malformed", message) from None
        raise RpcNodeError(self.name, answer.code, answer.message)
