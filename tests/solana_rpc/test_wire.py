"""The decoder against whatever a node may send."""

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.solana_rpc import wire, wire_reads
from gateway.domain.amounts import U64_MAX

TYPES: list[Any] = [
    wire.Unsigned,
    str,
    wire.InContext[wire.Unsigned],
    wire.InContext[wire.BlockhashWire],
    wire.InContext[list[wire.AccountWire | None]],
    wire.InContext[list[wire.StatusWire | None]],
    wire.InContext[wire.SimulationWire],
    list[wire.FeeWire],
    wire.TransactionWire | None,
    wire.InContext[list[wire_reads.KeyedAccountWire]],
    list[wire_reads.SignatureWire],
    wire_reads.DetailedTransactionWire | None,
]
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["11111111111111111111111111111111", "base64", "finalized", "2.0"]),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "context",
                    "slot",
                    "value",
                    "lamports",
                    "owner",
                    "data",
                    "executable",
                    "err",
                    "result",
                    "error",
                    "id",
                    "jsonrpc",
                    "code",
                    "message",
                    "blockhash",
                    "lastValidBlockHeight",
                    "confirmationStatus",
                    "fee",
                    "meta",
                    "preBalances",
                    "postBalances",
                    "prioritizationFee",
                    "unitsConsumed",
                    "logs",
                    "pubkey",
                    "account",
                    "signature",
                    "blockTime",
                    "transaction",
                    "version",
                    "loadedAddresses",
                    "writable",
                    "readonly",
                    "preTokenBalances",
                    "accountIndex",
                    "uiTokenAmount",
                    "amount",
                    "decimals",
                ]
            ),
            children,
            max_size=6,
        )
    ),
    max_leaves=20,
)


def envelope(value: object, request_id: object = 1) -> bytes:
    """A well-formed answer's bytes."""
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "result": value}).encode()


def wire_integers(value: object) -> list[int]:
    """All integers within decoded structures."""
    if isinstance(value, bool):
        return []
    if isinstance(value, int):
        return [value]
    if dataclasses.is_dataclass(value):
        names = [item.name for item in dataclasses.fields(value)]
        return [number for name in names for number in wire_integers(getattr(value, name))]
    if isinstance(value, list | tuple):
        return [number for item in value for number in wire_integers(item)]
    if hasattr(value, "__struct_fields__"):
        names = [name for name in value.__struct_fields__ if name != "err"]
        return [number for name in names for number in wire_integers(getattr(value, name))]
    return []


@given(st.binary(max_size=200), st.sampled_from(TYPES))
def test_any_bytes_are_a_value_or_a_wire_error(data: bytes, wanted: Any) -> None:
    """Random bytes raise nothing but WireError."""
    with pytest.raises(wire.WireError):
        wire.decode_response(data, 1, wanted)


@given(json_values, st.sampled_from(TYPES))
def test_any_json_is_a_value_or_a_wire_error(value: object, wanted: Any) -> None:
    """Random JSON, bare or as a result, decodes to the asked type or is WireError."""
    for data in (json.dumps(value).encode(), envelope(value)):
        try:
            found = wire.decode_response(data, 1, wanted)
        except wire.WireError:
            continue
        if not isinstance(found, wire.NodeFault):
            assert all(number >= 0 for number in wire_integers(found))


@given(
    st.sampled_from(
        [
            envelope({"context": {"slot": 5}, "value": {"blockhash": "1" * 32,
                     "lastValidBlockHeight": 9223372036854775807}}),
            envelope({"context": {"slot": 5}, "value": [None, {"lamports": 3, "owner": "1" * 32,
                     "executable": False, "data": ["AAAA", "base64"], "rentEpoch": U64_MAX}]}),
            envelope({"context": {"slot": 5}, "value": [{"slot": 4, "confirmations": None,
                     "err": {"InstructionError": [0, {"Custom": 1}]},
                     "confirmationStatus": "finalized"}]}),
        ]
    ),
    st.data(),
)  # fmt: skip
def test_damaged_answers(data: bytes, draw: st.DataObject) -> None:
    """A good answer cut short or with a byte changed is WireError or still of the asked type."""
    cut = draw.draw(st.integers(0, len(data) - 1))
    for wanted in TYPES:
        with pytest.raises(wire.WireError):
            wire.decode_response(data[:cut], 1, wanted)
    damaged = bytearray(data)
    damaged[cut] = draw.draw(st.integers(0, 255))
    for wanted in TYPES:
        try:
            wire.decode_response(bytes(damaged), 1, wanted)
        except wire.WireError:
            continue


