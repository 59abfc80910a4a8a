"""Where calls go, whoever answers them."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from gateway.adapters.solana_rpc.circuit import EndpointSnapshot
from gateway.adapters.solana_rpc.member import Check

T = TypeVar("T")


class RpcPool(Protocol):
    """Where calls go. `check` raises ValueError on a result that contradicts the request."""

    async def read(
        self,
        method: str,
        params: Sequence[object],
        result_type: type[T],
        check: Check[T] | None = None,
    ) -> T:
        """Calls a method that changes nothing; may repeat it, here or elsewhere."""
        ...

    async def write(
        self,
        method: str,
        params: Sequence[object],
        result_type: type[T],
        check: Check[T] | None = None,
    ) -> T:
        """Calls a method once at most with each endpoint, with the same bytes."""
        ...

    async def genesis_hash(self) -> str:
        """Returns the genesis hash of the cluster that is called, read once."""
        ...

    async def compare(self) -> None:
        """Finds out which endpoints are behind the others."""
        ...

    def providers(self) -> Sequence["RpcPool"]:
        """Returns each endpoint by itself, for what must not be taken from one alone."""
        ...

    def describe(self) -> Mapping[str, str]:
        """Returns what an operator may see."""
        ...

    def snapshot(self) -> Sequence[EndpointSnapshot]:
        """Returns how each endpoint has done."""
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...
