"""The shared fixtures give what they promise."""

import shutil
from pathlib import Path

import asyncpg
import httpx
import pytest
from solders.keypair import Keypair

from solward_client.devstack.servers import (
    ALLOCATOR_RECIPE,
    SignerFiles,
    SignerServer,
    base_environment,
)
from solward_client.devstack.stack import POLICY
from solward_client.devstack.surfpool import Surfpool
from tests.support.databases import Databases
from tests.support.processes import SignerProcess


async def test_a_migrated_database_is_fresh_for_each_test(
    database_url: str, databases: Databases
) -> None:
    """Two databases from the template have the tables and none of each other's rows."""
    other = databases.create(databases.template("migrated", _must_exist))
    counts = []
    for url in (database_url, databases.server.url(other)):
        connection = await asyncpg.connect(url)
        counts.append(await connection.fetchval("SELECT count(*) FROM wallets"))
        await connection.execute("CREATE TABLE mark ()")
        await connection.close()
    databases.drop(other)
    assert [0, 0] == counts


async def _must_exist(url: str) -> None:
    raise AssertionError("the template exists already")


async def test_an_empty_database_has_no_tables(empty_database_url: str) -> None:
    """Nothing has been migrated."""
    connection = await asyncpg.connect(empty_database_url)
    count = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    assert 0 == count


def test_surfpool_charges_todays_rent(short_dir: Path) -> None:
    """The local chain asks 5,080 lamports a byte, and its faucet works."""
    with Surfpool(short_dir / "surfpool.log") as chain:

        def call(method: str, *params: object) -> object:
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            return httpx.post(chain.rpc_url, json=request, timeout=30).json()["result"]

        assert 650_240 == call("getMinimumBalanceForRentExemption", 0)
        address = str(Keypair().pubkey())
        call("requestAirdrop", address, 10**9)
        balance = call("getBalance", address, {"commitment": "processed"})
    assert isinstance(balance, dict)
    assert 10**9 == balance["value"]


def test_a_signer_restarts_on_its_files_and_stops_in_order(signer_process: SignerProcess) -> None:
    """After a kill it starts again on the same sockets; after a stop no socket is left."""
    first = signer_process.pid
    signer_process.kill()
    signer_process.start()
    assert first != signer_process.pid
    assert (0, False, False) == (
        signer_process.stop(),
        signer_process.socket.exists(),
        signer_process.admin_socket.exists(),
    )


def test_a_signer_has_the_allocator_recipe_and_nothing_of_our_environment(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the development stack starts has an environment built from nothing: the recipe, and
    secrets that it wiped at once.
    """
    monkeypatch.setenv("SOMETHING_OF_OURS", "1")
    (short_dir / "policy").mkdir()
    policy = Path(shutil.copy(POLICY, short_dir / "policy" / "policy.toml"))
    files = SignerFiles(
        config=short_dir / "signer.toml",
        log=short_dir / "signer.log",
        state_dir=short_dir / "state",
        socket_dir=short_dir / "s",
        admin_socket_dir=short_dir / "a",
        policy_file=policy,
        variables={"ENCRYPTION_KEY": "5e" * 32, "MASTER_PASSWORD": "a" * 32},
    )
    signer = SignerServer(files)
    try:
        raw = Path(f"/proc/{signer.process.pid}/environ").read_bytes()
    finally:
        signer.process.kill()
    # glibc cuts the tunables apart where they stand.
    for name, value in ALLOCATOR_RECIPE.items():
        assert f"{name}={value}".replace(":", "\0").encode() in raw
    found = dict(entry.split(b"=", 1) for entry in raw.split(b"\0") if b"=" in entry)
    assert (b"", b"") == (found.pop(b"ENCRYPTION_KEY"), found.pop(b"MASTER_PASSWORD"))
    expected = {*base_environment(), *ALLOCATOR_RECIPE, "glibc.malloc.tcache_count"}
    assert expected == {name.decode() for name in found}
