"""How calls are made: deadlines, decoded errors; reads, and only reads, retried on UNAVAILABLE."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import grpc

from solward_client.errors import raise_decoded

_Request_contra = TypeVar("_Request_contra", contravariant=True)
_Response_co = TypeVar("_Response_co", covariant=True)
_Q = TypeVar("_Q")
_R = TypeVar("_R")

TIMEOUT_S = 30.0
# What scans 10,000 wallets or asks a cluster about them takes longer.
LONG_TIMEOUT_S = 600.0
RETRY_DELAYS_S = (0.1, 0.4, 1.6)


class Unary(Protocol[_Request_contra, _Response_co]):
    """A stub's unary method."""

    def __call__(self, request: _Request_contra, timeout: float | None = None) -> _Response_co:
        """Make the call."""


class Streaming(Protocol[_Request_contra, _Response_co]):
    """A stub's method with a stream of responses."""

    def __call__(
        self, request: _Request_contra, timeout: float | None = None
    ) -> Iterator[_Response_co]:
        """Start the call."""


class Caller:
    """Makes calls. A write is sent once; to repeat one safely, give the same request_id again."""

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """Take what waits between the attempts of a read."""
        self._sleep = sleep

    def read(self, call: Unary[_Q, _R], request: _Q, timeout_s: float = TIMEOUT_S) -> _R:
        """Make a call that changes nothing. Raises SolwardError."""
        for delay_s in RETRY_DELAYS_S:
            try:
                return call(request, timeout=timeout_s)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise_decoded(error)
            self._sleep(delay_s)
        return self.write(call, request, timeout_s)

    def write(self, call: Unary[_Q, _R], request: _Q, timeout_s: float = TIMEOUT_S) -> _R:
        """Make a call once. Raises SolwardError."""
        try:
            return call(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise_decoded(error)

    def stream(
        self, call: Streaming[_Q, _R], request: _Q, timeout_s: float | None = LONG_TIMEOUT_S
    ) -> Iterator[_R]:
        """Make a call with a stream of responses once. Raises SolwardError."""
        try:
            yield from call(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise_decoded(error)

    def watch(self, call: Streaming[_Q, _R], request: _Q) -> Iterator[_R]:
        """Follow a resource, without a deadline; a broken stream is opened again."""
        attempts_left = len(RETRY_DELAYS_S)
        while True:
            try:
                for response in call(request):
                    attempts_left = len(RETRY_DELAYS_S)
                    yield response
                return
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE or not attempts_left:
                    raise_decoded(error)
            self._sleep(RETRY_DELAYS_S[-attempts_left])
            attempts_left -= 1


def pages(fetch: Callable[[str], tuple[Sequence[_R], str]]) -> Iterator[_R]:
    """Walk through pages: `fetch` takes a page token, "" first, and returns items and the next."""
    token = ""
    while True:
        items, token = fetch(token)
        yield from items
        if not token:
            return
