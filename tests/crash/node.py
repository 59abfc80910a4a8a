"""An RPC node that a test can hold at any call, and whose answers it can spoil.

In front of a chain in memory, or of any other node as a proxy. A fault is a function that gets
`forward`, which carries the call out and returns the honest reply, and returns what to answer.
"""

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.svm_chain import SvmChain
from tests.support.svm_rpc import SvmRpc, _ConnectionDroppedError

Reply = tuple[int, tuple[tuple[str, str], ...], bytes]
Forward = Callable[[], Reply]
Fault = Callable[[Forward], Reply]
_HELD_S_MAX = 60.0
_DELAY_S = 0.4


@dataclass(slots=True)
class Rule:
    """A fault for the calls of a method ("*": all), so many times (None: until removed)."""

    method: str
    fault: Fault
    times: int | None = None
    hits: int = 0


@dataclass(slots=True)
class Hold:
    """Keeps calls waiting: `reached` is set when the first one came, `gate` lets all go on."""

    reached: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)

    def before(self, forward: Forward) -> Reply:
        """Waits, then carries the call out: a packet on its way that outlives its sender."""
        self.reached.set()
        self.gate.wait(_HELD_S_MAX)
        return forward()

    def after(self, forward: Forward) -> Reply:
        """Carries the call out, then waits before the reply."""
        reply = forward()
        self.reached.set()
        self.gate.wait(_HELD_S_MAX)
        return reply


class ScriptedNode(SvmRpc):
    """The node. With `upstream_url` it is a proxy and its own chain in memory is not used."""

    def __init__(
        self,
        chain: SvmChain | None = None,
        block_time_s: float | None = None,
        upstream_url: str = "",
    ) -> None:
        super().__init__(chain, block_time_s)
        self._upstream_url = upstream_url
        self._http = httpx.Client(timeout=30)
        self._rules: list[Rule] = []
        self._holds: list[Hold] = []
        self._rules_lock = threading.Lock()

    def spoil(self, method: str, fault: Fault, times: int | None = None) -> Rule:
        """Puts a fault in force; the first rule that matches a call decides."""
        rule = Rule(method, fault, times)
        with self._rules_lock:
            self._rules.append(rule)
        return rule

    def hold(self, method: str, *, after: bool = False) -> Hold:
        """Holds all calls of a method, before they are carried out or before their reply."""
        hold = Hold()
        self._holds.append(hold)
        self.spoil(method, hold.after if after else hold.before)
        return hold

    def behave(self) -> None:
        """Ends all faults; calls that are held go on."""
        with self._rules_lock:
            self._rules.clear()
        for hold in self._holds:
            hold.gate.set()

    def answer(self, body: bytes) -> Reply:
        """Answers a request as the rules in force say."""
        # A client that was killed in the middle of a request has sent less than it announced.
        rule = self._take(json.loads(body)["method"]) if body.endswith(b"}") else None
        if rule is None:
            return self._forward(body)
        return rule.fault(lambda: self._forward(body))

    def close(self) -> None:
        """Lets held calls go and forgets the upstream's connections."""
        self.behave()
        self._http.close()

    def _forward(self, body: bytes) -> Reply:
        if not self._upstream_url:
            return super().answer(body)
        request = json.loads(body)
        self.calls.append((request["method"], request.get("params", [])))
        headers = {"Content-Type": "application/json"}
        reply = self._http.post(self._upstream_url, content=body, headers=headers)
        return reply.status_code, (), reply.content

    def _take(self, method: str) -> Rule | None:
        with self._rules_lock:
            for rule in self._rules:
                used_up = rule.times is not None and rule.hits >= rule.times
                if rule.method in (method, "*") and not used_up:
                    rule.hits += 1
                    return rule
        return None


def drop(_: Forward) -> Reply:
    """Closes the connection; the call has no effect."""
    raise _ConnectionDroppedError


def lose_reply(forward: Forward) -> Reply:
    """Carries the call out and closes the connection without a word."""
    forward()
    raise _ConnectionDroppedError


def too_many(_: Forward) -> Reply:
    """Answers 429; the call has no effect."""
    return 429, (("Retry-After", "0"),), b""


def malformed(_: Forward) -> Reply:
    """Answers JSON that ends in the middle."""
    return 200, (), b'{"jsonrpc":"2.0","id":1,"result":{"context":{"sl'


def mistyped(_: Forward) -> Reply:
    """Answers JSON-RPC whose result has a type that no method has."""
    return 200, (), b'{"jsonrpc":"2.0","id":1,"result":{"value":"18446744073709551616"}}'


def error_without_data(_: Forward) -> Reply:
    """Answers the error object that some parsers panic at."""
    body = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"internal"}}'
    return 200, (), body


def delay(forward: Forward) -> Reply:
    """Carries the call out late, when others that came after it have been answered."""
    time.sleep(_DELAY_S)
    return forward()


def twice(forward: Forward) -> Reply:
    """Carries the call out twice and answers the second time: a packet that came twice."""
    forward()
    return forward()


def _changed(forward: Forward, change: Callable[[Any], Any]) -> Reply:
    status, headers, body = forward()
    reply = json.loads(body)
    if "result" in reply:
        reply["result"] = change(reply["result"])
    return status, headers, json.dumps(reply).encode()


def stale(blocks: int) -> Fault:
    """A node that is so many blocks behind: heights, slots and statuses of the past."""

    def change(result: Any) -> Any:
        if isinstance(result, int):
            return result - blocks
        if not isinstance(result, dict) or "context" not in result:
            return result
        slot = result["context"]["slot"] - blocks
        result["context"]["slot"] = slot
        if isinstance(result["value"], list):
            result["value"] = [
                None if isinstance(one, dict) and one.get("slot", 0) > slot else one
                for one in result["value"]
            ]
        return result

    return lambda forward: _changed(forward, change)


def wrong_number(offset: int) -> Fault:
    """A node whose heights or slots are off by so much."""
    return lambda forward: _changed(
        forward, lambda result: result + offset if isinstance(result, int) else result
    )


def forgetful(forward: Forward) -> Reply:
    """A node that knows no signature any more; what is not a list of statuses stays."""

    def change(result: Any) -> Any:
        found = result.get("value") if isinstance(result, dict) else None
        if not isinstance(found, list) or not any(map(_is_status, found)):
            return result
        return {**result, "value": [None] * len(found)}

    return _changed(forward, change)


def _is_status(value: Any) -> bool:
    return isinstance(value, dict) and "confirmationStatus" in value


def sometimes(chance: random.Random, faults: Mapping[Fault, float]) -> Fault:
    """Each of the faults with its probability, and honesty with what is left."""
    lock = threading.Lock()

    def choose(forward: Forward) -> Reply:
        with lock:
            drawn = chance.random()
        for fault, probability in faults.items():
            if drawn < probability:
                return fault(forward)
            drawn -= probability
        return forward()

    return choose
