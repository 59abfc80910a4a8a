"""JSON-RPC 2.0 and the results that we read, as strict types. Pure: bytes in, values out.

msgspec refuses a float or a string where an integer is due, so no amount passes through a double;
unsigned 64-bit bounds are checked here, because its own end at 2**63. Unknown fields are
ignored: nodes add some with every release.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from gateway.domain.addresses import encode_base58, is_address
from gateway.domain.amounts import U64_MAX

T = TypeVar("T")

Unsigned = Annotated[int, Meta(ge=0)]
# Slots and heights are stored as bigints, and no chain will ever get there.
I64_MAX: Final = 2**63 - 1
ConfirmationName = Literal["processed", "confirmed", "finalized"]


class WireError(ValueError):
    """The bytes are not a believable answer to the request."""


class NodeFault(Struct, frozen=True):
    """A JSON-RPC error object."""

    code: int
    message: str


class _Envelope(Struct):
    jsonrpc: Literal["2.0"]
    id: int | str | None
    result: Raw | UnsetType = UNSET
    error: NodeFault | UnsetType | None = UNSET


class _Name:
    """The name of an object's member. Each is another, so that one that comes twice is seen.

    msgspec makes it of what it decoded: the type that it was asked for, and the text.
    """

    __slots__ = ("text",)

    def __init__(self, _: type, text: str) -> None:
        self.text = text


class _Request(Struct):
    id: int
    method: str
    params: Sequence[object]
    jsonrpc: Literal["2.0"] = "2.0"


class ContextWire(Struct, frozen=True):
    """The slot an answer was computed at."""

    slot: Unsigned

    def __post_init__(self) -> None:
        """Refuses what no bigint holds."""
        _check_i64(self.slot)


class InContext(Struct, Generic[T], frozen=True):
    """An answer with its slot."""

    context: ContextWire
    value: T

    def __post_init__(self) -> None:
        """Refuses what no u64 holds."""
        if isinstance(self.value, int):
            _check_u64(self.value)


class AccountWire(Struct, frozen=True):
    """An account; msgspec decodes the base64 of its data."""

    lamports: Unsigned
    owner: str
    executable: bool
    data: tuple[bytes, Literal["base64"]]

    def __post_init__(self) -> None:
        """Refuses what no u64 holds and owners that are no address."""
        _check_u64(self.lamports)
        if not _is_program(self.owner):
            raise ValueError("owner is not an address")


class BlockhashWire(Struct, frozen=True, rename="camel"):
    """A blockhash and its last valid block height."""

    blockhash: str
    last_valid_block_height: Unsigned

    def __post_init__(self) -> None:
        """Refuses a height that no bigint holds, or 0, and hashes of another length."""
        _check_i64(self.last_valid_block_height)
        if not self.last_valid_block_height:
            raise ValueError("a blockhash that was never valid")
        if not is_address(self.blockhash):
            raise ValueError("blockhash is not 32 bytes")


class EpochWire(Struct, frozen=True, rename="camel"):
    """The newest slot, and its block's height."""

    absolute_slot: Unsigned
    block_height: Unsigned

    def __post_init__(self) -> None:
        """Refuses what no bigint holds, and more blocks than slots."""
        _check_i64(self.absolute_slot)
        if self.block_height > self.absolute_slot:
            raise ValueError("more blocks than slots")


class StatusWire(Struct, frozen=True, rename="camel"):
    """A signature's status. `err` has many shapes; what matters is whether it is null."""

    slot: Unsigned
    err: object
    confirmation_status: ConfirmationName | None = None

    def __post_init__(self) -> None:
        """Refuses what no u64 holds."""
        _check_u64(self.slot)


class FeeWire(Struct, frozen=True, rename="camel"):
    """A recent prioritization fee."""

    slot: Unsigned
    prioritization_fee: Unsigned

    def __post_init__(self) -> None:
        """Refuses what no u64 holds."""
        _check_u64(self.slot)
        _check_u64(self.prioritization_fee)


class SimulationWire(Struct, frozen=True, rename="camel"):
    """A simulation's result."""

    err: object
    logs: list[str] | None = None
    units_consumed: Unsigned | None = None
    loaded_accounts_data_size: Unsigned | None = None

    def __post_init__(self) -> None:
        """Refuses what no u64 holds."""
        _check_u64(self.units_consumed or 0)
        _check_u64(self.loaded_accounts_data_size or 0)


