"""Keyset pages: a token says after which row the next page begins, and of which query."""

import base64
import binascii
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from gateway.domain.errors import InvalidArgumentError

PAGE_SIZE_DEFAULT: Final = 100
PAGE_SIZE_MAX: Final = 1_000
_LAYOUT: Final = struct.Struct(">BQ8s")
_VERSION: Final = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of results. `next_page_token` is "" on the last page."""

    items: Sequence[T]
    next_page_token: str = ""


def require_page_size(page_size: int) -> int:
    """Returns the size to use: 0 means 100, above 1,000 means 1,000, negative is refused."""
    if page_size < 0:
        raise InvalidArgumentError("page_size must not be negative", field="page_size")
    return min(page_size or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)


def _query_digest(query: str) -> bytes:
    return hashlib.sha256(query.encode()).digest()[:8]


def encode_page_token(after: int, query: str) -> str:
    """Makes the token of the page that begins after the row with ordinal `after`.

    `query` is any text that tells one query (filters included) from another.
    """
    packed = _LAYOUT.pack(_VERSION, after, _query_digest(query))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode_page_token(token: str, query: str) -> int:
    """Returns the ordinal after which the page begins, 0 for "" (the first page).

    A token is not a secret or a permission: one made by hand only moves the place where reading
    begins. One of another query is refused, for it is a caller's mistake that would skip rows.
    Raises InvalidArgumentError.
    """
    if not token:
        return 0
    try:
        packed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        version, after, digest = _LAYOUT.unpack(packed)
    except (binascii.Error, struct.error, ValueError):
        raise InvalidArgumentError("page_token is malformed", field="page_token") from None
    if version != _VERSION or after > 2**63 - 1:
        raise InvalidArgumentError("page_token is malformed", field="page_token")
    if digest != _query_digest(query):
        raise InvalidArgumentError("page_token belongs to another query", field="page_token")
    return int(after)
