"""The audit log: its copy in the gateway, and its verification in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc

from solward.gateway.v1 import audit_service_pb2 as pb
from solward.gateway.v1.audit_service_pb2_grpc import AuditServiceStub
from solward_client.calls import Caller, pages

PAGE_SIZE = 1_000


class Audit:
    """Searches the gateway's copy of the audit log. Every method raises SolwardError.

    The gateway can leave records out of it; `verify_log` judges the log itself.
    """

    def __init__(self, channel: grpc.Channel, caller: Caller) -> None:
        """Take the channel to the gateway."""
        self._stub = AuditServiceStub(channel)
        self._caller = caller

    def list(
        self,
        *,
        address: str = "",
        event: str = "",
        time_min: datetime | None = None,
        time_max: datetime | None = None,
    ) -> Iterator[pb.AuditEvent]:
        """Walk through the events that match every condition given, newest first."""
        request = pb.ListAuditEventsRequest(page_size=PAGE_SIZE, address=address, event=event)
        if time_min is not None:
            request.time_min.FromDatetime(time_min)
        if time_max is not None:
            request.time_max.FromDatetime(time_max)

        def fetch(token: str) -> tuple[Sequence[pb.AuditEvent], str]:
            request.page_token = token
            page = self._caller.read(self._stub.ListAuditEvents, request)
            return page.events, page.next_page_token

        return pages(fetch)


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
