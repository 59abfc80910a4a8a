"""Sealed records as a file: what is read, what is refused, and that it is all or nothing."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.postgres import Database
from gateway.domain.errors import GatewayError, InvalidArgumentError, NotFoundError
from gateway.domain.requests import require_uuid
from gateway.maintenance.records import Imported, export_records, import_records
from gateway.maintenance.records_file import read_lines
from solward.signer.v1 import records_pb2
from solward_client.records import RecordsFileError, decode, encode
from tests.maintenance.house import House

GROUP = "scrypt$14,8,1$0badcafe$AAAAAAAAAAAAAAAAAAAAAA"


def line(**values: Any) -> bytes:
    """One line."""
    return json.dumps(values).encode() + b"\n"


START = line(type="solward-records", version=1)
END = line(type="end", masters=0, wallets=0)


async def imported(url: str, lines: list[bytes]) -> Imported:
    """Import lines into a database."""
    database = await Database.open(url)
    try:
        return await import_records(database, lines)
    finally:
        await database.close()


async def exported(url: str, *masters: str) -> list[bytes]:
    """Export everything, or some masters with their wallets."""
    database = await Database.open(url)
    out = io.BytesIO()
    try:
        await export_records(database, [require_uuid(m, "master") for m in masters], out)
    finally:
        await database.close()
    return out.getvalue().splitlines(keepends=True)


def database_of(house: House) -> str:
    """The house's database."""
    url: str = house.gateway.files.settings["postgres"]["url"]
    return url


@pytest.fixture
def filled(house: House) -> tuple[House, list[Any]]:
    """A house with two masters of three wallets each."""
    masters = [house.run("master", "create") for _ in range(2)]
    for master in masters:
        house.run("wallet", "derive", master["id"], "--count", "3", "--tag", "a b")
    return house, masters


def test_an_export_comes_back_the_same(filled: tuple[House, list[Any]], database_url: str) -> None:
    """What is exported, imported into an empty database and exported there is the same file:
    records, order, names, tags and times. To import it again changes nothing.
    """
    house, _ = filled
    first = asyncio.run(exported(database_of(house)))
    assert Imported(2, 6) == asyncio.run(imported(database_url, first))
    assert Imported(0, 0, 2, 6) == asyncio.run(imported(database_url, first))
    assert first == asyncio.run(exported(database_url))


def test_one_master_is_exported_with_its_wallets_alone(filled: tuple[House, list[Any]]) -> None:
    """`--master ID` leaves the others out; an unknown one is refused."""
    house, (_, second) = filled
    lines = [json.loads(each) for each in asyncio.run(exported(database_of(house), second["id"]))]
    assert {"type": "end", "masters": 1, "wallets": 3} == lines[-1]
    assert {second["fingerprint"]} == {each["master_fingerprint"] for each in lines[2:-1]}
    unknown = "00000000-0000-4000-8000-000000000000"
    with pytest.raises(NotFoundError):
        asyncio.run(exported(database_of(house), unknown))


@pytest.mark.parametrize("damage", ["cut", "conflict", "orphan", "other group", "counted wrong"])
def test_a_file_is_stored_whole_or_not_at_all(
    damage: str, filled: tuple[House, list[Any]], database_url: str
) -> None:
    """A cut file, a record stored otherwise, a wallet without its master, records of different
    times: each is refused and leaves the database as it was.
    """
    house, masters = filled
    lines = asyncio.run(exported(database_of(house)))
    before = asyncio.run(exported(database_url))
    if damage == "cut":
        lines.pop()
    elif damage == "conflict":
        asyncio.run(imported(database_url, lines))
        before = asyncio.run(exported(database_url))
        _rotate(house, masters[0])
        lines = asyncio.run(exported(database_of(house)))
    elif damage == "orphan":
        del lines[1]
        lines[-1] = line(type="end", masters=1, wallets=6)
    elif damage == "other group":
        _rotate(house, masters[0])
        newer = asyncio.run(exported(database_of(house)))
        lines = [lines[0], newer[1], *lines[2:]]
    else:
        lines[-1] = line(type="end", masters=2, wallets=7)
    with pytest.raises(GatewayError):
        asyncio.run(imported(database_url, lines))
    assert before == asyncio.run(exported(database_url))


def _rotate(house: House, master: Any) -> None:
    new = house.signer.home / "new-password"
    new.write_text("another horse battery")
    house.run("master", "rotate-password", master["id"], "--new-password-file", str(new))


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [START],
        [END],
        [START, END, END],
        [START, START, END],
        [line(type="solward-records", version=2), END],
        [START, line(type="wallet"), END],
        [START, line(type="end", masters=0, wallets=0, surplus=1)],
        [START, b"{" * 100_000, END],
        [START, line(type="master", fingerprint="0" * 31, sealed_record="x", key_group="y"), END],
    ],
)
def test_what_is_no_records_file_is_refused(lines: list[bytes]) -> None:
    """Missing or surplus lines, another version, unknown fields and bad values name their line."""
    with pytest.raises(InvalidArgumentError, match="line"):
        list(read_lines(lines))


@given(st.lists(st.binary(max_size=80), max_size=4))
def test_any_bytes_are_records_or_refused(lines: list[bytes]) -> None:
    """The reader raises its own errors and no others, whatever it is given."""
    for each in (lines, [START, *lines], [START, *lines, END]):
        with pytest.raises(InvalidArgumentError):
            list(read_lines([*each, b"x"]))


@given(st.lists(st.text(max_size=40), max_size=4))
def test_any_text_is_records_or_refused_by_the_client(lines: list[str]) -> None:
    """The client's reader too."""
    with pytest.raises(RecordsFileError):
        decode([START.decode(), *lines, "x"])


def test_client_and_gateway_agree_on_the_format(tmp_path: Path) -> None:
    """What the client writes, the gateway's reader takes, and the client reads back the same."""
    record = f"{GROUP}$AAAAAAAAAAAAAAAA$AAAA"
    master = records_pb2.MasterRecord(
        master_fingerprint="0" * 32, sealed_record=f"solward1$mnemonic${record}"
    )
    wallet = records_pb2.WalletRecord(
        address="1" * 32,
        master_fingerprint="0" * 32,
        derivation_index=7,
        sealed_record=f"solward1$wallet${record}",
        ownership_tag="t1.0badcafe.AAAA",
    )
    text = list(encode([master], [wallet], _key_group()))
    found = list(read_lines([each.encode() for each in text]))
    assert ["MasterLine", "WalletLine"] == [type(each).__name__ for each in found]
    again = decode(text)
    assert ([master], [wallet]) == (again.masters, again.wallets)


def _key_group() -> str:
    from signer_daemon.vault.records import KeyGroup  # noqa: PLC0415 - the one who names groups

    return KeyGroup(14, "0badcafe", bytes(16)).name
