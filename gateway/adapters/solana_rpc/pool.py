"""Which endpoint is asked, and how often: failover, budgets, and waits between tries."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from gateway.adapters.solana_rpc.budgets import Rates
from gateway.adapters.solana_rpc.calls import RpcPool
from gateway.adapters.solana_rpc.circuit import EndpointSnapshot
from gateway.adapters.solana_rpc.cluster import Cluster, require_hash
from gateway.adapters.solana_rpc.errors import RpcError
from gateway.adapters.solana_rpc.member import Check, Member
from gateway.adapters.solana_rpc.observing import SILENT, Observer
from gateway.adapters.solana_rpc.transport import Endpoint
from gateway.adapters.solana_rpc.wire import Unsigned
from gateway.domain import deadline
from gateway.domain.ports import Clock

T = TypeVar("T")

_LAG_SLOTS_MAX: Final = 150
"""A minute: an endpoint further behind the others is asked after them."""
_COMPARING_S: Final = 1.5


@dataclass(frozen=True, slots=True)
class ReadRetries:
    """How often a read is tried, and how long to wait between: full jitter below a doubling cap.

    A try asks every endpoint that may be asked. `total_s` bounds a read with its tries and waits.
    """

    attempts_max: int = 4
    first_delay_s: float = 0.2
    delay_s_max: float = 5.0
    total_s: float = 20.0


@dataclass(frozen=True, slots=True)
class _Pace:
    """How reads are repeated, and who is told of it."""

    retries: ReadRetries
    jitter: Callable[[], float]
    observer: Observer


class _Pool:
    """RpcPool over endpoints in order of preference."""

    def __init__(
        self,
        members: Sequence[Member],
        cluster: Cluster,
        clock: Clock,
        pace: "_Pace",
    ) -> None:
        self._members = members
        self._cluster = cluster
        self._clock = clock
        self._pace = pace
        self._retries = pace.retries

    async def read(
        self,
        method: str,
        params: Sequence[object],
        result_type: type[T],
        check: Check[T] | None = None,
    ) -> T:
        """Calls a method, elsewhere or again after a passing failure; raises the last RpcError."""
        ends_at_s = self._ends_at_s()
        delay_s_max = self._retries.first_delay_s
        for attempt in itertools.count(1):
            try:
                return await self._round(
                    method, params, result_type, check, ends_at_s, self._members
                )
            except RpcError as error:
                if attempt >= self._retries.attempts_max or not error.is_passing:
                    raise
                now_s = self._clock.monotonic_s()
                # After a rest not all come at the same moment either.
                delay_s = self._pace.jitter() * delay_s_max + self._rests_s(now_s)
                if now_s + delay_s >= ends_at_s:
                    raise
            await self._clock.sleep(delay_s)
            self._pace.observer.retried(method)
            delay_s_max = min(2 * delay_s_max, self._retries.delay_s_max)
        raise AssertionError("unreachable")  # pragma: no cover

    async def write(
        self,
        method: str,
        params: Sequence[object],
        result_type: type[T],
        check: Check[T] | None = None,
    ) -> T:
        """Calls a method; raises RpcError.

        Whatever an endpoint makes of it, short of accepting, the same bytes go to the next: a
        signed transaction lands once, however often it is sent. Which is first is left to chance,
        so that one that accepts and drops does not get all of them, nor the same ones again.
        """
        first = int(self._pace.jitter() * len(self._members))
        members = [*self._members[first:], *self._members[:first]]
        return await self._round(method, params, result_type, check, self._ends_at_s(), members)

    def _ends_at_s(self) -> float:
        now_s = self._clock.monotonic_s()
        return now_s + deadline.remaining_s(now_s, self._retries.total_s)

    async def _round(
        self,
        method: str,
        params: Sequence[object],
        result_type: type[T],
        check: Check[T] | None,
        ends_at_s: float,
        members: Sequence[Member],
    ) -> T:
        """Asks one endpoint after the other, each for half of the time that is left to the rest."""
        failure: RpcError | None = None
        left = self._in_order(method, members)
        while left:
            member = left.pop(0)
            remaining_s = ends_at_s - self._clock.monotonic_s()
            if remaining_s <= 0:
                break
            share_s = remaining_s / 2 if left else remaining_s
            try:
                return await self._ask(member, method, params, result_type, check, share_s)
            except RpcError as error:
                # What may pass is worth another try, whatever the other endpoints say.
                if failure is None or error.is_passing:
                    failure = error
        raise failure or RpcError(self._members[0].name, "timeout", "the caller's time is up")

    async def _ask(
        self,
        member: Member,
        method: str,
        params: Sequence[object],
        result_type: type[T],
        check: Check[T] | None,
        seconds_max: float,
    ) -> T:
        """Asks one endpoint, of which cluster it is included, within so many seconds."""
        ends_at_s = self._clock.monotonic_s() + seconds_max
        await self._cluster.admit(member, seconds_max)
        left_s = ends_at_s - self._clock.monotonic_s()
        return await member.call(method, params, result_type, check, left_s)

    def _in_order(self, method: str, members: Sequence[Member]) -> list[Member]:
        """Returns those that may be asked: healthy and not behind, then within budget, then ours.

        Raises RpcError if each has asked to be left alone.
        """
        now_s = self._clock.monotonic_s()
        awake = [member for member in members if not member.circuit.rests_s(now_s)]
        if not awake:
            name = self._members[0].name
            raise RpcError(name, "rate_limited", "asked to be called less often")

        def place(member: Member) -> tuple[bool, float]:
            is_last = member.circuit.is_open(now_s) or member.lag_slots > _LAG_SLOTS_MAX
            return is_last, member.budgets.wait_s(method, now_s)

        return sorted(awake, key=place)

    def _rests_s(self, now_s: float) -> float:
        return min(member.circuit.rests_s(now_s) for member in self._members)

    async def genesis_hash(self) -> str:
        """Returns the genesis hash of the endpoints' cluster, read once; raises RpcError."""
        if self._cluster.genesis_hash:
            return self._cluster.genesis_hash
        return self._cluster.learn(await self.read("getGenesisHash", [], str, require_hash))

    async def compare(self) -> None:
        """Asks each endpoint for its slot: one that stands still answers, too, and is found here.

        A single one is compared with nothing, and one that does not answer, or is of another
        cluster, is left as it is. Takes half of the caller's time at most.
        """
        if len(self._members) == 1:
            return
        seconds_max = (self._ends_at_s() - self._clock.monotonic_s()) / 2

        async def ask(member: Member) -> tuple[Member, int] | None:
            options = [{"commitment": "confirmed"}]
            try:
                return member, await self._ask(
                    member, "getSlot", options, Unsigned, None, min(seconds_max, _COMPARING_S)
                )
            except RpcError:
                return None

        answers = await asyncio.gather(*map(ask, self._members))
        heard = [answer for answer in answers if answer is not None]
        newest = _newest([slot for _, slot in heard])
        for member, slot in heard:
            member.lag_slots = max(0, newest - slot)

    def providers(self) -> Sequence[RpcPool]:
        """Returns each endpoint as a pool of its own, with the same budgets and circuit."""
        return [_Pool([member], self._cluster, self._clock, self._pace) for member in self._members]

    def describe(self) -> Mapping[str, str]:
        """Returns each endpoint's host and whether it is asked before the others or after."""
        return {found.name: found.state for found in self.snapshot()}

    def snapshot(self) -> Sequence[EndpointSnapshot]:
        """Returns how each endpoint has done."""
        now_s = self._clock.monotonic_s()
        return [member.circuit.snapshot(now_s, member.lag_slots) for member in self._members]

    async def close(self) -> None:
        """Closes the connections."""
        for member in self._members:
            await member.close()


