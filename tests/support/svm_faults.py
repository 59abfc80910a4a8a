"""Scripted misbehaviour of an RPC node: what it does instead, to which calls, how often."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any


class Kind(Enum):
    """What happens to a call."""

    BODY = auto()  # answer these bytes with this HTTP status; the call has no effect
    ERROR = auto()  # answer this JSON-RPC error object; no effect
    RESULT = auto()  # answer this result; no effect
    ALTER = auto()  # carry the call out, and answer what `value` makes of its result
    DROP = auto()  # close the connection; no effect
    LOSE_REPLY = auto()  # carry the call out, then close the connection
    DELAY = auto()  # wait until `gate` is set, then carry the call out


@dataclass(slots=True)
class Fault:
    """One rule. `method` is a JSON-RPC method or "*"; `times` None means for ever."""

    method: str
    kind: Kind
    times: int | None = 1
    value: Any = None
    http_status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    gate: threading.Event = field(default_factory=threading.Event)
    # Only calls whose first parameter this is, if it is not "".
    about: str = ""
    hits: int = 0


class FaultScript:
    """The rules in force. The first that matches a call and is not used up decides."""

    def __init__(self) -> None:
        """Start with none: the node behaves."""
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def body(
        self, method: str, body: bytes, *, http_status: int = 200, times: int | None = 1
    ) -> Fault:
        """Answer raw bytes, such as malformed JSON."""
        return self.add(Fault(method, Kind.BODY, times, body, http_status))

    def http_error(
        self, method: str, status: int, *, times: int | None = 1, retry_after_s: int | None = None
    ) -> Fault:
        """Answer an HTTP error such as 429, with Retry-After if given."""
        headers = () if retry_after_s is None else (("Retry-After", str(retry_after_s)),)
        return self.add(Fault(method, Kind.BODY, times, b"", status, headers))

    def error(
        self, method: str, code: int, message: str, *, times: int | None = 1, data: Any = None
    ) -> Fault:
        """Answer a JSON-RPC error; without `data` the member is absent, as from some nodes."""
        error = {"code": code, "message": message} | ({} if data is None else {"data": data})
        return self.add(Fault(method, Kind.ERROR, times, error))

    def result(self, method: str, result: Any, *, times: int | None = 1, about: str = "") -> Fault:
        """Answer a made-up result; with `about`, only to calls with this first parameter."""
        return self.add(Fault(method, Kind.RESULT, times, result, about=about))

    def alter(self, method: str, change: Callable[[Any], Any]) -> Fault:
        """Lie from now on: answer what `change` makes of the honest result."""
        return self.add(Fault(method, Kind.ALTER, None, change))

    def drop(self, method: str, *, times: int | None = 1) -> Fault:
        """Close the connection before the call has any effect."""
        return self.add(Fault(method, Kind.DROP, times))

    def lose_reply(self, method: str, *, times: int | None = 1) -> Fault:
        """Carry the call out and close the connection without a reply."""
        return self.add(Fault(method, Kind.LOSE_REPLY, times))

    def delay(self, method: str, *, times: int | None = 1) -> Fault:
        """Hold calls until the returned fault's `gate` is set."""
        return self.add(Fault(method, Kind.DELAY, times))

    def add(self, fault: Fault) -> Fault:
        """Put a rule in force and return it."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Behave again; calls that are held go on."""
        with self._lock:
            for fault in self._faults:
                fault.gate.set()
            self._faults.clear()

    def take(self, method: str, params: Sequence[Any] = ()) -> Fault | None:
        """Return the rule for a call, counting it, or None."""
        with self._lock:
            for fault in self._faults:
                used_up = fault.times is not None and fault.hits >= fault.times
                concerned = not fault.about or fault.about in params[:1]
                if fault.method in (method, "*") and concerned and not used_up:
                    fault.hits += 1
                    return fault
        return None
