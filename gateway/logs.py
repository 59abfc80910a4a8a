"""Logs: one JSON object a line on standard error.

An exception is logged by its type and the places it went through, never by its text: what was
not expected may quote a request. Requests and responses are not logged at all, because `str` of a
protobuf message prints every field of it.
"""

import json
import logging
import sys
import traceback
from typing import Any, Final, TextIO

LOGGER_NAME: Final = "solward.gateway"
# At their own INFO level these two print whole URLs, and an RPC URL may hold an API key.
_TOO_TALKATIVE: Final = ("httpx", "httpcore")


class JsonFormatter(logging.Formatter):
    """Formats a record as one line; `extra={"facts": {...}}` adds fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line, without its newline."""
        line: dict[str, Any] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        facts = getattr(record, "facts", None)
        if isinstance(facts, dict):
            line.update(facts)
        if record.exc_info and record.exc_info[1] is not None:
            line.update(describe(record.exc_info[1]))
        return json.dumps(line, default=lambda value: type(value).__name__)


def describe(error: BaseException) -> dict[str, Any]:
    """Returns the types of an exception and of its causes, and where it went; not its text."""
    types = []
    cause: BaseException | None = error
    while cause is not None:
        types.append(f"{type(cause).__module__}.{type(cause).__qualname__}")
        cause = cause.__cause__
    frames = traceback.extract_tb(error.__traceback__)
    places = [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames
    ]
    return {"error": types, "trace": places[-12:]}


def configure(stream: TextIO = sys.stderr, level: int = logging.INFO) -> None:
    """Sends every logger's records to `stream` as JSON lines."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _TOO_TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
