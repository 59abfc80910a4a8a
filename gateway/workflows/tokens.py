"""Token accounts of one wallet and of many, as the cluster has them now."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Final
from uuid import UUID

from gateway.domain.addresses import is_address
from gateway.domain.chain import Chain
from gateway.domain.chain_pages import decode_after, encode_after
from gateway.domain.errors import (
    ChainUnavailableError,
    InvalidArgumentError,
    PreconditionFailedError,
)
from gateway.domain.pages import require_page_size
from gateway.domain.ports import Store
from gateway.domain.tokens import TokenFilter, TokenHolding, WalletTokens
from gateway.domain.totals import Totals
from gateway.workflows.mint_book import Locate, MintBook
from gateway.workflows.token_reads import ACCOUNTS_PER_CALL, Associate, MintPlace, TokenReads

MINTS_MAX: Final = 20
# Of all streams together: there is other work that needs the endpoint, payments among it.
_READS_AT_ONCE: Final = 8
_WALLETS_PER_BATCH: Final = 16
_BATCHES_AHEAD: Final = 4
_Batch = list[WalletTokens]


@dataclass(frozen=True, slots=True)
class TokenPage:
    """Holdings in order of their addresses, and the slot of the oldest answer they come from."""

    holdings: Sequence[TokenHolding]
    next_page_token: str
    context_slot: int


class TokenWorkflows:
    """Reads token accounts and decodes them."""

    def __init__(self, store: Store, chain: Chain, associate: Associate, locate: Locate) -> None:
        self._store = store
        self._chain = chain
        self._reads = TokenReads(chain, associate)
        self._book = partial(MintBook, chain, locate)
        self._at_once = asyncio.Semaphore(_READS_AT_ONCE)

    async def list_page(self, wallet_id: UUID, page_size: int, page_token: str) -> TokenPage:
        """Returns a page of a wallet's token accounts.

        Every page reads the list anew, for the cluster keeps none of another time: an account made
        or closed meanwhile is or is not on a later page, and none is there twice.
        Raises NotFoundError, InvalidArgumentError, ChainUnavailableError.
        """
        limit, query = require_page_size(page_size), f"tokens {wallet_id}"
        after = decode_after(page_token, query)
        if after and not is_address(after):
            raise InvalidArgumentError("page_token is malformed", field="page_token")
        async with self._store.read() as unit:
            owner = (await unit.wallets.get(wallet_id)).address
        found = await self._reads.of_wallet(owner)
        rest = [item for item in found.holdings if item.address > after]
        token = encode_after(rest[limit - 1].address, query) if len(rest) > limit else ""
        holdings = await self._book().complete(rest[:limit], found.context_slot)
        return TokenPage(holdings, token, found.context_slot)

    async def stream(
        self, addresses: Sequence[str], token_filter: TokenFilter
    ) -> AsyncGenerator[_Batch, None]:
        """Yields the wallets in order, some at a time, each with its accounts or an error.

        Reads at most 64 wallets (of associated accounts 400) ahead of its reader. Mints are read
        once. Raises PreconditionFailedError and ChainUnavailableError for a mint of the filter, at
        the beginning; a wallet's failure is its own.
        """
        book = self._book()
        # A node refuses to list accounts of a mint that is none, for each wallet anew.
        mints = await _places(book, token_filter.mints)
        read: Callable[[Sequence[str]], Awaitable[_Batch]]
        if token_filter.associated_only:
            read, size = partial(self._associated, mints), ACCOUNTS_PER_CALL // len(mints)
        else:
            read, size = partial(self._of_wallets, token_filter.mints), _WALLETS_PER_BATCH
        async with aclosing(_ahead(addresses, size, read)) as batches:
            async for batch in batches:
                yield await _completed(book, batch)

    async def total(self, addresses: Sequence[str], token_filter: TokenFilter) -> Totals:
        """Returns what wallets hold together, each counted once.

        Raises as `stream` does, and PreconditionFailedError if they hold too many mints.
        """
        unique = list(dict.fromkeys(addresses))
        totals = Totals(len(unique))
        async with aclosing(self.stream(unique, token_filter)) as batches:
            totals.add_balances(await self._chain.get_balances(unique))
            async for batch in batches:
                for wallet in batch:
                    totals.add_tokens(wallet)
        return totals

    async def _of_wallets(self, mints: Sequence[str], owners: Sequence[str]) -> _Batch:
        async def read(owner: str) -> WalletTokens:
            async with self._at_once:
                try:
                    return await self._reads.of_wallet(owner, mints)
                except ChainUnavailableError as error:
                    return WalletTokens(owner, error_reason=error.reason)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read(owner)) for owner in owners]
        return [task.result() for task in tasks]

    async def _associated(self, mints: Sequence[MintPlace], owners: Sequence[str]) -> _Batch:
        unique = list(dict.fromkeys(owners))
        async with self._at_once:
            try:
                found = await self._reads.associated(unique, mints)
            except ChainUnavailableError as error:
                found = [WalletTokens(owner, error_reason=error.reason) for owner in unique]
        by_owner = {wallet.address: wallet for wallet in found}
        return [by_owner[owner] for owner in owners]


async def _ahead(
    addresses: Sequence[str], size: int, read: Callable[[Sequence[str]], Awaitable[_Batch]]
) -> AsyncGenerator[_Batch, None]:
    """Yields what `read` makes of each `size` addresses, in order, a few under way at any time."""
    starts = iter(range(0, len(addresses), size))
    window: deque[asyncio.Task[_Batch]] = deque()
    try:
        while True:
            while len(window) < _BATCHES_AHEAD and (start := next(starts, None)) is not None:
                part = addresses[start : start + size]
                window.append(asyncio.ensure_future(read(part)))
            if not window:
                return
            batch = await window[0]
            window.popleft()
            yield batch
    finally:
        for task in window:
            task.cancel()
        await asyncio.gather(*window, return_exceptions=True)


async def _places(book: MintBook, mints: Sequence[str]) -> list[MintPlace]:
    """Returns the programs of mints; raises if one is none or could not be read."""
    readings = await book.read(mints, 0)
    for at, mint in enumerate(mints):
        reason = readings[mint].error_reason
        if reason == ChainUnavailableError.default_reason:
            raise ChainUnavailableError("the RPC node did not give the mints")
        if reason:
            raise PreconditionFailedError(f"not a mint ({reason})", field=f"filter.mints[{at}]")
    return [MintPlace(mint, readings[mint].program) for mint in mints]


async def _completed(book: MintBook, batch: _Batch) -> _Batch:
    """Adds the mints of all wallets of a batch at once."""
    slot = max((wallet.context_slot for wallet in batch), default=0)
    holdings = iter(
        await book.complete([item for wallet in batch for item in wallet.holdings], slot)
    )
    return [replace(wallet, holdings=[next(holdings) for _ in wallet.holdings]) for wallet in batch]
