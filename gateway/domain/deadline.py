"""Until when a caller waits, known to whatever works for it without being handed down.

A task that is started inside inherits it; what outlives its caller is started within None.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

# What is left for the answer to reach its caller in time.
_MARGIN: Final = 0.95
_ends_at_s: ContextVar[float | None] = ContextVar("ends_at_s", default=None)


@contextmanager
def within(seconds: float | None, now_s: float) -> Iterator[None]:
    """Bounds the block's work; None is without bound. `now_s` is a monotonic clock's."""
    token = _ends_at_s.set(None if seconds is None else now_s + seconds * _MARGIN)
    try:
        yield
    finally:
        _ends_at_s.reset(token)


def remaining_s(now_s: float, most_s: float) -> float:
    """Returns how many seconds of `most_s` the caller still waits; 0 or less if it is over."""
    ends_at_s = _ends_at_s.get()
    return most_s if ends_at_s is None else min(most_s, ends_at_s - now_s)
