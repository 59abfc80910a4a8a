"""The gateway's copy of the audit log: complete, searchable, made by many, and not fooled."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from gateway.adapters.postgres import Database
from gateway.adapters.postgres.audit import PostgresAuditMirror
from gateway.adapters.signer.audit import parse
from gateway.domain.errors import PreconditionFailedError, SignerUnavailableError
from tests.maintenance.house import House
from tests.maintenance.test_rotation import change_secrets, forget_old_secrets
from tests.support.processes import GatewayProcess
from tests.support.svm_rpc import SvmRpc


def copied(house: House) -> list[tuple[str, str]]:
    """The copy, in the log's order: records and MACs."""

    async def read() -> list[tuple[str, str]]:
        connection = await asyncpg.connect(house.gateway.files.settings["postgres"]["url"])
        try:
            rows = await connection.fetch("SELECT record, mac FROM audit_events ORDER BY seq")
            return [(row["record"], row["mac"]) for row in rows]
        finally:
            await connection.close()

    return asyncio.run(read())


def logged(house: House) -> list[tuple[str, str]]:
    """The log itself, closed segments and all."""
    files = [*sorted(house.signer.state.glob("audit-*.log")), house.signer.audit_log]
    lines = [line for file in files for line in file.read_text().splitlines()]
    return [(text, mac) for text, _, mac in (line.rpartition("\t") for line in lines)]


def until(ready: Callable[[], bool], timeout_s: float = 30) -> None:
    """Wait for what another process is about to do."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_the_copy_follows_the_log_across_restarts_and_segments(house: House) -> None:
    """Record for record and MAC for MAC, through a restart of the gateway, one of the signer and a
    change of its secrets.
    """
    house.run("master", "create", "--words", "12")
    until(lambda: copied(house) == logged(house))
    house.gateway.stop()
    house.run("admin", "generate-mnemonic", "--out", str(house.signer.home / "m1"))
    change_secrets(house)
    house.gateway.start()
    until(lambda: copied(house) == logged(house))
    forget_old_secrets(house)
    house.run("admin", "generate-mnemonic", "--out", str(house.signer.home / "m2"))
    until(lambda: copied(house) == logged(house))
    assert 2 == len([1 for text, _ in copied(house) if '"generate_mnemonic"' in text])


def test_events_are_listed_by_address_kind_and_time(house: House) -> None:
    """`audit list` gives the newest first, through pages, and what every filter asks for."""
    master = house.run("master", "create", "--words", "12")
    house.run("wallet", "derive", master["id"], "--count", "2")
    first, second = (wallet["address"] for wallet in house.run("wallet", "list"))
    for address in (first, second, first):
        message = house.signer.home / "message"
        message.write_text("hello")
        house.run("sign", "message", str(message), "--wallet", address)
    until(lambda: copied(house) == logged(house))
    events = house.run("audit", "list", "--limit", "1000")
    assert list(reversed(range(len(events)))) == [event["sequence"] for event in events]
    signed = house.run("audit", "list", "--event", "sign_message", "--address", first)
    assert [first, first] == [event["address"] for event in signed]
    assert 1 == len(house.run("audit", "list", "--limit", "1"))
    at = signed[0]["time"]
    after = house.run("audit", "list", "--from", at)
    before = house.run("audit", "list", "--before", at, "--limit", "1000")
    assert len(events) == len(after) + len(before)


def test_a_log_put_back_is_not_covered_up(house: House) -> None:
    """A signer whose log was replaced by an older copy of itself, head and all, is told apart by
    what the gateway has copied; the copy stays as it was.
    """
    files = [house.signer.audit_log, house.signer.state / "audit.log.head"]
    house.signer.stop()
    older = [file.read_bytes() for file in files]
    house.signer.start()
    house.run("master", "create", "--words", "12")
    until(lambda: copied(house) == logged(house))
    kept = copied(house)
    house.signer.stop()
    for file, content in zip(files, older, strict=True):
        file.write_bytes(content)
    house.signer.start()
    until(lambda: "not the one that was copied" in house.gateway.log_text())
    assert kept == copied(house)


async def test_several_gateways_store_the_same_records_once(database_url: str) -> None:
    """Whoever comes second stores nothing twice; who brings another record is refused."""
    lines = [f'{{"event":"e","seq":{seq},"time_ms":5}}\t{seq:064x}' for seq in range(600)]
    records = [parse(line) for line in lines]
    database = await Database.open(database_url)
    mirror = PostgresAuditMirror(database)
    try:
        await asyncio.gather(*(mirror.store("chain", records) for _ in range(4)))
        found = await mirror.find(records[0])
        assert found is not None
        assert (599, records[-1].mac) == (found.sequence, found.mac)
        forged = parse(f'{{"event":"e","seq":7,"time_ms":5}}\t{os.urandom(32).hex()}')
        with pytest.raises(PreconditionFailedError, match="record 7"):
            await mirror.store("chain", [forged])
    finally:
        await database.close()


@pytest.mark.parametrize("line", ["", "{}", "{}\tff", "x\t" + "0" * 64, '{"seq":1}\t' + "0" * 64])
def test_what_is_no_record_is_no_crash(line: str) -> None:
    """A signer's nonsense is an error of the signer's."""
    with pytest.raises(SignerUnavailableError):
        parse(line)


def test_two_gateways_on_one_database_make_one_copy(
    house: House, short_dir: Path, svm_rpc: SvmRpc
) -> None:
    """Both follow the signer at once, one is killed, and every record is there exactly once."""
    other = GatewayProcess(
        short_dir,
        signer_socket=house.signer.socket,
        database_url=house.gateway.files.settings["postgres"]["url"],
        rpc_url=svm_rpc.url,
    )
    try:
        other.start()
        house.run("master", "create", "--words", "12")
        until(lambda: copied(house) == logged(house))
        other.kill()
        house.run("master", "create", "--words", "12")
        until(lambda: copied(house) == logged(house))
    finally:
        other.close()
