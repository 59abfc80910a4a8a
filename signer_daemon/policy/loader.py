"""Reads a policy file. Strict: an unknown key, a wrong type, a missing rule is fatal.

Each key has one reader in a table below: what the table does not name does not exist.
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from solders.pubkey import Pubkey

from signer_daemon.intent import programs
from signer_daemon.intent.instructions import ROLES, TABLES
from signer_daemon.policy.model import (
    ANY,
    IMPORTED,
    INDEX_MAX,
    UNLIMITED,
    Group,
    Policy,
    PolicyError,
)

FILE_BYTES_MAX = 1 << 20
# 6,960 lamports a byte, the dearest rent ever charged, for 128 + 200 bytes: an ATA with every
# extension that today's mints force on one. Rent has only fallen since.
ATA_RENT_LAMPORTS_MAX = 2_282_880

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_PROGRAMS = {name: address for address, name in programs.NAMES.items()}
_Reader = Callable[[Any], Any]


def load(path: str | os.PathLike[str]) -> Policy:
    """Reads the policy file at `path`. Raises PolicyError, also if there is no such file."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise PolicyError(f"the policy file cannot be read: {error.strerror}") from error
    return parse_policy(content)


def parse_policy(content: bytes) -> Policy:
    """Parses the bytes of a policy file. Raises PolicyError naming the key that is wrong."""
    if len(content) > FILE_BYTES_MAX:
        raise PolicyError(f"the policy file is longer than {FILE_BYTES_MAX} bytes")
    try:
        document = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"the policy file is not TOML: {error}") from error
    values = _read(document, _DOCUMENT_KEYS, {"version", "group"}, "policy")
    names = [group.name for group in values["group"]]
    if len(set(names)) != len(names):
        raise PolicyError("group: two groups have one name")
    return Policy(
        version=values["version"],
        digest=hashlib.sha256(content).hexdigest(),
        groups=values["group"],
        ata_rent_lamports_max=values.get("ata_rent_lamports_max", ATA_RENT_LAMPORTS_MAX),
        lookup_tables=values.get("lookup_table", {}),
    )


def _read(
    table: Any, keys: Mapping[str, _Reader], required: set[str], where: str
) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise PolicyError(f"{where}: a table is expected")
    if unknown := sorted(table.keys() - keys.keys()):
        raise PolicyError(f"{where}: unknown key {unknown[0][:64]!r}")
    if missing := sorted(required - table.keys()):
        raise PolicyError(f"{where}: the key {missing[0]!r} is missing")
    values = {}
    for key, value in table.items():
        try:
            values[key] = keys[key](value)
        except PolicyError as error:
            raise PolicyError(f"{where}: {key}: {error}") from None
    return values


def _integer(low: int, high: int) -> _Reader:
    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:  # a bool is an int to isinstance
            raise PolicyError(f"a whole number from {low} to {high} is expected")
        return value

    return read


def _choice(*choices: str) -> _Reader:
    def read(value: Any) -> str:
        if value not in choices or not isinstance(value, str):
            raise PolicyError(f"one of {', '.join(choices)} is expected")
        return value

    return read


def _set_of(reader: _Reader, *, empty: bool = True) -> _Reader:
    def read(value: Any) -> frozenset[str]:
        if not isinstance(value, list) or not (value or empty):
            raise PolicyError("a list is expected" + ("" if empty else ", not an empty one"))
        entries = [reader(entry) for entry in value]
        if len(set(entries)) != len(entries):
            raise PolicyError("an entry is listed twice")
        return frozenset(entries)

    return read


def _map_of(key_reader: _Reader, value_reader: _Reader) -> _Reader:
    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise PolicyError("a table is expected")
        return {key_reader(key): value_reader(entry) for key, entry in value.items()}

    return read


def _address(value: Any) -> str:
    try:
        pubkey = str(Pubkey.from_string(value))
    except (ValueError, TypeError):
        pubkey = ""
    if not isinstance(value, str) or pubkey != value:
        raise PolicyError("a base58 address of 32 bytes is expected")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise PolicyError("a name of a-z, 0-9, '_', '.', '-' is expected, 64 characters at most")
    return value


