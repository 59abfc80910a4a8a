"""Sealed records out of the database into a file, and from a file into a database."""

import os
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, TypeVar
from uuid import UUID

import msgspec

from gateway.adapters.postgres.connection import Connection, Row
from gateway.adapters.postgres.database import Database
from gateway.domain.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from gateway.domain.wallets import IMPORTED_INDEX
from gateway.maintenance.records_file import (
    VERSION,
    End,
    MasterLine,
    Start,
    WalletLine,
    encode,
    read_lines,
)

_CHUNK: Final = 2_000
_CONFLICTS_SHOWN: Final = 5
_SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_MASTERS: Final = """
SELECT * FROM master_wallets
WHERE ordinal > $1 AND ($2::uuid[] IS NULL OR id = ANY($2)) ORDER BY ordinal LIMIT $3
"""
_WALLETS: Final = """
SELECT * FROM wallet_details
WHERE ordinal > $1 AND ($2::uuid[] IS NULL OR master_wallet_id = ANY($2)) ORDER BY ordinal LIMIT $3
"""
_INSERT_MASTER: Final = """
INSERT INTO master_wallets (name, fingerprint, encrypted_mnemonic, key_group, created_at)
VALUES ($1, $2, $3, $4, coalesce($5::timestamptz, now()))
"""
# WITH ORDINALITY: the file's order becomes the order of pages.
_INSERT_WALLETS: Final = """
INSERT INTO wallets (address, derivation_index, encrypted_private_key, ownership_tag,
    master_wallet_id, key_group, name, tags, total_trades, total_volume_lamports, created_at,
    last_used_at)
SELECT r.address, nullif(r.derivation_index, -1), r.sealed_record, r.ownership_tag, m.id,
    r.key_group, r.name, r.tags, r.total_trades, r.total_volume_lamports,
    coalesce(r.created_at, now()), r.last_used_at
FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS (address text, derivation_index bigint,
    sealed_record text, ownership_tag text, master_fingerprint text, key_group text, name text,
    tags text[], total_trades bigint, total_volume_lamports numeric, created_at timestamptz,
    last_used_at timestamptz)) WITH ORDINALITY
    AS r(address, derivation_index, sealed_record, ownership_tag, master_fingerprint, key_group,
    name, tags, total_trades, total_volume_lamports, created_at, last_used_at, place)
LEFT JOIN master_wallets m ON m.fingerprint = r.master_fingerprint
ORDER BY r.place
"""
_COUNT_DERIVED: Final = """
UPDATE master_wallets m SET derived_count = derived_count + n.count
FROM unnest($1::text[], $2::bigint[]) AS n (fingerprint, count) WHERE m.fingerprint = n.fingerprint
"""
T = TypeVar("T")


@dataclass(slots=True)
class Imported:
    """What an import did: stored now, and found stored already, exactly the same."""

    masters_stored: int = 0
    wallets_stored: int = 0
    masters_unchanged: int = 0
    wallets_unchanged: int = 0
    conflicts: list[str] = field(default_factory=list)


async def export_records(database: Database, master_ids: Collection[UUID], out: BinaryIO) -> End:
    """Writes masters with their wallets, or, if none is named, all masters and all wallets.

    One snapshot of the database, whatever is derived meanwhile. Raises NotFoundError for an
    unknown master.
    """
    wanted = list(master_ids) or None
    masters = wallets = 0
    async with database.transaction() as unit:
        await unit.connection.execute(_SNAPSHOT)
        out.write(encode(Start(VERSION)))
        async for row in _rows(unit.connection, _MASTERS, wanted):
            out.write(encode(_master_line(row)))
            masters += 1
        if wanted is not None and masters != len(set(wanted)):
            raise NotFoundError("no such master wallet", reason="MASTER_WALLET_NOT_FOUND")
        async for row in _rows(unit.connection, _WALLETS, wanted):
            out.write(encode(_wallet_line(row)))
            wallets += 1
    end = End(masters, wallets)
    out.write(encode(end))
    return end


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Makes a file that only its owner reads; leaves none if the block fails.

    Raises FileExistsError.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


async def import_records(database: Database, raw_lines: Iterable[bytes]) -> Imported:
    """Stores what a file holds and the database has not; all of it, or nothing.

    What is stored already and the same stays as it is, so an import may be repeated. Raises
    InvalidArgumentError for a bad file, AlreadyExistsError if a stored record differs from the
    file's (sealed under another password or other keys, say): which one is right, only a person
    knows.
    """
    found = Imported()
    lines = read_lines(raw_lines)
    async with database.transaction() as unit:
        while chunk := list(islice(lines, _CHUNK)):
            masters = ((x.fingerprint, x) for x in chunk if isinstance(x, MasterLine))
            wallets = ((x.address, x) for x in chunk if isinstance(x, WalletLine))
            await _import_masters(unit.connection, _without_repeats(masters), found)
            await _import_wallets(unit.connection, _without_repeats(wallets), found)
        if found.conflicts:
            shown = ", ".join(found.conflicts[:_CONFLICTS_SHOWN])
            more = len(found.conflicts) - _CONFLICTS_SHOWN
            tail = f" and {more} more" if more > 0 else ""
            raise AlreadyExistsError(f"stored otherwise than in the file: {shown}{tail}")
    return found


