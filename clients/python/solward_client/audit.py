"""The audit log's verification, started in a process of its own (see audit_verify)."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of it: how many records, or why the log is not whole."""

    is_whole: bool
    record_count: int = 0
    head: str = ""
    segment_count: int = 0
    error: str = ""


def verify_log(
    signer_config: Path | None = None, log: Path | None = None, secrets: Sequence[Path] = ()
) -> Verification:
    """Verify an audit log with its closed segments: a signer's own, or a copy in `log`.

    By verification secrets, or by the secrets that the signer's configuration names.
    """
    command = [sys.executable, "-m", "solward_client.audit_verify"]
    if signer_config is not None:
        command += ["--config", str(signer_config)]
    for secret in secrets:
        command += ["--secret", str(secret)]
    if log is not None:
        command += ["--log", str(log)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - our own module
    try:
        facts: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        facts = {"error": "the verifier ended without an answer"}
    if done.returncode != 0 or "records" not in facts:
        return Verification(is_whole=False, error=str(facts.get("error", "no reason given")))
    return Verification(
        is_whole=True,
        record_count=facts["records"],
        head=facts["head"],
        segment_count=facts["segments"],
    )
