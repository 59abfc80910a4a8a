"""What a connection carries from one use to the next, and what its failures are called."""

import asyncpg
import pytest

from gateway.adapters.postgres import Database
from gateway.adapters.postgres.connection import translate_errors
from gateway.adapters.postgres.database import PoolConfig
from gateway.domain.errors import GatewayError, StoreUnavailableError
from tests.postgres.kit import create_master, derive, import_wallet
from tests.support.databases import left_in_sessions


async def test_nothing_is_left_in_a_session(database_url: str) -> None:
    """After work that sets, locks and fails in its transactions, a session is as it began: so
    connections go back to the pool without a reset, which would cost every call a round trip.
    (Every test of tests/gateway ends with the same look.)
    """
    database = await Database.open(database_url, PoolConfig(connections_max=1))

    master = await create_master(database)
    await derive(database, master, 0, 3)
    await import_wallet(database, 7, ("tag",))
    async with database.transaction() as unit:
        await unit.connection.execute("SET LOCAL statement_timeout = 1")

    async def fail() -> None:
        async with database.transaction() as unit:
            await unit.connection.fetchval("SELECT pg_advisory_xact_lock(1)")
            await unit.connection.fetchval("SELECT nonsense")

    with pytest.raises(GatewayError):
        await fail()
    assert [] == await left_in_sessions(database)
    async with database.read() as unit:  # the positive control: what would be found
        await unit.connection.execute("SET work_mem = '1MB'")
        await unit.connection.fetchval("SELECT pg_advisory_lock(1)")
    assert [("work_mem", 1, 0, 0, 0)] == await left_in_sessions(database)
    await database.close()


async def test_an_open_transaction_does_not_survive_its_use(database_url: str) -> None:
    """A connection that comes back inside a transaction is rolled back before its next use."""
    database = await Database.open(database_url, PoolConfig(connections_max=1))
    async with database.read() as unit:
        await unit.connection.execute("BEGIN")
        await unit.connection.execute("CREATE TABLE leaked ()")
    async with database.read() as unit:
        assert await unit.connection.fetchval("SELECT to_regclass('leaked') IS NULL")
    await database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "SELEC 1",
        "SELECT nonsense",
        "SELECT * FROM nothing",
        "SELECT nothing()",
        "SELECT 1/0",
        "SELECT 'x'::int",
        "SELECT 1::int + 9223372036854775807::bigint",
        "DO $$ BEGIN RAISE 'told'; END $$",
        "INSERT INTO master_wallets (fingerprint, encrypted_mnemonic) VALUES (NULL, NULL)",
    ],
)
async def test_a_statement_that_is_wrong_is_a_defect(database: Database, statement: str) -> None:
    """INTERNAL: to try again is no use, and the database is not away."""
    with pytest.raises(GatewayError) as caught:
        async with database.read() as unit:
            await unit.connection.execute(statement)
    assert (GatewayError, "INTERNAL") == (type(caught.value), caught.value.reason)
    await database.ping()


async def test_a_parameter_of_the_wrong_type_is_a_defect(database: Database) -> None:
    """The driver's refusal of a value is INTERNAL too."""
    with pytest.raises(GatewayError) as caught:
        async with database.read() as unit:
            await unit.connection.fetchval("SELECT $1::int", "seven")
    assert (GatewayError, "INTERNAL") == (type(caught.value), caught.value.reason)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("08006", StoreUnavailableError),
        ("25006", StoreUnavailableError),
        ("28P01", StoreUnavailableError),
        ("3D000", StoreUnavailableError),
        ("40001", StoreUnavailableError),
        ("40P01", StoreUnavailableError),
        ("53100", StoreUnavailableError),
        ("53300", StoreUnavailableError),
        ("55P03", StoreUnavailableError),
        ("57P01", StoreUnavailableError),
        ("57P03", StoreUnavailableError),
        ("58030", StoreUnavailableError),
        ("0A000", GatewayError),
        ("22003", GatewayError),
        ("25001", GatewayError),
        ("42501", GatewayError),
        ("42601", GatewayError),
        ("42703", GatewayError),
        ("42P01", GatewayError),
        ("XX000", GatewayError),
    ],
)
def test_only_a_server_that_cannot_serve_now_is_unavailable(
    state: str, kind: type[GatewayError]
) -> None:
    """The SQLSTATE decides; its text goes no further."""
    error = asyncpg.PostgresError.new({"C": state, "M": "a row: secret"})
    with pytest.raises(kind) as caught, translate_errors():
        raise error
    assert kind is type(caught.value)
    assert "secret" not in caught.value.message


async def test_a_statement_that_takes_too_long_is_unavailable(database_url: str) -> None:
    """The server's timeout is a server that does not answer in time."""
    database = await Database.open(database_url, PoolConfig(statement_timeout_s=0.1))
    with pytest.raises(StoreUnavailableError):
        async with database.read() as unit:
            await unit.connection.fetchval("SELECT pg_sleep(10)")
    await database.close()


async def test_a_schema_that_changes_under_a_transaction_is_unavailable(
    database: Database,
) -> None:
    """A migration beside a running gateway: the call may be repeated, and then works."""
    query = "SELECT * FROM schema_migrations"
    async with database.read() as unit:
        await unit.connection.fetch(query)

    async def work() -> None:
        async with database.transaction() as unit:
            await unit.connection.fetch(query)
            await unit.connection.execute("ALTER TABLE schema_migrations ADD x int")
            await unit.connection.fetch(query)

    with pytest.raises(StoreUnavailableError):
        await work()
    async with database.read() as unit:
        await unit.connection.fetch(query)
