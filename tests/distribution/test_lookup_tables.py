"""v0 distributions by lookup tables: packed to the optimum, executed, compared, frozen."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest
from solders.account import Account
from solders.pubkey import Pubkey

from gateway.adapters.postgres import Database
from gateway.domain.errors import GatewayError, InvalidArgumentError
from gateway.domain.orders import (
    ClosingOrder,
    ConsolidationOrder,
    DistributionOrder,
    RecipientAddresses,
)
from gateway.domain.packing import TransactionVersion
from gateway.domain.plans import Receipts
from gateway.domain.splits import EvenSplit
from gateway.domain.states import DistributionState
from gateway.domain.token_programs import TOKEN, TOKEN_2022
from gateway.workflows.distribution_planning import PlanningConfig
from tests.distribution.support import TOKEN as SESSION
from tests.distribution.support import Desk, open_desk
from tests.distribution.tables import content_of, write_table
from tests.distribution.test_crashes import HASTY, die
from tests.distribution.tokens import TokenWorld
from tests.postgres.samples import address_of
from tests.support.svm_rpc import SvmRpc

TOTAL = 10**9
FORBIDDEN = [
    "UPDATE distribution_lookup_tables SET content = content || content",
    "UPDATE distribution_lookup_tables SET address = repeat('1', 32)",
    "DELETE FROM distribution_lookup_tables",
    "TRUNCATE distribution_lookup_tables",
    """INSERT INTO distribution_lookup_tables
    SELECT distribution_id, 9, repeat('1', 32), content FROM distribution_lookup_tables""",
]
V0 = TransactionVersion.V0


def paid(count: int) -> list[str]:
    """Recipients."""
    return [address_of(number, "pay") for number in range(count)]


def payout(
    desk: Desk, count: int, tables: Sequence[str], world: TokenWorld | None = None
) -> DistributionOrder:
    """An order to pay so many by tables."""
    return DistributionOrder(
        desk.source_id,
        RecipientAddresses(tuple(paid(count))),
        TOTAL,
        EvenSplit(),
        world.mint if world else "",
        lookup_tables=tuple(tables),
    )


async def test_sol_by_one_table(desk: Desk) -> None:
    """54 transfers fit one transaction; all are paid, and the chain's record agrees."""
    table = write_table(desk.chain, paid(130))
    before = desk.balance(desk.source_address)
    done = await desk.done(payout(desk, 130, [table]))
    assert (DistributionState.COMPLETED, V0, 3) == (done.state, done.version, done.batch_count)
    assert [table] == list(done.lookup_table_addresses)
    assert Receipts(matched=3) == done.receipts
    assert before - desk.balance(desk.source_address) == TOTAL + done.fees_paid_lamports
    pairs = await desk.paid(done)
    assert [planned for planned, _ in pairs] == [held for _, held in pairs]
    sizes = [len(item.transaction) for item in desk.signer.items]
    assert max(sizes) <= 1_232


async def test_sol_by_many_tables(desk: Desk) -> None:
    """Recipients named in any order are grouped by table; strangers come last."""
    mixed = paid(120)
    tables = [write_table(desk.chain, mixed[start:100:2]) for start in (0, 1)]
    done = await desk.done(payout(desk, 120, tables))
    assert (DistributionState.COMPLETED, Receipts(matched=3)) == (done.state, done.receipts)
    pairs = await desk.paid(done)
    assert ([planned for planned, _ in pairs], 120) == ([held for _, held in pairs], len(pairs))


@pytest.mark.parametrize("program", [TOKEN, TOKEN_2022])
async def test_tokens_into_accounts_that_exist(desk: Desk, program: str) -> None:
    """54 token transfers fit one transaction if the table holds mint and source account too."""
    world = TokenWorld(desk.chain, program)
    held = [world.open(desk.source_address, TOTAL), world.mint]
    held += [world.open(address) for address in paid(54)]
    done = await desk.done(payout(desk, 54, [write_table(desk.chain, held)], world))
    assert (DistributionState.COMPLETED, 1) == (done.state, done.batch_count)
    assert TOTAL == sum(world.amount(address) for address in paid(54))
    assert Receipts(matched=1) == done.receipts


