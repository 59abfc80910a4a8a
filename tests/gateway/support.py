"""A gateway inside the test's process, and what its refusals say."""

import uuid
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import Message as SolanaMessage
from solders.pubkey import Pubkey
from solders.transaction import Transaction

from gateway.api.interceptor import StatusInterceptor
from gateway.app import Adapters, Workers, add_services
from gateway.config import Config
from solward.gateway.v1 import (
    audit_service_pb2_grpc,
    balance_service_pb2_grpc,
    credentials_pb2,
    distribution_service_pb2_grpc,
    master_wallet_service_pb2_grpc,
    signing_service_pb2_grpc,
    wallet_service_pb2_grpc,
)
from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb

PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True)
class Gateway:
    """Stubs of a gateway in this process. They are asynchronous, whatever their types say."""

    channel: grpc.aio.Channel
    workers: Workers

    @property
    def masters(self) -> Any:
        """MasterWalletService."""
        return master_wallet_service_pb2_grpc.MasterWalletServiceStub(self.channel)

    @property
    def wallets(self) -> Any:
        """WalletService."""
        return wallet_service_pb2_grpc.WalletServiceStub(self.channel)

    @property
    def signing(self) -> Any:
        """SigningService."""
        return signing_service_pb2_grpc.SigningServiceStub(self.channel)

    @property
    def balances(self) -> Any:
        """BalanceService."""
        return balance_service_pb2_grpc.BalanceServiceStub(self.channel)

    @property
    def distributions(self) -> Any:
        """DistributionService."""
        return distribution_service_pb2_grpc.DistributionServiceStub(self.channel)

    @property
    def audit(self) -> Any:
        """AuditService."""
        return audit_service_pb2_grpc.AuditServiceStub(self.channel)


@asynccontextmanager
async def serve_in_process(config: Config, adapters: Adapters) -> AsyncIterator[Gateway]:
    """Serves the gateway's own services on a loopback port."""
    server = grpc.aio.server(interceptors=[StatusInterceptor(adapters.clock)])
    workers = add_services(server, config, adapters)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Gateway(channel, workers)
    finally:
        await server.stop(None)
        await workers.close()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal as a client sees it."""

    code: grpc.StatusCode
    message: str
    reason: str
    domain: str
    fields: tuple[str, ...]
    details: tuple[str, ...]
    metadata: dict[str, str] = field(default_factory=dict)


async def refusal_of(call: Awaitable[Message]) -> Refusal:
    """Awaits a call that must fail and returns how it failed."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return parse(error)
    raise AssertionError(f"the call succeeded: {type(answer).__name__}")


async def stream_refusal(call: Any) -> Refusal:
    """Reads a stream that must fail and returns how it failed."""
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError as error:
        return parse(error)
    raise AssertionError("the stream succeeded")


def parse(error: grpc.aio.AioRpcError) -> Refusal:
    """Takes the details of a status apart."""
    raw = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    status = status_pb2.Status.FromString(raw if isinstance(raw, bytes) else b"")
    info, fields, names = error_details_pb2.ErrorInfo(), [], []
    for detail in status.details:
        names.append(detail.TypeName().rpartition(".")[2])
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            fields += [violation.field for violation in bad.field_violations]
        elif detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
    assert status.code == error.code().value[0]
    assert status.message == (error.details() or "")
    return Refusal(
        error.code(),
        status.message,
        info.reason,
        info.domain,
        tuple(fields),
        tuple(names),
        dict(info.metadata),
    )


def new_id() -> str:
    """A request id."""
    return str(uuid.uuid4())


def in_clear(password: str = PASSWORD) -> credentials_pb2.Credential:
    """A password for the gateway to seal."""
    return credentials_pb2.Credential(plaintext_password=password)


def sealed(secret: bytes) -> credentials_pb2.Credential:
    """A password that a client has sealed."""
    return credentials_pb2.Credential(sealed_password=secret)


def transfer(source: str, *destinations: str) -> bytes:
    """An unsigned legacy transaction that names these accounts."""
    accounts = [AccountMeta(Pubkey.from_string(source), is_signer=True, is_writable=True)]
    accounts += [AccountMeta(Pubkey.from_string(to), False, True) for to in destinations]
    instruction = Instruction(Pubkey.from_bytes(bytes(32)), b"data", accounts)
    payer = Pubkey.from_string(source)
    message = SolanaMessage.new_with_blockhash([instruction], payer, Hash.default())
    return bytes(Transaction.new_unsigned(message))


def derive_request(
    master: master_pb.MasterWallet, first_index: int | None, count: int, **options: object
) -> wallet_pb.DeriveWalletsRequest:
    """A derivation with a password in clear."""
    request = wallet_pb.DeriveWalletsRequest(
        request_id=new_id(), master_wallet_id=master.id, count=count, credential=in_clear()
    )
    if first_index is not None:
        request.first_index = first_index
    for name, value in options.items():
        setattr(request, name, value)
    return request


async def derive(
    gateway: Gateway, request: wallet_pb.DeriveWalletsRequest
) -> wallet_pb.DeriveWalletsResponse:
    """Derives and returns the last report."""
    last = wallet_pb.DeriveWalletsResponse()
    async for report in gateway.wallets.DeriveWallets(request):
        last = report
    return last


async def derived_count(gateway: Gateway, master: master_pb.MasterWallet) -> int:
    """The master's derived_count."""
    request = master_pb.GetMasterWalletRequest(master_wallet_id=master.id)
    response = await gateway.masters.GetMasterWallet(request)
    return int(response.master_wallet.derived_count)