def _fingerprint(value: Any) -> str:
    if isinstance(value, str) and (value in {ANY, IMPORTED} or re.fullmatch("[0-9a-f]{32}", value)):
        return value
    raise PolicyError('"*", "imported" or 32 lower-case hex characters are expected')


def _program(value: Any) -> str:
    address = _PROGRAMS.get(value, value) if isinstance(value, str) else value
    if address not in TABLES if isinstance(address, str) else True:
        raise PolicyError(
            f"one of {', '.join(_PROGRAMS)}, or its address, is expected; a program that the"
            " signer does not decode belongs under trusted_programs"
        )
    return str(address)


def _foreign_program(value: Any) -> str:
    if _address(value) in TABLES:
        raise PolicyError("a program that the signer decodes belongs under programs")
    return str(value)


def _role(value: Any) -> str:
    if not isinstance(value, str) or value not in ROLES:
        raise PolicyError("a role such as system/transfer is expected; docs/policy.md lists them")
    return value


def _mint(value: Any) -> str:
    return ANY if value == ANY else _address(value)


def _token_cap(value: Any) -> int:
    return UNLIMITED if value == "unlimited" else int(_amount(value))


def _destinations(value: Any) -> str | frozenset[str]:
    if isinstance(value, str):
        return str(_choice("vault", "any")(value))
    return frozenset(_set_of(_address, empty=False)(value))


def _sha256(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise PolicyError("64 lower-case hex characters are expected")
    return value


def _groups(value: Any) -> tuple[Group, ...]:
    if not isinstance(value, list) or not value:
        raise PolicyError("at least one [[group]] is expected")
    return tuple(_group(table, place) for place, table in enumerate(value, start=1))


def _group(table: Any, place: int) -> Group:
    values = _read(table, _GROUP_KEYS, _GROUP_REQUIRED, f"number {place}")
    group = Group(**values)
    if group.index_first > group.index_last:
        raise PolicyError(f"number {place}: index_first is above index_last")
    named = {role.partition("/")[0] for role in group.instructions_allow}
    if absent := sorted(name for name in named if _PROGRAMS[name] not in group.programs):
        raise PolicyError(
            f"number {place}: instructions_allow: {absent[0]} is not among the group's programs"
        )
    return group


_amount = _integer(0, UNLIMITED)
_GROUP_REQUIRED = {
    "name",
    "master_fingerprints",
    "programs",
    "lamports_per_transaction_max",
    "destinations",
}
_GROUP_KEYS: dict[str, _Reader] = {
    "name": _name,
    "master_fingerprints": _set_of(_fingerprint, empty=False),
    "index_first": _integer(0, INDEX_MAX),
    "index_last": _integer(0, INDEX_MAX),
    "signatures_per_minute": _integer(0, 1_000_000),
    "programs": _set_of(_program),
    "instructions_allow": _set_of(_role),
    "instructions_deny": _set_of(_role),
    "lamports_per_transaction_max": _amount,
    "lamports_per_day_max": _amount,
    "group_lamports_per_day_max": _amount,
    "priority_fee_lamports_max": _amount,
    "tokens_per_transaction_max": _map_of(_mint, _token_cap),
    "tokens_per_day_max": _map_of(_mint, _token_cap),
    "group_tokens_per_day_max": _map_of(_mint, _token_cap),
    "destinations": _destinations,
    "destinations_deny": _set_of(_address),
    "close_refunds": _choice("self", "destinations"),
    "trusted_programs": _map_of(_foreign_program, _amount),
    "message_signing": _choice("off", "off-chain", "raw"),
}
_DOCUMENT_KEYS: dict[str, _Reader] = {
    "version": _integer(1, INDEX_MAX),
    "group": _groups,
    "ata_rent_lamports_max": _amount,
    "lookup_table": _map_of(_address, _sha256),
}
