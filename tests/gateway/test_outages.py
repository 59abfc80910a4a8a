"""A gateway without a database, a signer or a sane RPC node: clear refusals, and then it works."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio
from solders.pubkey import Pubkey

from gateway.adapters.postgres import migrate
from gateway.app import open_adapters, probes
from gateway.clock import SystemClock
from gateway.config import Config, Postgres
from gateway.domain.errors import StoreUnavailableError
from gateway.readiness import NEEDS, Readiness
from gateway.workflows.usage import UsageLog
from solward.gateway.v1 import balance_service_pb2 as balance_pb
from solward.gateway.v1 import distribution_service_pb2 as distribution_pb
from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from solward.gateway.v1 import signing_service_pb2 as signing_pb
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from tests.gateway import fake_signer
from tests.gateway.fake_signer import FakeSigner
from tests.gateway.support import Gateway, in_clear, new_id, refusal_of, serve_in_process
from tests.support.svm_rpc import SvmRpc

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
ADDRESS = "4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def create_request() -> master_pb.CreateMasterWalletRequest:
    """A new master."""
    return master_pb.CreateMasterWalletRequest(
        request_id=new_id(), word_count=12, credential=in_clear()
    )


async def succeeds(call: Awaitable[Any]) -> bool:
    """True if the call is answered, False if it is UNAVAILABLE; anything else is raised."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        if error.code() is not UNAVAILABLE:
            raise
        return False
    return True