@given(st.integers(0, U64_MAX))
def test_integers_are_exact(number: int) -> None:
    """Every u64 arrives unchanged."""
    assert number == wire.decode_response(envelope(number), 1, wire.Unsigned)


@pytest.mark.parametrize("value", [-1, 1.0, 1e19, math.nan, "1", True, None, [1], 10**400])
def test_what_is_no_unsigned_integer_is_refused(value: object) -> None:
    """A float, a string, a bool or a negative number is never taken for an amount."""
    with pytest.raises(wire.WireError):
        wire.decode_response(envelope(value), 1, wire.Unsigned)


def test_lamports_above_u64_are_refused() -> None:
    """2**64 is no amount."""
    account = {"owner": "1" * 32, "executable": False, "data": ["", "base64"]}
    good = envelope(account | {"lamports": U64_MAX})
    found = wire.decode_response(good, 1, wire.AccountWire)
    assert isinstance(found, wire.AccountWire)
    assert found.lamports == U64_MAX
    with pytest.raises(wire.WireError):
        wire.decode_response(envelope(account | {"lamports": U64_MAX + 1}), 1, wire.AccountWire)


@pytest.mark.parametrize(
    "answer",
    [
        {"jsonrpc": "2.0", "id": 2, "result": 5},
        {"jsonrpc": "2.0", "id": "1", "result": 5},
        {"jsonrpc": "2.0", "id": None, "result": 5},
        {"jsonrpc": "1.0", "id": 1, "result": 5},
        {"jsonrpc": "2.0", "result": 5},
        {"jsonrpc": "2.0", "id": 1},
        {"jsonrpc": "2.0", "id": 1, "error": None},
        {"jsonrpc": "2.0", "id": 1, "result": 5, "error": {"code": 1, "message": "x"}},
        {"jsonrpc": "2.0", "id": 2, "error": {"code": 1, "message": "x"}},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": "x", "message": "x"}},
        {"jsonrpc": "2.0", "id": 1, "error": "no"},
        [{"jsonrpc": "2.0", "id": 1, "result": 5}],
    ],
)
def test_contradictions_are_refused(answer: object) -> None:
    """An answer to another request, with both parts or neither, is no answer."""
    with pytest.raises(wire.WireError):
        wire.decode_response(json.dumps(answer).encode(), 1, wire.Unsigned)


@pytest.mark.parametrize(
    "members",
    [
        b'"result":5,"result":6',
        b'"result":{"a":[5]},"result":6',
        b'"result":5,"resul\\u0074":6',
        b'"error":{"code":1,"message":"x"},"error":null,"result":6',
        b'"id":1,"result":6',
        b'"result":"' + b"x" * 5000 + b'","result":6',
        b'"padding":"' + b"x" * 5000 + b'","result":6',
    ],
)
def test_what_is_said_twice_is_refused(members: bytes) -> None:
    """Of two results every reader takes another, so neither is one, however it is spelt."""
    with pytest.raises(wire.WireError, match=r"twice|more than"):
        wire.decode_response(b'{"jsonrpc":"2.0","id":1,' + members + b"}", 1, wire.Unsigned)


def test_names_that_come_again_deeper_or_are_unknown_are_read() -> None:
    """A result may hold what it likes, and nodes add members."""
    answer = b'{"jsonrpc":"2.0","id":1,"result":{"slot":6,"result":1,"id":2},"extra":0}'
    assert wire.ContextWire(6) == wire.decode_response(answer, 1, wire.ContextWire)


def test_errors_without_data_are_read() -> None:
    """The error object that panics solders (no `data`) is an ordinary fault here."""
    answer = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"bad"}}'
    assert wire.NodeFault(-32602, "bad") == wire.decode_response(answer, 1, wire.Unsigned)


def test_deep_nesting_is_refused() -> None:
    """200,000 brackets are WireError, not a stack overflow."""
    for data in (b"[" * 200_000, b'{"jsonrpc":"2.0","id":1,"result":' + b"[" * 200_000):
        with pytest.raises(wire.WireError):
            wire.decode_response(data, 1, wire.InContext[wire.Unsigned])
