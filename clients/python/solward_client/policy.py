"""The policy file's lint and its dry run, started in a process of their own (see policy_tool)."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from solward_client.lookup_tables import Table


class PolicyToolError(Exception):
    """The policy file or the transaction was not accepted; the message says why."""


def check_file(policy: Path) -> dict[str, Any]:
    """Return what the signer reads in a policy file: version, digest, groups, warnings.

    Raises PolicyToolError if it would not start with it.
    """
    return _run(["check", str(policy)])


def explain(
    policy: Path,
    wire: bytes,
    claims: Sequence[str],
    vault: Sequence[str] = (),
    tables: Mapping[str, Table] | None = None,
) -> dict[str, Any]:
    """Return intent and verdicts of a transaction (wire bytes) under a policy file.

    `claims` say who signs, as `[ADDRESS=]FINGERPRINT/INDEX` or `[ADDRESS=]imported`; `vault` lists
    addresses to be taken for the vault's own, `tables` what lookup tables hold. Raises
    PolicyToolError.
    """
    options = [f"--as={claim}" for claim in claims] + [f"--vault={address}" for address in vault]
    options += [f"--table={name}={held.content.hex()}" for name, held in (tables or {}).items()]
    return _run(["explain", f"--policy={policy}", *options], wire)


def _run(arguments: Sequence[str], given: bytes = b"") -> dict[str, Any]:
    command = [sys.executable, "-m", "solward_client.policy_tool", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, check=False)  # noqa: S603 - our own module
    try:
        facts: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise PolicyToolError(lines[-1] if lines else "ended without an answer") from None
    if "error" in facts:
        raise PolicyToolError(str(facts["error"]))
    return facts
