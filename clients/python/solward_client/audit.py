"""The audit log's verification, started in a process of its own (see audit_verify)."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of it: how many records, or why the log is not whole."""

    is_whole: bool
    record_count: int = 0
    head: str = ""
    error: str = ""


def verify_log(signer_config: Path, log: Path | None = None) -> Verification:
    """Verify a signer's audit log, or a copy of it, by the secrets that its configuration names."""
    command = [sys.executable, "-m", "solward_client.audit_verify", "--config", str(signer_config)]
    if log is not None:
        command += ["--log", str(log)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - our own module
    try:
        facts: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        facts = {"error": "the verifier ended without an answer"}
    if done.returncode != 0 or "records" not in facts:
        return Verification(is_whole=False, error=str(facts.get("error", "no reason given")))
    return Verification(is_whole=True, record_count=facts["records"], head=facts["head"])