@pytest_asyncio.fixture
async def homeless(config: Config, fake: FakeSigner, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway whose database is not there."""
    assert fake.calls == []
    nowhere = Postgres(url=f"postgresql://u@/db?host={tmp_path}")
    config = replace(config, postgres=nowhere)
    async with open_adapters(config) as adapters, serve_in_process(config, adapters) as served:
        yield served


async def test_without_a_database(homeless: Gateway) -> None:
    """What needs it is DATABASE_UNAVAILABLE with a time to retry; what does not, works."""
    calls = [
        homeless.masters.CreateMasterWallet(create_request()),
        homeless.masters.ListMasterWallets(master_pb.ListMasterWalletsRequest()),
        homeless.wallets.GetWalletByAddress(wallet_pb.GetWalletByAddressRequest(address=ADDRESS)),
        homeless.wallets.AddTag(wallet_pb.AddTagRequest(wallet_id=new_id(), tag="t")),
    ]
    for call in calls:
        refusal = await refusal_of(call)
        assert (UNAVAILABLE, "DATABASE_UNAVAILABLE") == (refusal.code, refusal.reason)
        assert "RetryInfo" in refusal.details
    key = await homeless.signing.GetPublicKey(signing_pb.GetPublicKeyRequest(signer_box_key=True))
    assert len(key.public_key) == 32
    balance = await homeless.balances.GetBalance(balance_pb.GetBalanceRequest(address=ADDRESS))
    assert balance.balance_lamports == 0


async def test_without_a_signer_and_then_with_one(config: Config, signer_socket: Path) -> None:
    """Signer calls are SIGNER_UNAVAILABLE, reads work; once it is there, so do signer calls."""
    async with open_adapters(config) as adapters, serve_in_process(config, adapters) as gateway:
        refusal = await refusal_of(gateway.masters.CreateMasterWallet(create_request()))
        assert (UNAVAILABLE, "SIGNER_UNAVAILABLE") == (refusal.code, refusal.reason)
        listed = await gateway.masters.ListMasterWallets(master_pb.ListMasterWalletsRequest())
        assert [] == list(listed.master_wallets)
        server = await fake_signer.start(FakeSigner(), signer_socket)
        # The next attempt to connect is at most a second away.
        async with asyncio.timeout(10):
            while not await succeeds(gateway.masters.CreateMasterWallet(create_request())):
                pass
        await server.stop(None)


@pytest.mark.parametrize("body", [b"{", b'{"jsonrpc":"2.0","id":1,"error":{"code":1}}'])
async def test_a_node_that_answers_nonsense(gateway: Gateway, svm_rpc: SvmRpc, body: bytes) -> None:
    """One balance is RPC_UNAVAILABLE, a batch says so for each wallet; then all is well again."""
    svm_rpc.faults.body("*", body, times=None)
    one = balance_pb.GetBalanceRequest(address=ADDRESS)
    refusal = await refusal_of(gateway.balances.GetBalance(one))
    assert (UNAVAILABLE, "RPC_UNAVAILABLE") == (refusal.code, refusal.reason)
    many = balance_pb.BatchGetBalancesRequest(
        addresses=balance_pb.AddressList(addresses=[ADDRESS, ADDRESS])
    )
    batch = await gateway.balances.BatchGetBalances(many)
    assert ["RPC_UNAVAILABLE"] * 2 == [balance.error_reason for balance in batch.balances]
    assert (2, 0) == (batch.error_count, batch.total_lamports)
    svm_rpc.faults.clear()
    svm_rpc.chain.fund(Pubkey.from_string(ADDRESS), 7_000_000)
    batch = await gateway.balances.BatchGetBalances(many)
    assert (0, 14_000_000) == (batch.error_count, batch.total_lamports)


async def test_balances_of_a_master_come_in_order(
    gateway: Gateway,
    svm_rpc: SvmRpc,
    master: master_pb.MasterWallet,
    wallets: list[wallet_pb.Wallet],
) -> None:
    """By master, by id and by address the same balances come, in the order asked."""
    for number, wallet in enumerate(wallets, start=1):
        svm_rpc.chain.fund(Pubkey.from_string(wallet.address), number * 1_000_000)
    expected = [(wallet.address, n * 1_000_000) for n, wallet in enumerate(wallets, start=1)]
    by_master = balance_pb.BatchGetBalancesRequest(master_wallet_id=master.id)
    ids = balance_pb.WalletIdList(ids=[wallet.id for wallet in reversed(wallets)])
    addresses = balance_pb.AddressList(addresses=[wallet.address for wallet in wallets])

    async def read(request: balance_pb.BatchGetBalancesRequest) -> list[Any]:
        answer = await gateway.balances.BatchGetBalances(request)
        return [(balance.address, balance.balance_lamports) for balance in answer.balances]

    assert expected == await read(by_master)
    assert expected[::-1] == await read(balance_pb.BatchGetBalancesRequest(wallet_ids=ids))
    assert expected == await read(balance_pb.BatchGetBalancesRequest(addresses=addresses))


async def test_secrets_in_clear_are_refused_where_nobody_seals(
    config: Config, fake: FakeSigner
) -> None:
    """With sealing off, a password in clear is refused before anything is done with it."""
    strict = replace(config, seal_plaintext_secrets=False)
    async with open_adapters(strict) as adapters, serve_in_process(strict, adapters) as gateway:
        refusal = await refusal_of(gateway.masters.CreateMasterWallet(create_request()))
    assert (grpc.StatusCode.FAILED_PRECONDITION, "PLAINTEXT_SECRET_REFUSED") == (
        refusal.code,
        refusal.reason,
    )
    assert refusal.fields == ("credential",)
    assert fake.calls == []


async def test_health_is_serving_only_while_usable(
    config: Config, empty_database_url: str, svm_rpc: SvmRpc, signer_socket: Path
) -> None:
    """Unmigrated, without a signer, without a node: each service's health says what it can do."""
    config = replace(config, postgres=Postgres(url=empty_database_url))
    balances, masters = "solward.gateway.v1.BalanceService", "solward.gateway.v1.WalletService"
    health = health_aio.HealthServicer()

    no_context: Any = None  # only a service that is unknown would use it

    async def states() -> dict[str, int]:
        found = {}
        for name in NEEDS:
            request = health_pb2.HealthCheckRequest(service=name)
            reply = await health.Check(request, no_context)
            found[name] = reply.status
        return found

    async with open_adapters(config) as adapters:
        readiness = Readiness(health, SystemClock(), probes(config, adapters))
        await readiness.start()
        assert {NOT_SERVING} == set((await states()).values())
        assert not await readiness.check()
        usable = {name for name, state in (await states()).items() if state == SERVING}
        assert {"solana-rpc"} == usable
        await migrate(empty_database_url)
        assert not await readiness.check()
        assert (SERVING, NOT_SERVING) == ((await states())[balances], (await states())[masters])
        server = await fake_signer.start(FakeSigner(), signer_socket)
        async with asyncio.timeout(10):
            while not await readiness.check():
                pass
        assert {SERVING} == set((await states()).values())
        svm_rpc.faults.body("getHealth", b"{", times=None)
        assert not await readiness.check()
        assert (NOT_SERVING, SERVING) == ((await states())[balances], (await states())[""])
        await server.stop(None)


async def test_times_of_use_survive_an_outage() -> None:
    """What cannot be stored now is kept and stored with the next flush, the later time winning."""

    class Store:
        def __init__(self) -> None:
            self.fails = True
            self.stored: dict[UUID, datetime] = {}

        async def mark_used(self, used_at: Any) -> None:
            if self.fails:
                raise StoreUnavailableError("away")
            self.stored.update(used_at)

    store = Store()
    usage = UsageLog(store, SystemClock())
    one, two = uuid4(), uuid4()
    usage.used([one])
    await usage.flush()
    usage.used([two])
    store.fails = False
    await usage.flush()
    assert {one, two} == set(store.stored)


async def test_planning_ends_with_its_callers_patience(
    gateway: Gateway, svm_rpc: SvmRpc, wallets: list[wallet_pb.Wallet]
) -> None:
    """A node that stalls: the refusal comes before the caller's deadline, and names the node."""
    stalled = svm_rpc.faults.delay("getMultipleAccounts", times=None)
    request = distribution_pb.EstimateCostRequest(
        source_wallet_id=wallets[0].id,
        recipients=distribution_pb.Recipients(
            wallet_ids=distribution_pb.RecipientIds(ids=[wallet.id for wallet in wallets[1:]])
        ),
        total_lamports=20_000_000,
        split=distribution_pb.Split(even=distribution_pb.EvenSplit()),
    )
    refusal = await refusal_of(gateway.distributions.EstimateCost(request, timeout=4))
    stalled.gate.set()
    assert (UNAVAILABLE, "RPC_UNAVAILABLE") == (refusal.code, refusal.reason)


async def test_executing_ends_with_its_callers_patience(
    gateway: Gateway, svm_rpc: SvmRpc, wallets: list[wallet_pb.Wallet]
) -> None:
    """A node that stalls while the balance is read: refused in time, and nothing has begun."""
    svm_rpc.chain.fund(Pubkey.from_string(wallets[0].address), 10**12)
    create = distribution_pb.CreateDistributionRequest(
        request_id=new_id(),
        source_wallet_id=wallets[0].id,
        recipients=distribution_pb.Recipients(
            wallet_ids=distribution_pb.RecipientIds(ids=[wallet.id for wallet in wallets[1:]])
        ),
        total_lamports=20_000_000,
        split=distribution_pb.Split(even=distribution_pb.EvenSplit()),
    )
    plan = (await gateway.distributions.CreateDistribution(create)).distribution
    stalled = svm_rpc.faults.delay("getBalance", times=None)
    execute = distribution_pb.ExecuteDistributionRequest(
        distribution_id=plan.id, etag=plan.etag, session_token=b"t" * 32
    )
    refusal = await refusal_of(gateway.distributions.ExecuteDistribution(execute, timeout=4))
    stalled.gate.set()
    assert (UNAVAILABLE, "RPC_UNAVAILABLE") == (refusal.code, refusal.reason)
    get = distribution_pb.GetDistributionRequest(distribution_id=plan.id)
    found = (await gateway.distributions.GetDistribution(get)).distribution
    assert distribution_pb.Distribution.STATE_PLANNED == found.state
