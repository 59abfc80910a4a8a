"""Migrations: each once, in order, never altered."""

import asyncio
import shutil
from pathlib import Path

import asyncpg
import pytest

from gateway.adapters.postgres import check_applied, migrate
from gateway.adapters.postgres.migrate import MIGRATIONS_DIRECTORY, load_migrations
from gateway.domain.errors import GatewayError, PreconditionFailedError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the migrations."""
    copy = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS_DIRECTORY, copy)
    return copy


def alter(path: Path) -> None:
    """Changes a comment."""
    path.write_text(path.read_text() + "\n-- harmless\n")


async def test_migrations_are_applied_once(empty_database_url: str) -> None:
    """The first run applies all, the second none; before it the check names what is missing."""
    names = [migration.name for migration in load_migrations()]
    with pytest.raises(PreconditionFailedError) as caught:
        await check_applied(empty_database_url)
    assert caught.value.reason == "MIGRATIONS_PENDING"
    assert names[0] in str(caught.value)
    assert await migrate(empty_database_url) == names
    assert await migrate(empty_database_url) == []
    await check_applied(empty_database_url)


async def test_gateways_that_start_together_migrate_once(empty_database_url: str) -> None:
    """Of several at the same moment one applies, the others wait and find nothing to do."""
    applied = await asyncio.gather(*(migrate(empty_database_url) for _ in range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, len(load_migrations())]


async def test_altered_files_are_refused(database_url: str, directory: Path) -> None:
    """A file that was changed, or is gone, after it had been applied stops the gateway."""
    alter(directory / load_migrations()[0].name)
    for action in (migrate, check_applied):
        with pytest.raises(PreconditionFailedError) as caught:
            await action(database_url, directory)
        assert caught.value.reason == "MIGRATION_ALTERED"


async def test_a_database_that_is_ahead_is_refused(database_url: str, directory: Path) -> None:
    """A gateway older than its schema does not start."""
    (directory / load_migrations()[-1].name).unlink()
    with pytest.raises(PreconditionFailedError):
        await check_applied(database_url, directory)


async def test_a_script_that_fails_leaves_nothing(empty_database_url: str, directory: Path) -> None:
    """All pending files are one transaction."""
    number = len(load_migrations()) + 1
    (directory / f"{number:04}_broken.sql").write_text("CREATE TABLE x (); SELECT nonsense;")
    with pytest.raises(GatewayError, match="UndefinedColumnError"):
        await migrate(empty_database_url, directory)
    connection = await asyncpg.connect(empty_database_url)
    tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    assert tables == 0


_OLD_PLAN = """
INSERT INTO distributions (id, etag, source_wallet_id, source_address, total_amount, transfer_count,
    batch_count, split_kind, split_seed, transaction_version, compute_unit_price, opening_units,
    base_fee_lamports, priority_fee_lamports, rent_lamports, required_lamports, rent_floor_lamports,
    new_account_count, mint, token_program)
VALUES (gen_random_uuid(), 'e', gen_random_uuid(), 's', 3, 3, 1, 'even', '', 'legacy', 0, 600,
    5000, 0, 2976880, 2981880, 650240, 2, 'm', 'p');
INSERT INTO distribution_batches (distribution_id, position, first_transfer, transfer_count,
    total_amount) SELECT id, 0, 0, 3, 3 FROM distributions;
INSERT INTO transfers (distribution_id, position, batch_position, recipient_address, amount, steps)
SELECT id, n, 0, repeat(n::text, 32), 1, CASE n WHEN 1 THEN '[["Token",[],"",1]]'
    ELSE '[["ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL",[],"01",5],["Token",[],"",1]]' END
FROM distributions, generate_series(0, 2) AS n;
"""


async def test_plans_of_before_keep_what_they_reckon_with(
    empty_database_url: str, directory: Path
) -> None:
    """A plan that was frozen when all accounts cost the same has that as each transfer's rent."""
    for migration in load_migrations():
        if migration.name >= "0009":
            (directory / migration.name).unlink()
    await migrate(empty_database_url, directory)
    connection = await asyncpg.connect(empty_database_url)
    async with connection.transaction():
        await connection.execute(_OLD_PLAN)
    await migrate(empty_database_url)
    rents = await connection.fetch("SELECT rent_lamports FROM transfers ORDER BY position")
    each = await connection.fetchval("SELECT account_rent_lamports FROM distributions")
    await connection.close()
    assert [int(row["rent_lamports"]) for row in rents] == [1_488_440, 0, 1_488_440]
    assert each == 1_488_440


@pytest.mark.parametrize("name", ["9999_gap.sql", "notes.sql", "0001_double.sql"])
def test_file_names_are_in_sequence(directory: Path, name: str) -> None:
    """A gap, a repeated number or a name without one is refused."""
    (directory / name).write_text("SELECT 1;")
    with pytest.raises(PreconditionFailedError):
        load_migrations(directory)


async def test_an_ordinary_role_is_enough(empty_database_url: str) -> None:
    """The schema needs no superuser and no extension: a role that owns nothing else migrates."""
    connection = await asyncpg.connect(empty_database_url)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"CREATE ROLE {name}_owner LOGIN")
    await connection.execute(f"ALTER DATABASE {name} OWNER TO {name}_owner")
    await migrate(empty_database_url.replace("//postgres", f"//{name}_owner"))
    owner = await connection.fetchval("SELECT tableowner FROM pg_tables WHERE tablename='wallets'")
    extensions = await connection.fetch("SELECT extname FROM pg_extension")
    assert owner == f"{name}_owner"
    assert [row["extname"] for row in extensions] == ["plpgsql"]
    await connection.execute(f"ALTER DATABASE {name} OWNER TO postgres")
    await connection.execute(f"REASSIGN OWNED BY {name}_owner TO postgres")
    await connection.execute(f"DROP OWNED BY {name}_owner")
    await connection.execute(f"DROP ROLE {name}_owner")
    await connection.close()
