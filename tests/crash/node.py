"""An RPC node that a test can hold at any call, and whose answers it can spoil.

In front of a chain in memory, or of any other node as a proxy. A fault is a function that gets a
call and returns what to answer; the module node_faults has them.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from tests.support.svm_chain import SvmChain
from tests.support.svm_rpc import SvmRpc

Reply = tuple[int, tuple[tuple[str, str], ...], bytes]
_HELD_S_MAX = 60.0


@dataclass(slots=True)
class Call:
    """One call: calling it carries it out and returns the honest reply.

    A fault that finds nothing to spoil in the reply says so in `is_spoilt`.
    """

    id: object
    carry_out: Callable[[], Reply]
    is_spoilt: bool = True

    def __call__(self) -> Reply:
        """Carries it out."""
        return self.carry_out()


Fault = Callable[[Call], Reply]


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

    def before(self, call: Call) -> Reply:
        """Waits, then carries the call out: a packet on its way that outlives its sender."""
        self.reached.set()
        self.gate.wait(_HELD_S_MAX)
        return call()

    def after(self, call: Call) -> Reply:
        """Carries the call out, then waits before the reply."""
        reply = call()
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
        if not body.endswith(b"}"):
            return self._forward(body)
        request = json.loads(body)
        rule = self._take(request["method"])
        if rule is None:
            return self._forward(body)
        return rule.fault(Call(request["id"], lambda: self._forward(body)))

    def go_away(self) -> None:
        """Refuses connections until `come_back`; calls that are held go on."""
        self.behave()
        super().go_away()

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