class MetaWire(Struct, frozen=True, rename="camel"):
    """What a transaction did."""

    err: object
    fee: Unsigned
    pre_balances: list[Unsigned]
    post_balances: list[Unsigned]

    def __post_init__(self) -> None:
        """Refuses what no u64 holds and balances that do not pair up."""
        _check_u64(self.fee)
        for balance in (*self.pre_balances, *self.post_balances):
            _check_u64(balance)
        if len(self.pre_balances) != len(self.post_balances):
            raise ValueError("balances before and after differ in number")


class TransactionWire(Struct, frozen=True, rename="camel"):
    """A transaction in a block."""

    slot: Unsigned
    meta: MetaWire

    def __post_init__(self) -> None:
        """Refuses what no u64 holds."""
        _check_u64(self.slot)


def encode_request(request_id: int, method: str, params: Sequence[object]) -> bytes:
    """Makes a request's body."""
    return msgspec.json.encode(_Request(request_id, method, params))


def decode_response(data: bytes, request_id: int, result_type: type[T]) -> T | NodeFault:
    """Reads the answer to `request_id`: its result, or the node's error object.

    Raises WireError for anything else: not JSON, too deep, another id, both a result and an error
    or neither, two results, a result of another shape or out of range.
    """
    envelope = _decode(data, _Envelope)
    has_error = isinstance(envelope.error, NodeFault)
    if has_error == isinstance(envelope.result, Raw):
        raise WireError("the answer has both a result and an error, or neither")
    if isinstance(envelope.error, NodeFault):
        # A node that could not read the request answers with a null id.
        if envelope.id is not None and envelope.id != request_id:
            raise WireError("the answer is to another request")
        return envelope.error
    if envelope.id != request_id:
        raise WireError("the answer is to another request")
    assert isinstance(envelope.result, Raw)  # noqa: S101  says to mypy what was just checked
    whole = bytes(envelope.result)
    _require_said_once(data, len(whole))
    result = _decode(whole, result_type)
    if isinstance(result, int) and result > U64_MAX:
        raise WireError("the answer is an integer above u64")
    return result


def first_signature(wire_bytes: bytes) -> str:
    """Returns the signature by which the cluster knows a signed transaction, base58.

    Legacy and v0 begin with the number of signatures and the signatures; v1 (first byte 0x81) has
    them at the end, as many as the message header says. Raises ValueError if it is too short.
    """
    if wire_bytes[:1] == b"\x81":
        count = wire_bytes[1] if len(wire_bytes) > 1 else 0
        signature = wire_bytes[max(2, len(wire_bytes) - 64 * count) :][:64]
    else:
        signature = wire_bytes[1:65]
    if len(signature) != 64:
        raise ValueError("too short for a signed transaction")
    return encode_base58(signature)


def describe_error(error: object) -> str:
    """Makes text of a transaction error: "" for null, otherwise its JSON."""
    if error is None:
        return ""
    return msgspec.json.encode(error).decode()


def _require_said_once(data: bytes, result_bytes: int) -> None:
    """Raises WireError if an answer's own object names something twice: each reader takes another.

    What is not the result is a few dozen bytes; a hidden second result would be more.
    """
    if len(data) - result_bytes > _ENVELOPE_BYTES_MAX:
        raise WireError("the answer holds more than a result")
    names = [name.text for name in _decode(data, dict[_Name, Raw], _Name)]
    if len(set(names)) < len(names):
        raise WireError("the answer says something twice")


_ENVELOPE_BYTES_MAX: Final = 4096
_DEPTH_MESSAGE: Final = "the answer is nested too deeply"


def _decode(data: bytes, wanted: type[T], hook: Callable[[type, str], object] | None = None) -> T:
    try:
        return msgspec.json.decode(data, type=wanted, dec_hook=hook)
    except RecursionError:
        raise WireError(_DEPTH_MESSAGE) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WireError(f"the answer is malformed: {error}") from None


# Programs are few and accounts many.
_is_program: Final = lru_cache(maxsize=256)(is_address)


def _check_u64(value: int) -> None:
    if value > U64_MAX:
        raise ValueError("integer above u64")


def _check_i64(value: int) -> None:
    if value > I64_MAX:
        raise ValueError("integer above i64")
