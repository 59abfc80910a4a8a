"""The token accounts of single wallets, read and decoded, their mints not yet known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.domain.chain import Account, Chain, TokenAccountsReading
from gateway.domain.instructions import SYSTEM_PROGRAM
from gateway.domain.token_layout import TokenDataError
from gateway.domain.token_programs import TOKEN_PROGRAMS
from gateway.domain.tokens import (
    TokenHolding,
    WalletTokens,
    parse_token_account,
)

ACCOUNTS_PER_CALL: Final = 100
Associate = Callable[[str, str, str], str]
"""(owner, token program, mint) to the address of the associated token account."""


@dataclass(frozen=True, slots=True)
class MintPlace:
    """A mint and its token program."""

    mint: str
    program: str


class TokenReads:
    """Reads token accounts. Every method raises ChainUnavailableError."""

    def __init__(self, chain: Chain, associate: Associate) -> None:
        self._chain = chain
        self._associate = associate

    async def of_wallet(self, owner: str, mints: Sequence[str] = ()) -> WalletTokens:
        """Reads all of a wallet's accounts, of both programs, or those of some mints."""
        readings: list[TokenAccountsReading] = []
        if len(mints) == 1:
            readings.append(await self._chain.get_token_accounts_of_mint(owner, mints[0]))
        else:
            for program in TOKEN_PROGRAMS:
                # The second answer may not be older than the first.
                slot = readings[0].context_slot if readings else 0
                readings.append(
                    await self._chain.get_token_accounts(owner, program, min_context_slot=slot)
                )
        found: dict[str, Account] = {}
        for reading in readings:
            found |= reading.accounts
        holdings = [self._decode(owner, address, found[address]) for address in sorted(found)]
        if mints:
            holdings = [item for item in holdings if not item.account or item.account.mint in mints]
        return WalletTokens(owner, min(item.context_slot for item in readings), holdings)

    async def associated(
        self, owners: Sequence[str], mints: Sequence[MintPlace]
    ) -> list[WalletTokens]:
        """Reads the associated accounts of wallets, at most 100 accounts in all, in one call."""
        places = [
            (owner, mint, self._associate(owner, mint.program, mint.mint))
            for owner in owners
            for mint in mints
        ]
        reading = await self._chain.get_accounts([address for _, _, address in places])
        holdings: dict[str, list[TokenHolding]] = {owner: [] for owner in owners}
        for (owner, mint, address), account in zip(places, reading.accounts, strict=True):
            # To an address that is not in use yet anyone may send lamports.
            if account is None or (account.owner == SYSTEM_PROGRAM and not account.data):
                continue
            holding = _decode(owner, address, account)
            if holding.account and holding.account.mint != mint.mint:
                holding = _bare(address, account, "MALFORMED_ACCOUNT")
            holdings[owner].append(replace(holding, is_associated=holding.account is not None))
        return [
            WalletTokens(owner, reading.context_slot, sorted(found, key=lambda item: item.address))
            for owner, found in holdings.items()
        ]

    def _decode(self, owner: str, address: str, account: Account) -> TokenHolding:
        holding = _decode(owner, address, account)
        if holding.account is None:
            return holding
        associated = self._associate(owner, account.owner, holding.account.mint)
        return replace(holding, is_associated=address == associated)


def _decode(owner: str, address: str, account: Account) -> TokenHolding:
    """Decodes one account of a wallet, or says why it cannot be."""
    try:
        decoded = parse_token_account(account.data, account.owner)
    except TokenDataError:
        return _bare(address, account, "MALFORMED_ACCOUNT")
    if decoded.owner != owner:
        return _bare(address, account, "FOREIGN_OWNER")
    return replace(_bare(address, account), account=decoded)


def _bare(address: str, account: Account, error_reason: str = "") -> TokenHolding:
    return TokenHolding(address, account.owner, account.lamports, error_reason=error_reason)
