"""Page tokens of lists that the cluster keeps: after which address or signature a page begins."""

import base64
import binascii
import hashlib
from typing import Final

from gateway.domain.errors import InvalidArgumentError

_VERSION: Final = b"\x02"
_DIGEST_BYTES: Final = 8
TOKEN_CHARACTERS_MAX: Final = 200


def encode_after(after: str, query: str) -> str:
    """Makes the token of the page after `after`; `query` tells one list from another."""
    packed = _VERSION + _digest(query) + after.encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode_after(token: str, query: str, characters_max: int = TOKEN_CHARACTERS_MAX) -> str:
    """Returns what the page comes after, "" for the first; raises InvalidArgumentError.

    A token is neither secret nor permission: one made by hand only begins somewhere else. What it
    holds goes to the node, so the caller checks its form.
    """
    if not token:
        return ""
    try:
        if len(token) > characters_max:
            raise ValueError("too long")
        packed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        version, digest = packed[:1], packed[1 : 1 + _DIGEST_BYTES]
        after = packed[1 + _DIGEST_BYTES :].decode("ascii")
    except (binascii.Error, ValueError):
        raise InvalidArgumentError("page_token is malformed", field="page_token") from None
    if version != _VERSION or not after:
        raise InvalidArgumentError("page_token is malformed", field="page_token")
    if digest != _digest(query):
        raise InvalidArgumentError("page_token belongs to another query", field="page_token")
    return after


def _digest(query: str) -> bytes:
    return hashlib.sha256(query.encode()).digest()[:_DIGEST_BYTES]