async def _import_masters(
    connection: Connection, lines: dict[str, MasterLine], found: Imported
) -> None:
    rows = await connection.fetch(
        "SELECT fingerprint, encrypted_mnemonic FROM master_wallets "
        "WHERE fingerprint = ANY($1::text[]) ORDER BY ordinal FOR NO KEY UPDATE",
        list(lines),
    )
    stored = {row["fingerprint"]: row["encrypted_mnemonic"] for row in rows}
    for fingerprint, line in lines.items():
        if fingerprint not in stored:
            await connection.execute(
                _INSERT_MASTER,
                line.name,
                fingerprint,
                line.sealed_record,
                line.key_group,
                line.created_at,
            )
            found.masters_stored += 1
        elif stored[fingerprint] == line.sealed_record:
            found.masters_unchanged += 1
        else:
            found.conflicts.append(f"master {fingerprint}")


async def _import_wallets(
    connection: Connection, lines: dict[str, WalletLine], found: Imported
) -> None:
    await _lock_their_masters(connection, lines.values())
    rows = await connection.fetch(
        "SELECT * FROM wallet_details WHERE address = ANY($1::text[])", list(lines)
    )
    stored = {row["address"]: _identity(_wallet_line(row)) for row in rows}
    new: list[WalletLine] = []
    for address, line in lines.items():
        if address not in stored:
            new.append(line)
        elif stored[address] == _identity(line):
            found.wallets_unchanged += 1
        else:
            found.conflicts.append(f"wallet {address}")
    if not new:
        return
    await connection.execute(_INSERT_WALLETS, msgspec.json.encode(new).decode())
    counts: dict[str, int] = {}
    for line in new:
        counts[line.master_fingerprint] = counts.get(line.master_fingerprint, 0) + 1
    await connection.execute(_COUNT_DERIVED, list(counts), list(counts.values()))
    found.wallets_stored += len(new)


async def _lock_their_masters(connection: Connection, lines: Collection[WalletLine]) -> None:
    """Locks the masters as a derivation does. Raises InvalidArgumentError if one is missing, or of
    another key group than its wallets: one password opens all of a master, or nothing works.
    """
    groups = {
        line.master_fingerprint: line.key_group
        for line in lines
        if line.derivation_index != IMPORTED_INDEX
    }
    rows = await connection.fetch(
        "SELECT fingerprint, key_group FROM master_wallets "
        "WHERE fingerprint = ANY($1::text[]) ORDER BY ordinal FOR NO KEY UPDATE",
        list(groups),
    )
    stored = {row["fingerprint"]: row["key_group"] for row in rows}
    for line in lines:
        if line.derivation_index == IMPORTED_INDEX:
            continue
        if line.master_fingerprint not in stored:
            raise InvalidArgumentError(
                f"wallet {line.address}: its master stands neither before it nor in the database"
            )
        if stored[line.master_fingerprint] != line.key_group:
            raise AlreadyExistsError(
                f"wallet {line.address} is of another key group than master "
                f"{line.master_fingerprint}: the records are of different times"
            )


async def _rows(
    connection: Connection, query: str, wanted: list[UUID] | None
) -> AsyncIterator[Row]:
    after = 0
    while rows := await connection.fetch(query, after, wanted, _CHUNK):
        for row in rows:
            yield row
        after = rows[-1]["ordinal"]


def _without_repeats(lines: Iterable[tuple[str, T]]) -> dict[str, T]:
    named: dict[str, T] = {}
    for name, line in lines:
        if named.setdefault(name, line) != line:
            raise InvalidArgumentError(f"{name} stands in the file twice, differently")
    return named


def _identity(line: WalletLine) -> tuple[object, ...]:
    """What must be the same for two records to be one; names, tags and counters may differ."""
    return (
        line.master_fingerprint,
        line.derivation_index,
        line.sealed_record,
        line.ownership_tag,
        line.key_group,
    )


def _master_line(row: Row) -> MasterLine:
    return MasterLine(
        fingerprint=row["fingerprint"],
        sealed_record=row["encrypted_mnemonic"],
        key_group=row["key_group"],
        name=row["name"],
        created_at=row["created_at"],
    )


def _wallet_line(row: Row) -> WalletLine:
    return WalletLine(
        address=row["address"],
        sealed_record=row["encrypted_private_key"],
        key_group=row["key_group"],
        ownership_tag=row["ownership_tag"],
        master_fingerprint=row["fingerprint"],
        derivation_index=row["signer_index"],
        name=row["name"],
        tags=tuple(row["tags"]),
        total_trades=row["total_trades"],
        total_volume_lamports=int(row["total_volume_lamports"]),
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
    )