def _newest(slots: Sequence[int]) -> int:
    """Returns the slot that the others are behind of.

    Of three or more it is the newest but one: a slot that only one tells of puts nobody last.
    """
    return sorted(slots)[-2 if len(slots) > 2 else -1] if slots else 0


class EndpointPool(_Pool):
    """RpcPool over endpoints in order of preference.

    A read goes to the first that may be asked and on to the next if that fails or takes half of the
    time; when all have failed it waits, with jitter, and tries again. A write begins anywhere and
    goes on too, with identical bytes, and is not tried again. An endpoint that asked for rest
    (Retry-After) is left alone until then; one that is far behind the others is asked last.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        clock: Clock,
        *,
        retries: ReadRetries | None = None,
        rates: Rates | None = None,
        jitter: Callable[[], float] = random.random,
        observer: Observer = SILENT,
        genesis_hash: str = "",
    ) -> None:
        """`jitter` returns a number in [0, 1). Each endpoint has the rates for itself.

        With a `genesis_hash` no other cluster is spoken to; several must be of one in any case.
        """
        ids = itertools.count(1)
        _name_apart(endpoints)
        members = [Member(item, clock, rates or Rates(), ids, observer) for item in endpoints]
        cluster = Cluster(genesis_hash, is_checked=len(members) > 1)
        super().__init__(members, cluster, clock, _Pace(retries or ReadRetries(), jitter, observer))


def _name_apart(endpoints: Sequence[Endpoint]) -> None:
    """Numbers those of one host and port: what tells them apart otherwise is often a key."""
    times: Counter[str] = Counter()
    for endpoint in endpoints:
        times[endpoint.name] += 1
        if times[endpoint.name] > 1:
            endpoint.name += f"#{times[endpoint.name]}"


class SingleEndpoint(EndpointPool):
    """EndpointPool over one."""

    def __init__(
        self,
        endpoint: Endpoint,
        clock: Clock,
        *,
        retries: ReadRetries | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Takes what EndpointPool takes."""
        super().__init__([endpoint], clock, retries=retries, jitter=jitter)
