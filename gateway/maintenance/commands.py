"""`records export` and `records import` as commands of `python -m gateway`."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import msgspec

from gateway.adapters.postgres import Database, check_applied
from gateway.config import Config
from gateway.maintenance.records import export_records, import_records, new_file

_STANDARD = "-"


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the commands to the gateway's parser."""
    group = commands.add_parser("records", help="sealed records out of the database, and into it")
    records = group.add_subparsers(dest="records_command", metavar="COMMAND", required=True)
    export = records.add_parser("export", help="write sealed records to a file, JSON lines")
    export.add_argument(
        "--master", nargs="+", default=[], type=UUID, metavar="ID", help="only these, with wallets"
    )
    export.add_argument("--out", default=_STANDARD, metavar="FILE", help="a new file, 0600")
    imported = records.add_parser("import", help="store what a file holds: all of it or nothing")
    imported.add_argument("file", metavar="FILE", help="- for stdin")


async def run(options: argparse.Namespace, config: Config) -> None:
    """Runs one. Raises GatewayError, OSError."""
    await check_applied(config.postgres.url)
    database = await Database.open(config.postgres.url)
    try:
        if options.records_command == "import":
            with _opened(options.file) as lines:
                found = asdict(await import_records(database, lines))
            del found["conflicts"]
            _say(sys.stdout, found)
        elif options.out == _STANDARD:
            end = await export_records(database, options.master, sys.stdout.buffer)
            sys.stdout.flush()
            _say(sys.stderr, {"exported": msgspec.to_builtins(end)})
        else:
            with new_file(Path(options.out)) as out:
                end = await export_records(database, options.master, out)
            _say(sys.stdout, {"exported": msgspec.to_builtins(end)})
    finally:
        await database.close()


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == _STANDARD:
        yield sys.stdin.buffer
        return
    with Path(name).open("rb") as file:
        yield file


def _say(where: Any, facts: dict[str, Any]) -> None:
    where.write(json.dumps(facts) + "\n")
    where.flush()
