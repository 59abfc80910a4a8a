"""The signer's audit log as the gateway sees it: a copy for searching. The file is the original.

The chain is keyed and the gateway has no key: it can neither verify nor forge a record. But a copy
that was made in time betrays a log that was cut or replaced later.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.domain.pages import Page


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One record. `record` is the signer's own JSON, `mac` its place in the chain (64 hex)."""

    sequence: int
    time_ms: int
    event: str
    caller: str
    request_id: str
    outcome: str
    reason: str
    addresses: tuple[str, ...]
    record: str
    mac: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Every given condition must hold; `time_min_ms` is inclusive, `time_max_ms` is not."""

    address: str = ""
    event: str = ""
    time_min_ms: int | None = None
    time_max_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Mirrored:
    """How far a chain is stored: the sequence and MAC of its last record."""

    chain_id: str
    sequence: int
    mac: str


class AuditFeed(Protocol):
    """The signer's log. Raises SignerUnavailableError or SignerRefusedError."""

    def records(
        self, first_sequence: int, *, follow: bool
    ) -> AsyncGenerator[Sequence[AuditRecord], None]:
        """Yields records in order, in chunks; with `follow` it never ends."""
        ...


class AuditMirror(Protocol):
    """Where the copies are. Raises StoreUnavailableError."""

    async def find(self, record: AuditRecord) -> Mirrored | None:
        """Returns how far the chain of a record is stored, None if the record is not."""
        ...

    async def store(self, chain_id: str, records: Sequence[AuditRecord]) -> None:
        """Stores records; what is stored already stays. Raises PreconditionFailedError if another
        record stands in the place of one.
        """
        ...

    async def list_page(
        self, chosen: AuditFilter, page_size: int, page_token: str
    ) -> Page[tuple[AuditRecord, datetime]]:
        """Returns matching records, newest first, with their times."""
        ...
