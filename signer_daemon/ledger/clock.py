"""Time as the ledger needs it: a wall clock for people, an uptime clock for limits."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks in milliseconds. Tests inject their own."""

    def wall_ms(self) -> int:
        """Gives unix milliseconds; may step in either direction."""

    def uptime_ms(self) -> int:
        """Gives milliseconds since the machine started, suspension included; never steps back."""


class SystemClock:
    """The kernel's clocks."""

    def wall_ms(self) -> int:
        """Reads CLOCK_REALTIME."""
        return time.clock_gettime_ns(time.CLOCK_REALTIME) // 1_000_000

    def uptime_ms(self) -> int:
        """Reads CLOCK_BOOTTIME: the same for every process until the machine restarts."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def elapsed_ms_min(earlier: tuple[int, int], later: tuple[int, int]) -> int:
    """Gives the least time that can lie between two readings of (wall, uptime), where the wall may
    have been set and the machine restarted in between. Limits forget by this: an error keeps them
    longer, never shorter. (Uptime alone would not do: a log carried to another machine.)
    """
    wall = later[0] - earlier[0]
    uptime = later[1] - earlier[1] if later[1] >= earlier[1] else later[1]
    return max(0, min(wall, uptime))
