"""A node that says what a test wants it to say."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from gateway.adapters.solana_rpc import Endpoint, EndpointLimits, SingleEndpoint, SolanaRpc

Reply = Callable[[int, str, list[object]], httpx.Response]


@dataclass
class ManualClock:
    """A clock that only moves when somebody sleeps."""

    elapsed_s: float = 0.0
    naps: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        """Returns the beginning plus what was slept."""
        return datetime.fromtimestamp(self.elapsed_s, UTC)

    def monotonic_s(self) -> float:
        """Returns what was slept."""
        return self.elapsed_s

    async def sleep(self, seconds: float) -> None:
        """Notes the nap and returns at once."""
        self.naps.append(seconds)
        self.elapsed_s += seconds


@dataclass
class FakeNode:
    """Answers every request with `reply(id, method, params)` and remembers the requests."""

    reply: Reply
    requests: list[tuple[str, list[object]]] = field(default_factory=list)

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Is httpx's mock handler."""
        body = json.loads(request.content)
        self.requests.append((body["method"], body["params"]))
        answer = self.reply(body["id"], body["method"], body["params"])
        # As from a socket: not read yet.
        return httpx.Response(
            answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.read())
        )


def result(request_id: object, value: object) -> httpx.Response:
    """A well-formed answer."""
    return httpx.Response(200, json={"jsonrpc": "2.0", "id": request_id, "result": value})


def in_context(value: object, slot: int = 7) -> dict[str, object]:
    """An answer's body with its slot."""
    return {"context": {"slot": slot, "apiVersion": "3.1.0"}, "value": value}


def rpc_over(
    node: FakeNode, clock: ManualClock | None = None, limits: EndpointLimits | None = None
) -> SolanaRpc:
    """A client of the node. Jitter is one half."""
    endpoint = Endpoint(
        "https://node.example/secret-key",
        limits,
        transport=httpx.MockTransport(node.handle),
    )
    return SolanaRpc(SingleEndpoint(endpoint, clock or ManualClock(), jitter=lambda: 0.5))
