"""A wallet's token accounts, as the cluster has them now."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from gateway.domain.addresses import is_address
from gateway.domain.chain import Account, Chain
from gateway.domain.chain_pages import decode_after, encode_after
from gateway.domain.errors import ChainUnavailableError, InvalidArgumentError
from gateway.domain.pages import require_page_size
from gateway.domain.ports import Store
from gateway.domain.tokens import (
    TOKEN_PROGRAMS,
    Mint,
    TokenDataError,
    TokenHolding,
    parse_mint,
    parse_token_account,
)

_ACCOUNTS_PER_CALL = 100
Associate = Callable[[str, str, str], str]
"""(owner, token program, mint) to the address of the associated token account."""


@dataclass(frozen=True, slots=True)
class TokenPage:
    """Holdings in order of their addresses, and the slot of the oldest answer they come from."""

    holdings: Sequence[TokenHolding]
    next_page_token: str
    context_slot: int


class TokenWorkflows:
    """Reads token accounts and decodes them."""

    def __init__(self, store: Store, chain: Chain, associate: Associate) -> None:
        self._store = store
        self._chain = chain
        self._associate = associate

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
        accounts: dict[str, Account] = {}
        slot = 0
        for program in TOKEN_PROGRAMS:
            # The second answer may not be older than the first.
            reading = await self._chain.get_token_accounts(owner, program, min_context_slot=slot)
            slot = slot or reading.context_slot
            accounts |= reading.accounts
        rest = sorted(address for address in accounts if address > after)
        shown = {address: accounts[address] for address in rest[:limit]}
        token = encode_after(rest[limit - 1], query) if len(rest) > limit else ""
        holdings = [self._decode(owner, *item) for item in shown.items()]
        return TokenPage(await self._with_mints(holdings, slot), token, slot)

    def _decode(self, owner: str, address: str, account: Account) -> TokenHolding:
        bare = TokenHolding(address, account.owner, account.lamports)
        try:
            decoded = parse_token_account(account.data, account.owner)
        except TokenDataError:
            return replace(bare, error_reason="MALFORMED_ACCOUNT")
        if decoded.owner != owner:
            return replace(bare, error_reason="FOREIGN_OWNER")
        associated = self._associate(owner, account.owner, decoded.mint)
        return replace(bare, account=decoded, is_associated=address == associated)

    async def _with_mints(self, holdings: Sequence[TokenHolding], slot: int) -> list[TokenHolding]:
        """Adds each holding's mint, read no earlier than its account, or why it has none."""
        wanted = sorted({item.account.mint for item in holdings if item.account})
        mints: dict[str, Account | str | None] = {}
        for start in range(0, len(wanted), _ACCOUNTS_PER_CALL):
            mints |= await self._read_mints(wanted[start : start + _ACCOUNTS_PER_CALL], slot)
        return [_with_mint(item, mints) for item in holdings]

    async def _read_mints(
        self, addresses: Sequence[str], slot: int
    ) -> Mapping[str, Account | str | None]:
        try:
            reading = await self._chain.get_accounts(addresses, min_context_slot=slot)
        except ChainUnavailableError as error:
            return dict.fromkeys(addresses, error.reason)
        return dict(zip(addresses, reading.accounts, strict=True))


def _with_mint(holding: TokenHolding, mints: Mapping[str, Account | str | None]) -> TokenHolding:
    if holding.account is None:
        return holding
    match mints[holding.account.mint]:
        case None:
            return replace(holding, error_reason="MINT_NOT_FOUND")
        case str(reason):
            return replace(holding, error_reason=reason)
        case Account() as found:
            mint = _parse_mint(found, holding.program)
            return replace(holding, mint=mint, error_reason="" if mint else "MALFORMED_MINT")


def _parse_mint(found: Account, program: str) -> Mint | None:
    """Returns the mint, None if it is not one of this program."""
    if found.owner != program:
        return None
    try:
        return parse_mint(found.data, program)
    except TokenDataError:
        return None
