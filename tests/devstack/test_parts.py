"""PostgreSQL and the local chain start fast, keep what they should, and stop without a trace."""

import importlib.util
from pathlib import Path

import asyncpg
import psutil
import pytest

from solward_client.devstack import node, surfpool
from solward_client.devstack.errors import ToolMissingError
from solward_client.devstack.postgres import EmbeddedPostgres, PostgresPaths
from solward_client.devstack.surfpool import ChainOptions, Surfpool


async def test_postgres_keeps_its_data_and_leaves_no_socket(short_dir: Path) -> None:
    """A table made before a stop is there after the next start; in between nothing is left."""
    paths = PostgresPaths(short_dir / "data", short_dir / "run", short_dir / "log")
    with EmbeddedPostgres(paths, durable=False) as server:
        connection = await asyncpg.connect(server.url())
        await connection.execute("CREATE TABLE kept (n int)")
        await connection.close()
    assert [] == list(paths.socket_dir.iterdir())
    with EmbeddedPostgres(paths, durable=False) as server:
        connection = await asyncpg.connect(server.url())
        assert 0 == await connection.fetchval("SELECT count(*) FROM kept")
        await connection.close()


async def test_postgres_recovers_from_a_kill(short_dir: Path) -> None:
    """After SIGKILL the same directory starts again, with what was committed."""
    paths = PostgresPaths(short_dir / "data", short_dir / "run", short_dir / "log")
    with EmbeddedPostgres(paths) as server:
        connection = await asyncpg.connect(server.url())
        await connection.execute("CREATE TABLE kept (n int)")
        workers = psutil.Process(server.process.pid).children()
        server.process.kill()
        connection.terminate()
        psutil.wait_procs(workers, timeout=10)
    with EmbeddedPostgres(paths) as server:
        connection = await asyncpg.connect(server.url())
        assert 0 == await connection.fetchval("SELECT count(*) FROM kept")
        await connection.close()


def test_the_chain_ends_when_its_stdin_closes(tmp_path: Path) -> None:
    """A parent that goes away without a signal takes the chain with it."""
    chain = Surfpool(tmp_path / "log", ChainOptions(slot_time_ms=50, rent_lamports_per_byte=3480))
    assert chain.process._child.stdin is not None
    chain.process._child.stdin.close()
    assert 0 == chain.process._child.wait(10)
    chain.stop()


def test_missing_parts_say_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Node, its packages or PostgreSQL the message names `make install`."""
    monkeypatch.setattr(node, "find_node", lambda: None)
    with pytest.raises(ToolMissingError, match="make install"):
        node.require_node()
    monkeypatch.setattr(surfpool, "_ADD_ON", tmp_path / "absent")
    with pytest.raises(ToolMissingError, match="make install"):
        Surfpool(tmp_path / "log")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ToolMissingError, match="make install"):
        EmbeddedPostgres(PostgresPaths(tmp_path / "data", tmp_path / "run", tmp_path / "log"))


@pytest.mark.parametrize(
    ("version", "usable"), [("v20.20.2", True), ("v18.0.0", True), ("v16.9.9", False), ("", False)]
)
def test_an_old_node_is_not_used(
    version: str, usable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's Node.js counts from version 18 on."""
    for name in ("node", "npm"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {version}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    found = node._system_node()
    assert usable == (found is not None)
