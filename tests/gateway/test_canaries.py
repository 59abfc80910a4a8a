"""Secrets put into every field of every gateway call: none comes out, by any door or encoding."""

import importlib
import os
import pkgutil
from collections.abc import Iterator
from typing import Any

import asyncpg
import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

import solward.gateway.v1
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from tests.gateway.processes import CANARY, Client
from tests.gateway.support import new_id
from tests.signer.texts import Transcript, exposed
from tests.support.databases import run
from tests.support.processes import GatewayProcess, SignerProcess

SERVICES = ("MasterWallet", "Wallet", "Signing", "Balance", "Distribution", "Audit")
# What callers store on purpose: it stands in the database and in answers because that is its use.
STORED = {"tags", "tag", "display_name"}


def methods() -> Iterator[MethodDescriptor]:
    """Every call of the gateway's contract."""
    for module in pkgutil.iter_modules(solward.gateway.v1.__path__):
        importlib.import_module(f"solward.gateway.v1.{module.name}")
    pool = descriptor_pool.Default()
    for name in SERVICES:
        yield from pool.FindServiceByName(f"solward.gateway.v1.{name}Service").methods


def paths(message: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every field of text or bytes, through the first element of repeated ones."""
    for field in message.DESCRIPTOR.fields:
        path = (*above, field.name)
        if field.type in {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES}:
            yield path
        elif field.message_type is not None and len(path) < 5:
            yield from paths(message_factory.GetMessageClass(field.message_type)(), path)


def put(message: Any, path: tuple[str, ...], secret: bytes) -> None:
    """Set one field to a secret."""
    name, *rest = path
    field = message.DESCRIPTOR.fields_by_name[name]
    if rest:
        inner = getattr(message, name)
        put(inner.add() if field.is_repeated else inner, tuple(rest), secret)
        return
    value = secret if field.type == FieldDescriptor.TYPE_BYTES else secret.decode()
    if field.is_repeated:
        getattr(message, name).append(value)
    else:
        setattr(message, name, value)


def send(channel: grpc.Channel, method: MethodDescriptor, request: Message) -> None:
    """Make one call by its descriptor and take all of its answer."""
    answer_class = message_factory.GetMessageClass(method.output_type)
    make = channel.unary_stream if method.server_streaming else channel.unary_unary
    call: Any = make(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer_class.FromString,
    )
    try:
        answer = call(request, timeout=10)
        if method.server_streaming:
            list(answer)
    except grpc.RpcError:
        pass


async def every_row(url: str) -> bytes:
    """The whole database as text, bytea columns included."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
        rows = [await connection.fetch(f'SELECT t::text FROM "{name}" t') for (name,) in tables]
    finally:
        await connection.close()
    return "\n".join(row[0] for table in rows for row in table).encode()


def said(gateway: GatewayProcess, signer: SignerProcess, url: str) -> bytes:
    """All that was written anywhere: both logs, the audit log, the database."""
    return b"\n".join(
        [
            gateway.log_text().encode(),
            signer.errors.encode(),
            signer.output.encode(),
            signer.audit_log.read_bytes(),
            run(every_row(url)),
        ]
    )


def test_no_call_repeats_or_stores_a_secret(
    gateway_process: GatewayProcess, signer_process: SignerProcess, database_url: str
) -> None:
    """A secret in any field of any call, and the passwords of calls that succeed, are afterwards in
    no answer, no error with its details, no log line, no audit record and no database row: raw, in
    hex, base58 or base64.
    """
    secrets = {"password": CANARY.encode()}
    transcript = Transcript()
    with grpc.insecure_channel(gateway_process.target) as plain:
        channel = grpc.intercept_channel(plain, transcript)
        client = Client(channel)
        master = client.create_master()
        list(client.derive(master, 3))
        token = client.session(master)
        for method in methods():
            request_class = message_factory.GetMessageClass(method.input_type)
            for path in paths(request_class()):
                if STORED & set(path):
                    continue
                secret = f"{os.urandom(8).hex()}@{os.urandom(8).hex()}".encode()
                secrets[f"{method.name} {'.'.join(path)}"] = secret
                request = request_class()
                if "request_id" in request.DESCRIPTOR.fields_by_name and path != ("request_id",):
                    setattr(request, "request_id", new_id())  # noqa: B010 - of any request class
                put(request, path, secret)
                send(channel, method, request)
    everything = transcript.text + said(gateway_process, signer_process, database_url)
    assert [] == exposed(everything, secrets)
    # The token is in its own answer, and nowhere else.
    assert [] == exposed(said(gateway_process, signer_process, database_url), {"token": token})
    assert b"Traceback" not in everything
    assert len(secrets) > 80, "fields of the contract were overlooked"


def test_the_search_looks_in_answers_and_in_the_database(
    gateway_process: GatewayProcess, signer_process: SignerProcess, database_url: str
) -> None:
    """What a caller stores on purpose is found in both: the search is not blind."""
    transcript = Transcript()
    with grpc.insecure_channel(gateway_process.target) as plain:
        client = Client(grpc.intercept_channel(plain, transcript))
        master = client.create_master()
        list(client.derive(master, 1))
        (wallet,) = client.first_wallets(1)
        tag = os.urandom(8).hex()
        client.wallets.AddTag(wallet_pb.AddTagRequest(wallet_id=wallet.id, tag=tag))
    assert ["tag as raw"] == exposed(transcript.text, {"tag": tag.encode()})
    written = said(gateway_process, signer_process, database_url)
    assert ["tag as raw"] == exposed(written, {"tag": tag.encode()})
    assert exposed(written, {"address": wallet.address.encode()})
