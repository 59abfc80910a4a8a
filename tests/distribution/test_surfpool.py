"""The engine on Surfpool: a chain that somebody else wrote, with its own clock."""

from uuid import UUID

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from gateway.adapters.postgres import Database
from gateway.adapters.solana_rpc import Endpoint, SingleEndpoint, SolanaRpc
from gateway.adapters.solana_tx import SoldersTransactions
from gateway.clock import SystemClock
from gateway.domain.orders import DistributionOrder, RecipientAddresses
from gateway.domain.packing import TransactionVersion
from gateway.domain.splits import RandomSplit
from gateway.domain.states import DistributionState
from gateway.workflows.distribution import DistributionWorkflows
from gateway.workflows.distribution_engine import DistributionEngine
from gateway.workflows.distribution_planning import Planning, PlanningConfig
from gateway.workflows.distribution_run import RunConfig
from solward_client.devstack.surfpool import Surfpool
from tests.distribution.support import TOKEN, MemorySigner
from tests.postgres.samples import address_of

TOTAL = 10**8
pytestmark = pytest.mark.localnet


async def fund(rpc: SolanaRpc, surfpool: Surfpool, address: Pubkey, lamports: int) -> None:
    """Pays from the chain's own faucet."""
    payer = Keypair.from_bytes(surfpool.payer_key_pair)
    recent = await rpc.get_latest_blockhash()
    pay = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=address, lamports=lamports))
    message = Message.new_with_blockhash([pay], payer.pubkey(), Hash.from_string(recent.blockhash))
    await rpc.send_transaction(bytes(VersionedTransaction(message, [payer])), skip_preflight=False)


async def compute_units(database: Database) -> set[int]:
    """The limits of all stored transfers."""
    async with database.read() as unit:
        rows = await unit.connection.fetch("SELECT DISTINCT compute_units FROM transfers")
    return {row["compute_units"] for row in rows}


@pytest.mark.parametrize("version", [*TransactionVersion, None])
async def test_everybody_is_paid_once(
    database: Database, surfpool: Surfpool, version: TransactionVersion | None
) -> None:
    """90 recipients get exactly the total in every format; left to choose, it is v1."""
    clock = SystemClock()
    rpc = SolanaRpc(SingleEndpoint(Endpoint(surfpool.rpc_url), clock))
    key = Keypair()
    await fund(rpc, surfpool, key.pubkey(), 3 * TOTAL)
    address = str(key.pubkey())
    async with database.transaction() as unit:
        source_id = await unit.wallets.insert_imported(
            address=address, encrypted_private_key="x", key_group="x", ownership_tag="x"
        )
    compiler = SoldersTransactions()
    engine = DistributionEngine(
        database, rpc, MemorySigner({address: key}), compiler, clock, RunConfig(poll_s=0.2)
    )
    workflows = DistributionWorkflows(
        database,
        rpc,
        Planning(database, rpc, compiler, MemorySigner(), PlanningConfig(version=version)),
        engine,
    )
    recipients = tuple(address_of(number, f"format {version}") for number in range(90))
    order = DistributionOrder(
        source_id, RecipientAddresses(recipients), TOTAL, RandomSplit(bytes(32))
    )
    planned = await workflows.create(str(UUID(int=1)), order)
    await workflows.execute(planned.id, planned.etag, TOKEN)
    await engine.wait()

    done = await workflows.get(planned.id)
    page, _ = await workflows.list_transfers(planned.id, 100)
    held = await rpc.get_balances([item.recipient_address for item in page.items])
    left = await rpc.get_balance(address)
    await engine.close()
    await rpc.close()
    assert (done.state, done.last_error) == (DistributionState.COMPLETED, "")
    assert done.version is (version or TransactionVersion.V1)
    # What the chain said that a transfer uses (150), and a quarter.
    assert await compute_units(database) == {188}
    assert [item.amount for item in page.items] == [one.balance_lamports for one in held]
    assert sum(one.balance_lamports for one in held) == TOTAL
    assert left.balance_lamports == 2 * TOTAL - done.fees_paid_lamports
