"""What can be wrong with an endpoint.

ChainUnavailableError
└── RpcError            this endpoint did not give an answer that can be believed
    └── RpcNodeError    it answered with a JSON-RPC error object
"""

from typing import Final, Literal

from gateway.domain.errors import ChainUnavailableError

Kind = Literal["transport", "timeout", "http", "rate_limited", "oversized", "malformed", "node"]

_MESSAGE_CHARACTERS_MAX: Final = 200
# The node is behind, busy or not ready: another moment (or another node) may do. Codes of Solana's
# RPC custom errors; -32603 is "internal error".
_PASSING_CODES: Final = frozenset({-32004, -32005, -32007, -32014, -32016, -32603, 429})


class RpcError(ChainUnavailableError):
    """An endpoint failed. `retry_after_s` is what it asked for, 0 if nothing."""

    def __init__(
        self, endpoint: str, kind: Kind, message: str, *, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(f"RPC node {endpoint}: {message}")
        self.endpoint = endpoint
        self.kind: Kind = kind
        self.retry_after_s = retry_after_s

    @property
    def is_passing(self) -> bool:
        """True if the same read may well succeed in a moment."""
        return True


class RpcNodeError(RpcError):
    """The node answered with an error object. Its text is untrusted: shortened, printable only."""

    def __init__(self, endpoint: str, code: int, text: str) -> None:
        super().__init__(endpoint, "node", f"error {code}: {shorten(text)}")
        self.code = code

    @property
    def is_passing(self) -> bool:
        """True if the code says that the node is behind or busy."""
        return self.code in _PASSING_CODES


def shorten(text: str) -> str:
    """Makes a node's text fit for a log line: printable, at most 200 characters."""
    # One more than is shown says that there is more; the rest may be millions and is not looked at.
    seen = text[: _MESSAGE_CHARACTERS_MAX + 1]
    printable = "".join(character if character.isprintable() else " " for character in seen)
    if len(printable) <= _MESSAGE_CHARACTERS_MAX:
        return printable
    return printable[: _MESSAGE_CHARACTERS_MAX - 1] + "…"