async def test_tokens_into_accounts_that_are_made(desk: Desk) -> None:
    """10 with creation: the instruction trace caps it, not the bytes."""
    world = TokenWorld(desk.chain)
    held = [world.open(desk.source_address, TOTAL), world.mint, *paid(30)]
    held += [world.account_of(address) for address in paid(30)]
    done = await desk.done(payout(desk, 30, [write_table(desk.chain, held)], world))
    assert (DistributionState.COMPLETED, 3) == (done.state, done.batch_count)
    assert TOTAL == sum(world.amount(address) for address in paid(30))
    assert Receipts(matched=3) == done.receipts


async def test_closings(desk: Desk) -> None:
    """61 closes of the payer's own accounts fit one transaction."""
    world = TokenWorld(desk.chain)
    accounts = [world.open(desk.source_address, address=address) for address in paid(61)]
    order = ClosingOrder((desk.source_id,), desk.source_id)
    order = replace(order, lookup_tables=(write_table(desk.chain, accounts),))
    done = await desk.done(order)
    assert (DistributionState.COMPLETED, 1) == (done.state, done.batch_count)
    assert Receipts(matched=1) == done.receipts


async def test_closings_of_many_owners(desk: Desk) -> None:
    """9 closes of distinct owners, who sign, fit one transaction."""
    world = TokenWorld(desk.chain)
    wallets = await desk.wallets(18, 0)
    accounts = [world.open(address) for _, address in wallets]
    order = ClosingOrder(tuple(wallet_id for wallet_id, _ in wallets), desk.source_id)
    done = await desk.done(replace(order, lookup_tables=(write_table(desk.chain, accounts),)))
    assert (DistributionState.COMPLETED, 2) == (done.state, done.batch_count)
    assert Receipts(matched=2) == done.receipts


async def test_a_token_sweep(desk: Desk) -> None:
    """Sources sign and cannot be looked up, their token accounts can: 8 in one transaction."""
    world = TokenWorld(desk.chain)
    wallets = await desk.wallets(16, 0)
    held = [world.open(address, 5) for _, address in wallets]
    ((receiver_id, receiver),) = await desk.wallets(1, 0, salt=1)
    held += [world.open(receiver), world.mint, desk.source_address]
    order = ConsolidationOrder(
        tuple(wallet_id for wallet_id, _ in wallets), receiver_id, desk.source_id, mint=world.mint
    )
    done = await desk.done(replace(order, lookup_tables=(write_table(desk.chain, held),)))
    assert (DistributionState.COMPLETED, 2) == (done.state, done.batch_count)
    assert world.amount(receiver) == 80
    assert Receipts(matched=2) == done.receipts


async def test_without_tables_v0_is_like_legacy(database: Database, svm_rpc: SvmRpc) -> None:
    """The configured format "0" needs no tables: 20 transfers in one transaction."""
    desk = await open_desk(database, svm_rpc, planning=PlanningConfig(V0))
    done = await desk.done(payout(desk, 40, []))
    assert (DistributionState.COMPLETED, V0, 2) == (done.state, done.version, done.batch_count)
    assert Receipts(matched=2) == done.receipts
    await desk.close()


async def test_naming_tables_means_v0(database: Database, svm_rpc: SvmRpc) -> None:
    """Whatever format is configured, and even if the tables serve nobody."""
    desk = await open_desk(database, svm_rpc, planning=PlanningConfig(TransactionVersion.V1))
    plan = await desk.workflows.plan(payout(desk, 40, [write_table(desk.chain, [address_of(1)])]))
    assert (V0, 2, ()) == (plan.version, len(plan.batches), plan.lookup_tables.tables)
    await desk.close()


async def test_what_is_signed_is_built_from_what_was_stored(desk: Desk) -> None:
    """A table that grew, or that a node shows otherwise, after planning changes nothing: the signer
    gets the content that was frozen, and the transactions land.
    """
    members = paid(60)
    table = write_table(desk.chain, members)
    planned = await desk.workflows.create(str(UUID(int=1)), payout(desk, 60, [table]))
    write_table(desk.chain, [*members, address_of(7)], at=table)
    await desk.workflows.execute(planned.id, planned.etag, SESSION)
    await desk.engine.wait()
    done = await desk.workflows.get(planned.id)
    assert (DistributionState.COMPLETED, Receipts(matched=2)) == (done.state, done.receipts)
    for item in [*desk.signer.judged, *desk.signer.items]:
        assert [(table, content_of(members))] == [
            (each.address, each.content) for each in item.lookup_tables
        ]
    async with desk.database.read() as unit:
        rows = await unit.connection.fetch("SELECT * FROM distribution_lookup_tables")
    assert [(table, content_of(members))] == [
        (row["address"], bytes(row["content"])) for row in rows
    ]


