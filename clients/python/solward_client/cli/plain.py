"""Messages as plain values for JSON: every field, integers as integers, times as RFC 3339."""

import base64
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
