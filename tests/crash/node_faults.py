"""What a node does instead of answering honestly. Each fault gets a call and returns the reply."""

import copy
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from tests.crash.node import Call, Fault, Reply
from tests.support.svm_rpc import Doubled, _ConnectionDroppedError

_DELAY_S = 0.4
# How long the gateway of a desk with slow nodes waits for an answer, and what is too long for it.
PATIENCE_MS = 1_000
SLOW_S = 1.5


def drop(_: Call) -> Reply:
    """Closes the connection; the call has no effect."""
    raise _ConnectionDroppedError


def lose_reply(call: Call) -> Reply:
    """Carries the call out and closes the connection without a word."""
    call()
    raise _ConnectionDroppedError


def too_many(_: Call) -> Reply:
    """Answers 429; the call has no effect."""
    return 429, (("Retry-After", "0"),), b""


def malformed(call: Call) -> Reply:
    """Answers JSON that ends in the middle."""
    return 200, (), _envelope(call, result={"context": {"slot": 1}})[:-8]


def mistyped(call: Call) -> Reply:
    """Answers JSON-RPC whose result has a type that no method has."""
    return 200, (), _envelope(call, result={"value": "18446744073709551616"})


def error_without_data(call: Call) -> Reply:
    """Answers the error object that some parsers panic at."""
    return 200, (), _envelope(call, error={"code": -32603, "message": "internal"})


def _envelope(call: Call, **content: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": call.id, **content}).encode()


def delay(call: Call) -> Reply:
    """Carries the call out late, when others that came after it have been answered."""
    time.sleep(_DELAY_S)
    return call()


def slow(call: Call) -> Reply:
    """Carries the call out when its sender has given up waiting."""
    time.sleep(SLOW_S)
    return call()


def twice(call: Call) -> Reply:
    """Carries the call out twice and answers the second time: a packet that came twice."""
    call()
    return call()


def answered_twice(call: Call) -> Reply:
    """Answers twice on a connection that is kept: who is careless takes it for the next answer."""
    status, headers, body = call()
    return status, headers, Doubled(body)


def _changed(call: Call, change: Callable[[Any], Any]) -> Reply:
    status, headers, body = call()
    reply = json.loads(body)
    if "result" not in reply:
        call.is_spoilt = False
        return status, headers, body
    honest = copy.deepcopy(reply["result"])
    reply["result"] = change(reply["result"])
    call.is_spoilt = honest != reply["result"]
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

    return lambda call: _changed(call, change)


def wrong_number(offset: int) -> Fault:
    """A node whose heights or slots are off by so much."""
    return lambda call: _changed(
        call, lambda result: result + offset if isinstance(result, int) else result
    )


def ends_at_once(call: Call) -> Reply:
    """A node that says of its newest blockhash that it ended, and was given out, long ago."""

    def change(result: Any) -> Any:
        if not isinstance(result, dict) or "lastValidBlockHeight" not in result.get("value", ()):
            return result
        slot = result["context"]["slot"] - 400
        return {"context": {"slot": slot}, "value": {**result["value"], "lastValidBlockHeight": 1}}

    return _changed(call, change)


def forgetful(call: Call) -> Reply:
    """A node that knows no signature any more; what is not a list of statuses stays."""

    def change(result: Any) -> Any:
        found = result.get("value") if isinstance(result, dict) else None
        if not isinstance(found, list) or not any(map(_is_status, found)):
            return result
        return {**result, "value": [None] * len(found)}

    return _changed(call, change)


def _is_status(value: Any) -> bool:
    return isinstance(value, dict) and "confirmationStatus" in value


class Sometimes:
    """A fault that is each of several with its probability, and honesty with what is left.

    Each happens once at the first opportunity. `happened` counts what really did, by its name.
    """

    def __init__(self, chance: random.Random, faults: Mapping[str, tuple[Fault, float]]) -> None:
        self.happened: Counter[str] = Counter()
        self._chance = chance
        self._faults = faults
        self._lock = threading.Lock()

    def __call__(self, call: Call) -> Reply:
        """Answers one call."""
        name = self._choose()
        if not name:
            return call()
        fault, _ = self._faults[name]
        try:
            return fault(call)
        finally:
            with self._lock:
                self.happened[name] += call.is_spoilt

    @property
    def have_all_happened(self) -> bool:
        """True if none is left that has not happened once."""
        return all(self.happened[name] for name in self._faults)

    def _choose(self) -> str:
        with self._lock:
            drawn = self._chance.random()
            missing = [name for name in self._faults if not self.happened[name]]
            if missing:
                return missing[int(drawn * len(missing))]
            for name, (_, probability) in self._faults.items():
                if drawn < probability:
                    return name
                drawn -= probability
        return ""
