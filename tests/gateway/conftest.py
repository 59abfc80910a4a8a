"""A gateway in this process on a real database and a signer that answers from memory."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from gateway.app import Adapters, open_adapters
from gateway.config import Config, Listen, Postgres, Solana
from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from tests.gateway import fake_signer
from tests.gateway.processes import Client
from tests.gateway.support import Gateway, in_clear, new_id, serve_in_process
from tests.support.databases import left_in_sessions
from tests.support.processes import GatewayProcess
from tests.support.svm_rpc import SvmRpc


@pytest_asyncio.fixture
async def signer_socket(short_dir: Path) -> Path:
    """Where the fake signer listens."""
    return short_dir / "signer.sock"


@pytest_asyncio.fixture
async def fake(signer_socket: Path) -> AsyncIterator[fake_signer.FakeSigner]:
    """A signer that answers from memory."""
    signer = fake_signer.FakeSigner()
    server = await fake_signer.start(signer, signer_socket)
    yield signer
    await server.stop(None)


@pytest.fixture
def config(signer_socket: Path, database_url: str, svm_rpc: SvmRpc) -> Config:
    """A gateway that seals for its clients."""
    return Config(
        signer_socket=signer_socket,
        listen=Listen(tcp="127.0.0.1:0"),
        postgres=Postgres(url=database_url),
        solana=Solana(rpc_url=svm_rpc.url),
        seal_plaintext_secrets=True,
    )


@pytest_asyncio.fixture
async def adapters(config: Config) -> AsyncIterator[Adapters]:
    """The gateway's real adapters."""
    async with open_adapters(config) as opened:
        yield opened
        assert [] == await left_in_sessions(opened.database)


@pytest_asyncio.fixture
async def gateway(
    config: Config, adapters: Adapters, fake: fake_signer.FakeSigner
) -> AsyncIterator[Gateway]:
    """The gateway, with the fake signer running."""
    assert fake.calls == []
    async with serve_in_process(config, adapters) as served:
        yield served


@pytest_asyncio.fixture
async def master(gateway: Gateway) -> master_pb.MasterWallet:
    """A master wallet."""
    response = await gateway.masters.CreateMasterWallet(
        master_pb.CreateMasterWalletRequest(
            request_id=new_id(), word_count=12, credential=in_clear()
        )
    )
    made: master_pb.MasterWallet = response.master_wallet
    return made


@pytest_asyncio.fixture
async def wallets(gateway: Gateway, master: master_pb.MasterWallet) -> list[wallet_pb.Wallet]:
    """Three wallets of the master, indices 0 to 2."""
    async for _ in gateway.wallets.DeriveWallets(
        wallet_pb.DeriveWalletsRequest(
            request_id=new_id(),
            master_wallet_id=master.id,
            first_index=0,
            count=3,
            credential=in_clear(),
            tags=["desk"],
        )
    ):
        pass
    page = await gateway.wallets.ListWallets(
        wallet_pb.ListWalletsRequest(master_wallet_id=master.id)
    )
    return list(page.wallets)


@pytest.fixture
def client(gateway_process: GatewayProcess) -> Iterator[Client]:
    """A client of the real gateway process."""
    with grpc.insecure_channel(gateway_process.target) as channel:
        yield Client(channel)
