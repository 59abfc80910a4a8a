"""A wallet's transactions, as the cluster's history has them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from gateway.domain.addresses import decode_base58
from gateway.domain.chain import Chain
from gateway.domain.chain_pages import decode_after, encode_after
from gateway.domain.errors import ChainUnavailableError, InvalidArgumentError
from gateway.domain.history import HistoryEntry, SignatureRecord, as_seen_by
from gateway.domain.pages import require_page_size
from gateway.domain.ports import Store

# One page may be a thousand reads. So many are begun at once, that others get a turn too.
_READS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Transactions, newest first."""

    entries: Sequence[HistoryEntry]
    next_page_token: str


class HistoryWorkflows:
    """Reads finalized transactions: what is listed once stays as it is."""

    def __init__(self, store: Store, chain: Chain) -> None:
        self._store = store
        self._chain = chain

    async def list_page(
        self, wallet_id: UUID, page_size: int, page_token: str, before: str = "", until: str = ""
    ) -> HistoryPage:
        """Returns a page of transactions that name a wallet, older than `before`.

        It ends before `until`. Raises NotFoundError, InvalidArgumentError, ChainUnavailableError.
        """
        limit, query = require_page_size(page_size), f"history {wallet_id} {until}"
        if before and page_token:
            raise InvalidArgumentError(
                "before_signature goes only with the first page", field="before_signature"
            )
        before = before or decode_after(page_token, query)
        _require_signature(before, "page_token" if page_token else "before_signature")
        _require_signature(until, "until_signature")
        async with self._store.read() as unit:
            address = (await unit.wallets.get(wallet_id)).address
        records = await self._chain.get_signatures(address, limit, before=before, until=until)
        at_once = asyncio.Semaphore(_READS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._read(address, record, at_once)) for record in records]
        token = encode_after(records[-1].signature, query) if len(records) == limit else ""
        return HistoryPage([task.result() for task in tasks], token)

    async def _read(
        self, address: str, record: SignatureRecord, at_once: asyncio.Semaphore
    ) -> HistoryEntry:
        async with at_once:
            try:
                details = await self._chain.get_transaction_details(record.signature)
            except ChainUnavailableError as error:
                return HistoryEntry(record, error_reason=error.reason)
        if details is None:
            return HistoryEntry(record, error_reason="TRANSACTION_NOT_FOUND")
        try:
            return as_seen_by(address, record, details)
        except ValueError:
            return HistoryEntry(record, error_reason="MALFORMED_TRANSACTION")


def _require_signature(text: str, field: str) -> None:
    """Raises InvalidArgumentError unless `text` is "" or base58 of 64 bytes."""
    try:
        if not text or (len(text) <= 88 and len(decode_base58(text)) == 64):
            return
    except ValueError:
        pass
    raise InvalidArgumentError(f"{field} is not a signature", field=field)
