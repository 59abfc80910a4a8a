"""Statements and wake-ups on a chain that somebody else wrote."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
import pytest_asyncio
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from gateway.adapters.solana_rpc import Endpoint, SingleEndpoint, SolanaRpc
from gateway.adapters.solana_rpc.statements import StatementReader
from gateway.adapters.solana_rpc.wakeups import SignatureWakeups
from gateway.clock import SystemClock
from solward_client.devstack.surfpool import Surfpool

pytestmark = pytest.mark.localnet


@pytest_asyncio.fixture
async def rpc(surfpool: Surfpool) -> AsyncIterator[SolanaRpc]:
    """A client of the local chain."""
    opened = SolanaRpc(SingleEndpoint(Endpoint(surfpool.rpc_url), SystemClock()))
    yield opened
    await opened.close()


async def pay(rpc: SolanaRpc, payer: Keypair, lamports: int) -> str:
    """Sends a transfer and waits until it has landed."""
    recent = await rpc.get_latest_blockhash()
    there = TransferParams(
        from_pubkey=payer.pubkey(), to_pubkey=Keypair().pubkey(), lamports=lamports
    )
    blockhash = Hash.from_string(recent.blockhash)
    message = Message.new_with_blockhash([transfer(there)], payer.pubkey(), blockhash)
    wire = bytes(VersionedTransaction(message, [payer]))
    signature = await rpc.send_transaction(wire, skip_preflight=True)
    await until(lambda: status_of(rpc, signature))
    return signature


async def status_of(rpc: SolanaRpc, signature: str) -> object:
    """What the chain knows of a transaction."""
    return (await rpc.get_signature_statuses([signature], search_history=True)).statuses[0]


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Asks until the answer is true: the chain tells nobody by itself."""
    for _ in range(400):
        if await condition():
            return
        await asyncio.sleep(0.05)
    raise TimeoutError


async def funded(surfpool: Surfpool, rpc: SolanaRpc) -> Keypair:
    """A key pair that the chain's faucet has paid."""
    payer = Keypair()
    address = str(payer.pubkey())
    async with httpx.AsyncClient() as client:
        request = {"jsonrpc": "2.0", "id": 1, "method": "requestAirdrop"}
        await client.post(surfpool.rpc_url, json={**request, "params": [address, 10**9]})

    async def is_funded() -> bool:
        return (await rpc.get_balance(address)).balance_lamports > 0

    await until(is_funded)
    return payer


async def test_a_statement_on_surfpool(surfpool: Surfpool, rpc: SolanaRpc) -> None:
    """From the faucet to the last payment everything joins up; without one of them it does not."""
    payer = await funded(surfpool, rpc)
    address = str(payer.pubkey())
    sent = [await pay(rpc, payer, lamports) for lamports in (10**7, 10**7 + 1)]
    slot = await rpc.get_slot()

    async def is_later() -> bool:
        return await rpc.get_slot() > slot + 1

    await until(is_later)
    whole = (await StatementReader(rpc).read({address: 0}, slot))[address]
    assert ("", "", 3) == (whole.gap, whole.unread, len(whole.listed))
    assert set(sent) < set(whole.listed)

    class Forgetful(SolanaRpc):
        async def get_signatures(self, *args: object, **options: object) -> object:  # type: ignore[override]  # passes all on
            found = await super().get_signatures(*args, **options)  # type: ignore[arg-type]  # as above
            return [record for record in found if record.signature != sent[0]]

    forgetful = Forgetful(rpc._pool)
    found = (await StatementReader(forgetful).read({address: 0}, slot))[address]  # type: ignore[arg-type]  # as above
    assert found.gap


async def test_a_wake_up_from_surfpool(surfpool: Surfpool, rpc: SolanaRpc) -> None:
    """The chain's own notification ends the rest when the transaction is finalized, not before."""
    payer = await funded(surfpool, rpc)
    wakeups = SignatureWakeups(surfpool.websocket_url, SystemClock())
    running = asyncio.create_task(wakeups.run())
    listener = wakeups.listener()
    signature = await pay(rpc, payer, 10**7)
    listener.want([signature])
    async with asyncio.timeout(40):
        await listener.rest(60)
    reading = await rpc.get_signature_statuses([signature], search_history=False)
    assert ["finalized"] == [found and found.confirmation for found in reading.statuses]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