async def test_a_batch_that_failed_goes_on_in_halves(desk: Desk) -> None:
    """One recipient that lost its rent meanwhile costs the others fees and not their money; the
    halves use the same tables.
    """
    order = payout(desk, 54, [write_table(desk.chain, paid(54))])
    order = replace(order, total_amount=54 * 1_000)
    for address in paid(54):
        desk.chain.fund(Pubkey.from_string(address), 650_240)
    planned = await desk.workflows.create(str(UUID(int=1)), order)
    assert planned.batch_count == 1
    gone = Pubkey.from_string(paid(54)[33])
    desk.chain.svm.set_account(gone, Account(0, b"", Pubkey.default()))
    await desk.workflows.execute(planned.id, planned.etag, SESSION)
    await desk.engine.wait()
    done = await desk.workflows.get(planned.id)
    assert DistributionState.PARTIALLY_FAILED == done.state
    assert [0 if n == 33 else 651_240 for n in range(54)] == [desk.balance(a) for a in paid(54)]
    assert done.receipts.differing == 0


async def test_engines_that_die_lose_nothing(desk: Desk) -> None:
    """Engines die while they work on one v0 distribution; the last finishes it from the database:
    everybody is paid once.
    """
    table = write_table(desk.chain, paid(250))
    planned = await desk.workflows.create(str(UUID(int=1)), payout(desk, 300, [table]))
    async with desk.database.transaction() as unit:
        await unit.distributions.set_state(planned.id, DistributionState.EXECUTING)
    for pause_s in (0.01, 0.03, 0.05):
        engine = desk.another_engine(HASTY)
        engine.start(planned.id, SESSION)
        await asyncio.sleep(pause_s)
        await die(engine)
        desk.chain.advance(2)
    last = desk.another_engine(HASTY)
    last.start(planned.id, SESSION)
    await last.wait()
    done = await desk.workflows.get(planned.id)
    assert DistributionState.COMPLETED == done.state
    pairs = await desk.paid(done)
    assert [planned for planned, _ in pairs] == [held for _, held in pairs]
    assert len(desk.chain.landed) == done.batch_count


async def test_tables_that_cannot_be_used(desk: Desk) -> None:
    """No account, another program's, an empty or closing table: refused, naming its place."""
    good = write_table(desk.chain, paid(2))
    bad = {
        address_of(99): "no such lookup table",
        desk.source_address: "not an address lookup table",
        write_table(desk.chain, paid(2), owner=TOKEN): "not an address lookup table",
        write_table(desk.chain, []): "no addresses",
        write_table(desk.chain, paid(2), deactivation_slot=1_100): "being closed",
    }
    for table, why in bad.items():
        with pytest.raises(InvalidArgumentError, match=why) as caught:
            await desk.workflows.plan(payout(desk, 2, [good, table]))
        assert "lookup_table_addresses[1]" == caught.value.field


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_closed_table_pauses(desk: Desk, is_there: bool) -> None:
    """A table that is being closed, or gone, when it is to be signed for: nothing is signed, since
    it would count against caps and could not land.
    """
    table = write_table(desk.chain, paid(60))
    planned = await desk.workflows.create(str(UUID(int=1)), payout(desk, 60, [table]))
    if is_there:
        write_table(desk.chain, paid(60), deactivation_slot=desk.chain.slot, at=table)
    else:
        desk.chain.svm.set_account(Pubkey.from_string(table), Account(0, b"", Pubkey.default()))
    await desk.workflows.execute(planned.id, planned.etag, SESSION)
    await desk.engine.wait()
    found = await desk.workflows.get(planned.id)
    assert (DistributionState.PAUSED, []) == (found.state, desk.signer.items)
    assert f"the lookup table {table} is closed or being closed" == found.last_error


async def test_stored_tables_are_frozen(desk: Desk) -> None:
    """Nobody changes, removes or adds a table after the plan is made."""
    table = write_table(desk.chain, paid(30))
    planned = await desk.workflows.create(str(UUID(int=1)), payout(desk, 30, [table]))
    for statement in FORBIDDEN:
        with pytest.raises(GatewayError):
            async with desk.database.transaction() as unit:
                await unit.connection.run_script(statement)
    assert planned == await desk.workflows.get(planned.id)
