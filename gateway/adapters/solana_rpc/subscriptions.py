"""What is said on one WebSocket connection: signatures subscribed to, and notified of. Pure.

The other side is not trusted. Whatever it may send in its turn is read strictly, anything else is
WireError, which ends the connection; and each signature is told of once, however often it is sent.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Raw, Struct

from gateway.adapters.solana_rpc.wire import Unsigned, WireError, encode_request

SUBSCRIPTIONS_MAX: Final = 1_000


class _Params(Struct):
    subscription: Unsigned
    result: Raw


class _Message(Struct):
    """An answer to a subscription, or a notification; `error` is the answer to a refused one."""

    id: int | None = None
    result: Unsigned | None = None
    error: Raw = Raw()
    method: str = ""
    params: _Params | None = None


class Subscriptions:
    """The subscriptions of one connection: each signature once, and 1,000 in all."""

    def __init__(self) -> None:
        self._asked: dict[int, str] = {}
        self._open: dict[int, str] = {}
        self._known: set[str] = set()
        self._next_id = 1

    def is_full_of_others(self, wanted: Iterable[str]) -> bool:
        """True if there is no room left for what is wanted, but there is what is not."""
        missing = [one for one in wanted if one not in self._known]
        return len(self._known) + len(missing) > SUBSCRIPTIONS_MAX and bool(
            self._known.difference(wanted)
        )

    def requests(self, wanted: Iterable[str]) -> list[str]:
        """Returns the messages that subscribe to what is new, as far as there is room."""
        messages = []
        for signature in wanted:
            if signature in self._known or len(self._known) >= SUBSCRIPTIONS_MAX:
                continue
            self._known.add(signature)
            self._asked[self._next_id] = signature
            params: list[object] = [signature, {"commitment": "finalized"}]
            messages.append(encode_request(self._next_id, "signatureSubscribe", params).decode())
            self._next_id += 1
        return messages

    def told(self, data: str | bytes) -> str:
        """Returns the signature that a message tells of, "" if of none; raises WireError."""
        try:
            message = msgspec.json.decode(data, type=_Message)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise WireError(f"not a message: {error}") from None
        if message.params is not None and message.method == "signatureNotification":
            signature = self._open.pop(message.params.subscription, "")
            if not signature:
                raise WireError("a notification that nobody asked for")
            return signature
        signature = self._asked.pop(message.id or 0, "")
        if not signature or message.method:
            raise WireError("an answer to nothing")
        if message.result is None:
            return ""  # refused: it is asked for by polling
        if message.result in self._open:
            raise WireError("a subscription twice")
        self._open[message.result] = signature
        return ""
