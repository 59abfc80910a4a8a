"""The policy's JSON schema for editors, made of the loader's own tables and of docs/policy.md.

`python -m tests.policy.schema` writes docs/policy.schema.json; a test keeps it up to date.
"""

import json
import re
from pathlib import Path
from typing import Any

from signer_daemon.intent import programs
from signer_daemon.intent.instructions import ROLES
from signer_daemon.policy.model import INDEX_MAX, UNLIMITED

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = DOCS / "policy.schema.json"
Schema = dict[str, Any]

_ADDRESS: Schema = {"type": "string", "pattern": "^[1-9A-HJ-NP-Za-km-z]{32,44}$"}
_AMOUNT: Schema = {"type": "integer", "minimum": 0, "maximum": UNLIMITED}
_INDEX: Schema = {"type": "integer", "minimum": 0, "maximum": INDEX_MAX}
_MINT: Schema = {"pattern": r"^(\*|[1-9A-HJ-NP-Za-km-z]{32,44})$"}
_TOKEN_CAPS: Schema = {
    "type": "object",
    "propertyNames": _MINT,
    "additionalProperties": {"anyOf": [_AMOUNT, {"const": "unlimited"}]},
}


def _set_of(items: Schema, *, at_least: int = 0) -> Schema:
    return {"type": "array", "items": items, "uniqueItems": True, "minItems": at_least}


def _map_of(value: Schema) -> Schema:
    names = {"pattern": _ADDRESS["pattern"]}
    return {"type": "object", "propertyNames": names, "additionalProperties": value}


def _table(properties: Schema, required: list[str]) -> Schema:
    texts = descriptions()
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": {key: {"description": texts[key], **properties[key]} for key in properties},
    }


_ROLES = _set_of({"enum": sorted(ROLES)})
_GROUP: Schema = {
    "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]{0,63}$"},
    "master_fingerprints": _set_of(
        {"type": "string", "pattern": r"^(\*|imported|[0-9a-f]{32})$"}, at_least=1
    ),
    "index_first": {**_INDEX, "default": 0},
    "index_last": {**_INDEX, "default": INDEX_MAX},
    "signatures_per_minute": {
        "type": "integer",
        "minimum": 0,
        "maximum": 1_000_000,
        "default": 100,
    },
    "programs": _set_of({"enum": [*programs.NAMES.values(), *programs.NAMES]}),
    "instructions_allow": _ROLES,
    "instructions_deny": _ROLES,
    "lamports_per_transaction_max": _AMOUNT,
    "lamports_per_day_max": _AMOUNT,
    "group_lamports_per_day_max": _AMOUNT,
    "priority_fee_lamports_max": _AMOUNT,
    "tokens_per_transaction_max": _TOKEN_CAPS,
    "tokens_per_day_max": _TOKEN_CAPS,
    "group_tokens_per_day_max": _TOKEN_CAPS,
    "destinations": {"anyOf": [{"enum": ["vault", "any"]}, _set_of(_ADDRESS, at_least=1)]},
    "destinations_deny": _set_of(_ADDRESS),
    "close_refunds": {"enum": ["self", "destinations"], "default": "self"},
    "trusted_programs": _map_of(_AMOUNT),
    "message_signing": {"enum": ["off", "off-chain", "raw"], "default": "off"},
}
_GROUP_REQUIRED = [
    *("name", "master_fingerprints", "programs", "lamports_per_transaction_max", "destinations"),
]


def schema() -> Schema:
    """Build it."""
    group = _table(_GROUP, _GROUP_REQUIRED)
    document = {
        "version": {"type": "integer", "minimum": 1, "maximum": INDEX_MAX},
        "ata_rent_lamports_max": _AMOUNT,
        "lookup_table": _map_of({"type": "string", "pattern": "^[0-9a-f]{64}$"}),
        "group": {"type": "array", "minItems": 1, "items": group},
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Solward signing policy",
        "description": "See policy.md. `solward policy check` has the last word.",
        **_table(document, ["version", "group"]),
    }


def descriptions() -> dict[str, str]:
    """Gives what docs/policy.md says about each key, as plain text."""
    texts = {}
    for line in (DOCS / "policy.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| `") or len(cells) < 2:
            continue
        for key in re.findall(r"`\[*(?:group\.)?(\w+)\]*`", cells[0]):
            texts[key] = cells[1].replace("**", "").replace("`", "").replace('\\"', '"')
    return texts


def main() -> None:
    """Write the file."""
    SCHEMA.write_text(json.dumps(schema(), indent=2) + "\n")


if __name__ == "__main__":
    main()
