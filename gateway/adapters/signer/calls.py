"""How calls of the signer are made: answers or our errors, streams, batches cut to size."""

from collections.abc import Awaitable, Iterator, Sequence
from typing import Final, TypeVar

import grpc

from gateway.adapters.signer.refusals import to_gateway_error
from gateway.domain.errors import Signed
from solward.signer.v1 import signer_service_pb2 as pb

# The signer takes 8 MiB.
BATCH_BYTES_MAX: Final = 6 * 1024 * 1024
T = TypeVar("T")


class Stream:
    """A derivation's stream, one chunk ahead."""

    def __init__(
        self,
        call: grpc.aio.UnaryStreamCall[pb.DeriveWalletsRequest, pb.DeriveWalletsResponse],
    ) -> None:
        self._call = call
        self._chunks = aiter(call)
        self.chunk: pb.DeriveWalletsResponse | None = None

    async def advance(self) -> None:
        """Reads the next chunk; None after the last."""
        try:
            self.chunk = await anext(self._chunks, None)
        except grpc.aio.AioRpcError as error:
            raise to_gateway_error(error) from error

    def cancel(self) -> None:
        """Tells the signer that nobody reads on; does nothing after the end."""
        self._call.cancel()


def parts(
    items: Sequence[pb.TransactionItem], count_max: int
) -> Iterator[list[pb.TransactionItem]]:
    """Cuts a batch where it would outgrow a request."""
    part: list[pb.TransactionItem] = []
    size = 0
    for item in items:
        size += item.ByteSize()
        if part and (size > BATCH_BYTES_MAX or len(part) == count_max):
            yield part
            part, size = [], item.ByteSize()
        part.append(item)
    yield part


async def answer(call: Awaitable[T], *, if_lost: Signed = "no") -> T:
    """Returns a call's answer; raises as `to_gateway_error` says."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise to_gateway_error(error, if_lost=if_lost) from error
