"""What can go wrong while the development stack starts or stops.

DevStackError
├── ToolMissingError     a program or package that the stack needs is not there
├── StartupError         a program ended, or did not become ready in time; shows its log's tail
└── StateInUseError      another stack is running on this state directory
"""

from pathlib import Path

LOG_TAIL_LINES = 20


class DevStackError(Exception):
    """Any failure of the development stack. The message is meant for the person who started it."""


class ToolMissingError(DevStackError):
    """A program or package that the stack needs is not installed."""


class StateInUseError(DevStackError):
    """Another stack holds the state directory."""


class StartupError(DevStackError):
    """A program of the stack ended or did not become ready in time."""

    def __init__(self, name: str, why: str, log: Path | None = None) -> None:
        """Take the program's name, what happened, and the log whose last lines are shown."""
        self.name = name
        self.log = log
        super().__init__(f"{name} {why}{_tail(log)}")


def _tail(log: Path | None) -> str:
    if log is None or not log.exists():
        return ""
    lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    return "".join(f"\n    {line}" for line in lines)
