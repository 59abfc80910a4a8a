"""Known secrets go in by every door, rightly and wrongly: none may come out."""

import contextlib
import os
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tests.signer.client import Client, connected
from tests.signer.errands import Errands
from tests.signer.house import House, rpc_of, send
from tests.signer.process import SignerProcess
from tests.signer.texts import Transcript, encodings, exposed

# What the contract says is given back or kept as the caller wrote it.
_ECHOED = {("SignTransactions", "reference"), ("Freeze", "address"), ("Freeze", "group")}
_ECHOED |= {("Unfreeze", "address"), ("Unfreeze", "group")}


def said(signer: SignerProcess, transcript: Transcript) -> bytes:
    """All that the signer has written anywhere, and all that it has answered."""
    logs = (signer.errors + signer.output).encode()
    files = [path.read_bytes() for path in signer.state.iterdir() if path.is_file()]
    return b"\n".join([logs, *files, transcript.text])


@pytest.fixture(scope="module")
def transcript() -> Transcript:
    """All answers of the module."""
    return Transcript()


@pytest.fixture(scope="module")
def client(signer: SignerProcess, transcript: Transcript) -> Iterator[Client]:
    """A client all of whose calls are written down."""
    with connected(signer, transcript) as connection:
        yield connection


def test_no_secret_is_ever_said(
    signer: SignerProcess, client: Client, transcript: Transcript
) -> None:
    """After every kind of errand, with right and wrong passwords, no log line, audit record, answer
    or error holds any of the secrets or what was derived from them, in any encoding.
    """
    errands = Errands.of(signer, client)
    errands.run()
    errands.close_session()
    assert [] == exposed(said(signer, transcript), errands.secrets | errands.lasting)
    assert "Traceback" not in signer.errors


def test_what_a_field_may_not_hold_is_not_repeated(
    signer: SignerProcess, transcript: Transcript, house: House
) -> None:
    """A caller who puts a secret, unsealed, into any field of any request does not find it in an
    error or the logs: what is refused is named, not quoted.
    """
    secrets = {}
    for request in house.requests():
        for path in _text_fields(request):
            if (rpc_of(request), path[-1]) not in _ECHOED:
                # Not like an address, a fingerprint or a number: nothing that belongs anywhere.
                secret = f"{os.urandom(8).hex()}@{os.urandom(8).hex()}".encode()
                secrets[f"{rpc_of(request)} {'.'.join(path)}"] = secret
                _try(house.client, _changed(request, path, secret))
    assert [] == exposed(said(signer, transcript), secrets)
    assert "Traceback" not in signer.errors
    assert len(secrets) > 60, "fields of the requests were overlooked"


@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_the_search_sees_a_secret_in_every_encoding(before: int) -> None:
    """The search itself finds a secret written in each way, also inside a longer base64 text."""
    secrets = {
        "key": os.urandom(32),
        "pair": os.urandom(64),
        "password": b"a password of 23 bytes.",
    }
    for name, secret in secrets.items():
        for form in encodings(secret).values():
            assert exposed(b"{" + form + b"}", {name: secret})
        longer = os.urandom(before) + secret + os.urandom(5)
        assert exposed(b"log: " + b64encode(longer) + b"\n", {name: secret})
    assert [] == exposed(os.urandom(10_000), secrets)


def _try(client: Client, request: Message) -> None:
    with contextlib.suppress(grpc.RpcError):
        answer = send(client, request)
        if not isinstance(answer, Message):
            list(answer)


def _text_fields(message: Message, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all fields of text or bytes, through the first element of repeated ones."""
    for field in message.DESCRIPTOR.fields:
        path = (*above, field.name)
        if field.type in {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES}:
            yield path
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            yield from _text_fields(_element(message, field.name), path)


def _element(message: Any, name: str) -> Any:
    value = getattr(message, name)
    if not hasattr(value, "add"):
        return value
    return value[0] if value else value.add()


def _changed(request: Message, path: tuple[str, ...], secret: bytes) -> Message:
    copy = type(request).FromString(request.SerializeToString())
    target: Any = copy
    for name in path[:-1]:
        target = _element(target, name)
    kind = copy.DESCRIPTOR if target is copy else target.DESCRIPTOR
    is_text = kind.fields_by_name[path[-1]].type == FieldDescriptor.TYPE_STRING
    setattr(target, path[-1], secret.decode() if is_text else secret)
    return copy
