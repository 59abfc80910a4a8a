"""`solward admin export-*`, `import-vault`: secrets out of the signer, and vaults back into one.

Sealed records come from the database by `python -m gateway --config FILE records export`, and go
there by `records import`: the signer keeps none, the operator's sockets reach no database.
"""

import argparse
import json
import sys
from pathlib import Path

from solward_client.cli.commands import Group
from solward_client.cli.context import Context, private_file
from solward_client.cli.inputs import (
    UsageError,
    read_bytes,
    read_text,
    refuse_shared_stdin,
    secret,
)
from solward_client.records import Records, RecordsFileError, decode, encode


def add(group: Group) -> None:
    """Add the commands to `solward admin`."""
    mnemonic = group.command("export-mnemonic", _mnemonic, "take a master's mnemonic out")
    mnemonic.add_argument("fingerprint", metavar="FINGERPRINT", help="of the master")
    key = group.command("export-key", _key, "take a wallet's private key out")
    key.add_argument("address", metavar="ADDRESS", help="of the wallet")
    for command in (mnemonic, key):
        where = command.add_mutually_exclusive_group(required=True)
        where.add_argument("--out", metavar="FILE", help="a new file that only you can read")
        where.add_argument("--show", action="store_true", help="on this terminal")
    vault = group.command("export-vault", _export, "write masters and wallets as an archive")
    vault.add_argument("--out", required=True, metavar="ARCHIVE", help="a new file")
    vault.add_argument(
        "--master", action="append", metavar="FINGERPRINT", help="only this one; may be repeated"
    )
    for command in (mnemonic, key, vault):
        command.add_argument(
            "--records", required=True, metavar="FILE", help="of `records export`; - for stdin"
        )
    restore = group.command("import-vault", _import, "seal an archive's content for this signer")
    restore.add_argument("archive", metavar="ARCHIVE")
    records_out(restore, required=True)
    for command in (vault, restore):
        command.add_argument(
            "--archive-password-file", metavar="FILE", help="- for stdin; default: ask"
        )


def records_out(command: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the option that names the file for the gateway's `records import`."""
    command.add_argument(
        "--records-out", required=required, metavar="FILE", help="a new file for `records import`"
    )


def write_records(path: str, records: Records, key_group: str) -> None:
    """Write a new records file. Raises UsageError if it exists."""
    with private_file(path) as file:
        for line in encode(records.masters, records.wallets, key_group):
            file.write(line.encode())


def _mnemonic(context: Context) -> int:
    options = context.options
    _require_place(context)
    records = _read(context)
    (master,) = _chosen(records, [options.fingerprint]).masters
    with context.admin() as admin:
        mnemonic, passphrase = admin.exports.mnemonic(master, context.password())
    # The passphrase on a line of its own: without it the words give other keys.
    _release(context, f"{mnemonic}\n{passphrase}\n" if passphrase else f"{mnemonic}\n")
    if passphrase:
        context.output.note("the second line is its BIP39 passphrase")
    return 0


def _key(context: Context) -> int:
    _require_place(context)
    address = context.options.address
    found = [wallet for wallet in _read(context).wallets if wallet.address == address]
    if not found:
        raise UsageError(f"{address} is not in the records")
    with context.admin() as admin:
        pair = admin.exports.private_key(found[0], context.password())
    _release(context, json.dumps(list(pair)) + "\n")  # as solana-keygen writes it
    return 0


def _export(context: Context) -> int:
    options = context.options
    refuse_shared_stdin(options.password_file, options.records, options.archive_password_file)
    records = _read(context)
    if options.master:
        records = _chosen(records, options.master)
    password = context.password()
    archive_password = secret(options.archive_password_file, "Archive's password", confirm=True)
    size = 0
    with context.admin() as admin, private_file(options.out) as file:
        for chunk in admin.exports.vault(records, password, archive_password):
            size += file.write(chunk)
    context.output.values(
        {
            "archive": options.out,
            "bytes": size,
            "masters": len(records.masters),
            "wallets": len(records.wallets),
        }
    )
    return 0


def _import(context: Context) -> int:
    options = context.options
    refuse_shared_stdin(options.password_file, options.archive, options.archive_password_file)
    archive = read_bytes(options.archive)
    archive_password = secret(options.archive_password_file, "Archive's password")
    password = context.password(confirm=True)
    with context.admin() as admin:
        records, key_group = admin.exports.import_vault(archive, archive_password, password)
    write_records(options.records_out, records, key_group)
    context.output.values(
        {
            "records": options.records_out,
            "masters": len(records.masters),
            "wallets": len(records.wallets),
            "key_group": key_group,
        }
    )
    context.output.note(
        f"now: python -m gateway --config FILE records import {options.records_out}"
    )
    return 0


def _read(context: Context) -> Records:
    path = context.options.records
    refuse_shared_stdin(context.options.password_file, path)
    try:
        return decode(read_text(path).splitlines())
    except RecordsFileError as error:
        raise UsageError(f"{path}: {error}") from None


def _chosen(records: Records, fingerprints: list[str]) -> Records:
    try:
        return records.of_masters(fingerprints)
    except KeyError as error:
        raise UsageError(f"master {error.args[0]} is not in the records") from None


def _require_place(context: Context) -> None:
    """Refuse before the signer is asked: its log would say that the secret had left."""
    out = context.options.out
    if out is not None and Path(out).exists():
        raise UsageError(f"{out}: File exists")
    if context.options.show and (context.output.as_json or not sys.stdout.isatty()):
        raise UsageError("--show is for a terminal; give --out FILE")


def _release(context: Context, text: str) -> None:
    if context.options.show:
        context.output.line(text.removesuffix("\n"))
        return
    with private_file(context.options.out) as file:
        file.write(text.encode())
    context.output.values({"written": context.options.out})
