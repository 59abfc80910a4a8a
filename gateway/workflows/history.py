"""A wallet's transactions, as the cluster's history has them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from gateway.domain.addresses import decode_base58, is_address
from gateway.domain.chain import Chain
from gateway.domain.chain_pages import TOKEN_CHARACTERS_MAX, decode_after, encode_after
from gateway.domain.errors import (
    ChainUnavailableError,
    InvalidArgumentError,
    PreconditionFailedError,
)
from gateway.domain.history import HistoryEntry, SignatureRecord, as_seen_by
from gateway.domain.pages import require_page_size
from gateway.domain.ports import Store
from gateway.workflows.history_merge import Listed, merge
from gateway.workflows.token_reads import TokenReads

TOKEN_ACCOUNTS_MAX: Final = 64
# One page may be a thousand reads. So many are begun at once, that others get a turn too.
_READS_AT_ONCE: Final = 16
# An address and a signature for each list.
_CURSOR_CHARACTERS_MAX: Final = 200 * (TOKEN_ACCOUNTS_MAX + 1)


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """A wallet's history between two transactions, perhaps with its token accounts'."""

    wallet_id: UUID
    before: str = ""
    until: str = ""
    include_token_accounts: bool = False
    mints: tuple[str, ...] = ()

    def spelling(self) -> str:
        """Returns a text that tells this list from others, wherever a page of it begins."""
        if not self.include_token_accounts:
            return f"history {self.wallet_id} {self.until}"
        return f"history+ {self.wallet_id} {self.until} {','.join(self.mints)}"


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Transactions, newest first."""

    entries: Sequence[HistoryEntry]
    next_page_token: str


class HistoryWorkflows:
    """Reads finalized transactions: what is listed once stays as it is."""

    def __init__(self, store: Store, chain: Chain, tokens: TokenReads) -> None:
        self._store = store
        self._chain = chain
        self._tokens = tokens

    async def list_page(self, query: HistoryQuery, page_size: int, page_token: str) -> HistoryPage:
        """Returns a page of transactions that name a wallet, or its token accounts if asked.

        They are older than `before` and newer than `until`. Raises NotFoundError,
        InvalidArgumentError, ChainUnavailableError, and PreconditionFailedError for too many token
        accounts.
        """
        limit = require_page_size(page_size)
        if query.before and page_token:
            raise InvalidArgumentError(
                "before_signature goes only with the first page", field="before_signature"
            )
        if query.mints and not query.include_token_accounts:
            raise InvalidArgumentError("mints go with include_token_accounts", field="mints")
        _require_signature(query.before, "before_signature")
        _require_signature(query.until, "until_signature")
        most = _CURSOR_CHARACTERS_MAX if query.include_token_accounts else TOKEN_CHARACTERS_MAX
        after = decode_after(page_token, query.spelling(), most)
        async with self._store.read() as unit:
            address = (await unit.wallets.get(query.wallet_id)).address
        if query.include_token_accounts:
            listed, after = await self._merged(query, address, limit, after)
        else:
            listed, after = await self._own(query, address, limit, after)
        at_once = asyncio.Semaphore(_READS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._read(address, item, at_once)) for item in listed]
        token = encode_after(after, query.spelling()) if after else ""
        return HistoryPage([task.result() for task in tasks], token)

    async def _own(
        self, query: HistoryQuery, address: str, limit: int, after: str
    ) -> tuple[list[Listed], str]:
        _require_signature(after, "page_token")
        before = after or query.before
        records = await self._chain.get_signatures(address, limit, before=before, until=query.until)
        listed = [Listed(record, frozenset()) for record in records]
        return listed, records[-1].signature if len(records) == limit else ""

    async def _merged(
        self, query: HistoryQuery, address: str, limit: int, after: str
    ) -> tuple[list[Listed], str]:
        """Lists with the token accounts that the wallet had when the first page was made."""
        cursors = _read_cursors(after) if after else await self._first_cursors(query, address)
        at_once = asyncio.Semaphore(_READS_AT_ONCE)

        async def list_(whose: str, most: int, before: str) -> list[SignatureRecord]:
            async with at_once:
                return await self._chain.get_signatures(
                    whose, most, before=before, until=query.until
                )

        listed, cursors = await merge(cursors, limit, list_)
        return listed, _write_cursors(cursors)

    async def _first_cursors(self, query: HistoryQuery, address: str) -> Mapping[str, str]:
        found = await self._tokens.of_wallet(address, query.mints)
        if len(found.holdings) > TOKEN_ACCOUNTS_MAX:
            raise PreconditionFailedError(
                f"the wallet has {len(found.holdings)} such token accounts, more than "
                f"{TOKEN_ACCOUNTS_MAX}: name the mints that matter",
                field="mints",
            )
        return dict.fromkeys([address, *(item.address for item in found.holdings)], query.before)

    async def _read(self, address: str, item: Listed, at_once: asyncio.Semaphore) -> HistoryEntry:
        record = item.record
        async with at_once:
            try:
                details = await self._chain.get_transaction_details(record.signature)
            except ChainUnavailableError as error:
                return HistoryEntry(record, error_reason=error.reason)
        if details is None:
            return HistoryEntry(record, error_reason="TRANSACTION_NOT_FOUND")
        try:
            return as_seen_by(address, record, details, item.addresses - {address})
        except ValueError:
            return HistoryEntry(record, error_reason="MALFORMED_TRANSACTION")


def _write_cursors(cursors: Mapping[str, str]) -> str:
    return ",".join(f"{address}:{signature}" for address, signature in cursors.items())


def _read_cursors(text: str) -> dict[str, str]:
    """Returns where each list goes on; what it holds goes to the node, so its form is checked."""
    cursors: dict[str, str] = {}
    for item in text.split(","):
        address, _, signature = item.partition(":")
        if not is_address(address) or len(cursors) > TOKEN_ACCOUNTS_MAX:
            raise InvalidArgumentError("page_token is malformed", field="page_token")
        _require_signature(signature, "page_token")
        cursors[address] = signature
    return cursors


def _require_signature(text: str, field: str) -> None:
    """Raises InvalidArgumentError unless `text` is "" or base58 of 64 bytes."""
    try:
        if not text or (len(text) <= 88 and len(decode_base58(text)) == 64):
            return
    except ValueError:
        pass
    raise InvalidArgumentError(f"{field} is not a signature", field=field)
