"""What the schema and the unit of work keep together, whatever happens."""

import asyncio
from uuid import uuid4

import pytest

from gateway.adapters.postgres import Database
from gateway.domain.errors import (
    AlreadyExistsError,
    GatewayError,
    NotFoundError,
    RequestIdConflictError,
    StoreUnavailableError,
)
from gateway.domain.requests import RequestKey
from gateway.domain.wallets import (
    Trade,
    WalletFilter,
)
from tests.postgres.kit import INSERT, NOON, all_pages, create_master, derive, import_wallet
from tests.postgres.samples import derived


async def test_the_schema_keeps_wallets_and_masters_together(database: Database) -> None:
    """Whoever writes past the repositories still cannot orphan a wallet or change what it is."""
    master = await create_master(database)
    await derive(database, master, 0, 2)
    for statement in (
        "UPDATE wallets SET derivation_index = derivation_index + 1",
        "UPDATE wallets SET address = repeat('1', 32)",
        "DELETE FROM master_wallets",
        INSERT + "(repeat('1', 32), 0, gen_random_uuid(), 'x', 'x', 'x')",
        INSERT + "(repeat('1', 32), 0, NULL, 'x', 'x', 'x')",
    ):
        with pytest.raises(GatewayError):
            async with database.transaction() as unit:
                await unit.connection.run_script(statement)
    assert len(await all_pages(database, WalletFilter(master_wallet_id=master.id), 100)) == 2


async def test_masters_are_unique_and_listed(database: Database) -> None:
    """The same mnemonic cannot be stored twice; masters are listed by creation."""
    masters = [await create_master(database, seed) for seed in range(1, 6)]
    with pytest.raises(AlreadyExistsError) as caught:
        await create_master(database, 3)
    assert (caught.value.reason, caught.value.field) == ("ALREADY_STORED", "mnemonic")
    async with database.read() as unit:
        page = await unit.masters.list_page(3)
        rest = await unit.masters.list_page(3, page.next_page_token)
        with pytest.raises(NotFoundError):
            await unit.masters.get(uuid4())
    assert masters == [*page.items, *rest.items]


async def test_a_request_is_served_once(database: Database) -> None:
    """Of identical requests at the same moment one does the work, the others get its response."""
    key = RequestKey(uuid4(), "RecordTrade", bytes(32))
    wallet = await import_wallet(database, 1)

    async def serve() -> bytes:
        async with database.transaction() as unit:
            await unit.idempotency.lock(key)
            stored = await unit.idempotency.find(key)
            if stored is not None:
                return stored
            traded = await unit.wallets.record_trade(wallet.id, Trade(5, NOON))
            response = str(traded.total_trades).encode()
            await unit.idempotency.record(key, response)
            return response

    assert await asyncio.gather(*(serve() for _ in range(6))) == [b"1"] * 6
    async with database.read() as unit:
        assert (await unit.wallets.get(wallet.id)).total_trades == 1
        for other in (
            RequestKey(key.request_id, "RecordTrade", bytes(31) + b"\1"),
            RequestKey(key.request_id, "AddTag", bytes(32)),
        ):
            with pytest.raises(RequestIdConflictError):
                await unit.idempotency.find(other)


async def test_a_connection_killed_in_a_transaction(database: Database) -> None:
    """What the server kills is StoreUnavailableError, leaves nothing, and the next call works."""
    master = await create_master(database)

    async def work() -> None:
        async with database.transaction() as unit:
            await unit.masters.lock(master.id)
            await unit.wallets.insert_derived(derived(master, 0, 5))
            pid = await unit.connection.fetchval("SELECT pg_backend_pid()")
            async with database.read() as other:
                await other.connection.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
            await unit.wallets.missing_ranges(master.id, 0, 5)

    with pytest.raises(StoreUnavailableError):
        await work()
    assert await derive(database, master, 0, 5) == 5


async def test_a_cancelled_transaction_is_undone(database: Database) -> None:
    """A caller that goes away in the middle leaves nothing, and gives its connection back."""
    master = await create_master(database)
    reached = asyncio.Event()

    async def work() -> None:
        async with database.transaction() as unit:
            await unit.wallets.insert_derived(derived(master, 0, 5))
            reached.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await derive(database, master, 0, 5) == 5


async def test_no_database_is_a_typed_error(tmp_path: object) -> None:
    """A gateway whose database is away gets StoreUnavailableError, not a driver exception."""
    database = await Database.open(f"postgresql://nobody@/nothing?host={tmp_path}")
    with pytest.raises(StoreUnavailableError) as caught:
        await database.ping()
    assert isinstance(caught.value, GatewayError)
    assert caught.value.reason == "DATABASE_UNAVAILABLE"
    await database.close()
