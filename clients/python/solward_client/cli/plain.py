"""Messages as plain values for JSON: every field, integers as integers, times as RFC 3339.

And as rows of text for a person, who is to see every value that is approved.
"""

import base64
from collections.abc import Iterator
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

Plain = dict[str, Any]


def plain(message: Message) -> Plain:
    """Return a message as a dict; unset fields show their defaults, unset messages None.

    protobuf's own JSON writes 64-bit integers as strings: a program adding lamports trips over it.
    """
    result: Plain = {}
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof is not None and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        if field.is_repeated:
            result[field.name] = [_value(field, item) for item in value]
        elif field.message_type is not None and not message.HasField(field.name):
            result[field.name] = None
        else:
            result[field.name] = _value(field, value)
    return result


def flat(values: Plain, items_max: int | None = None) -> Iterator[tuple[str, str]]:
    """Yield a row for each value, whatever it is in: `estimate.rent_lamports`, `skipped.0.reason`.

    With `items_max` lists end after so many, and a row says how many more there are.
    """
    for key, value in values.items():
        if isinstance(value, dict):
            # An empty message says something, too, such as which split it is.
            rows = flat(value, items_max) if value else [("", "yes")]
            yield from ((f"{key}.{name}".removesuffix("."), text) for name, text in rows)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield from flat({f"{key}.{at}": item for at, item in enumerate(value[:items_max])})
            if rest := _rest(value, items_max):
                yield key, rest
        elif isinstance(value, list):
            shown = cell(value[:items_max])
            rest = _rest(value, items_max)
            yield key, f"{shown} {rest}" if rest else shown
        else:
            yield key, cell(value)


def _rest(items: list[Any], items_max: int | None) -> str:
    more = 0 if items_max is None else len(items) - items_max
    return f"... and {more:,} more" if more > 0 else ""


def cell(value: Any) -> str:
    """Return a single value, or a list of such, as text."""
    if isinstance(value, list):
        return ",".join(map(cell, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def enum_name(enum: Any, number: int) -> str:
    """Return an enum value's name without its type's prefix, such as "COMPLETED"."""
    if number not in enum.values_by_number:
        return str(number)
    name: str = enum.values_by_number[number].name
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return name.removeprefix(prefix)


def _value(field: Any, value: Any) -> Any:
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    if isinstance(value, Duration):
        return value.ToMilliseconds() / 1000
    if isinstance(value, Message):
        return plain(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if field.enum_type is not None:
        return enum_name(field.enum_type, value)
    return value
