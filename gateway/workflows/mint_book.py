"""Mints and their symbols, each read once for as long as the book is kept."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.domain.chain import Account, Chain
from gateway.domain.errors import ChainUnavailableError
from gateway.domain.token_layout import TokenDataError
from gateway.domain.token_metadata import symbol_of_account
from gateway.domain.token_programs import TOKEN_PROGRAMS
from gateway.domain.tokens import Mint, TokenHolding, parse_mint

_ACCOUNTS_PER_CALL: Final = 100
# Whoever makes a mint may give it, or what it points to, megabytes of metadata. What is wanted
# stands at the beginning.
_MINT_SLICE: Final = (0, 4_096)
_METADATA_SLICE: Final = (0, 1_024)
# A book forgets all when it grows beyond this: about 10 MB. Anyone can send a wallet many mints.
_MINTS_MAX: Final = 50_000

Locate = Callable[[str], str]
"""A mint's address to that of its Metaplex metadata."""


@dataclass(frozen=True, slots=True)
class MintReading:
    """A mint, or why it is not known. `program` owns the account; "" if there is none."""

    program: str = ""
    mint: Mint | None = None
    error_reason: str = ""


class MintBook:
    """Reads mints 100 a call, and the metadata of those that carry no symbol themselves."""

    def __init__(self, chain: Chain, locate: Locate) -> None:
        self._chain = chain
        self._locate = locate
        self._known: dict[str, MintReading] = {}

    async def read(self, mints: Iterable[str], min_context_slot: int) -> Mapping[str, MintReading]:
        """Returns a reading for each mint; does not raise.

        A mint that is not in the book yet is read no earlier than `min_context_slot`. One that
        could not be read is tried again when it is asked for again.
        """
        wanted = set(mints)
        new = sorted(wanted - self._known.keys())
        if len(self._known) + len(new) > _MINTS_MAX:
            self._known.clear()
            new = sorted(wanted)
        failed: dict[str, MintReading] = {}
        for start in range(0, len(new), _ACCOUNTS_PER_CALL):
            part = new[start : start + _ACCOUNTS_PER_CALL]
            try:
                self._known |= await self._read(part, min_context_slot)
            except ChainUnavailableError as error:
                failed |= dict.fromkeys(part, MintReading(error_reason=error.reason))
        return {mint: failed.get(mint) or self._known[mint] for mint in wanted}

    async def complete(
        self, holdings: Sequence[TokenHolding], min_context_slot: int
    ) -> list[TokenHolding]:
        """Adds each holding's mint, or why it has none."""
        mints = {item.account.mint for item in holdings if item.account}
        readings = await self.read(mints, min_context_slot)
        return [_with_mint(item, readings) for item in holdings]

    async def _read(self, mints: Sequence[str], slot: int) -> Mapping[str, MintReading]:
        reading = await self._chain.get_accounts(
            mints, data_slice=_MINT_SLICE, min_context_slot=slot
        )
        found = {
            address: _parse(account)
            for address, account in zip(mints, reading.accounts, strict=True)
        }
        symbols = await self._symbols(found, slot)
        return {
            address: replace(item, mint=replace(item.mint, symbol=symbols[address]))
            if item.mint and address in symbols
            else item
            for address, item in found.items()
        }

    async def _symbols(self, mints: Mapping[str, MintReading], slot: int) -> Mapping[str, str]:
        """Returns the symbols that other accounts have for mints; no symbol is worth an error."""
        places = {
            address: item.mint.metadata_pointer or self._locate(address)
            for address, item in mints.items()
            if item.mint and not item.mint.symbol
        }
        # A mint that points to itself has said all.
        places = {mint: place for mint, place in places.items() if place != mint}
        if not places:
            return {}
        try:
            reading = await self._chain.get_accounts(
                list(places.values()), data_slice=_METADATA_SLICE, min_context_slot=slot
            )
        except ChainUnavailableError:
            return {}
        pairs = zip(places, reading.accounts, strict=True)
        return {mint: _symbol(account, mint) for mint, account in pairs if account}


def _parse(account: Account | None) -> MintReading:
    if account is None:
        return MintReading(error_reason="MINT_NOT_FOUND")
    is_cut = len(account.data) == _MINT_SLICE[1]
    try:
        mint = parse_mint(account.data, account.owner, is_cut=is_cut)
    except TokenDataError:
        program = account.owner if account.owner in TOKEN_PROGRAMS else ""
        return MintReading(program, error_reason="MALFORMED_MINT")
    return MintReading(account.owner, mint)


def _symbol(account: Account, mint: str) -> str:
    try:
        return symbol_of_account(account.owner, account.data, mint)
    except TokenDataError:
        return ""


def _with_mint(holding: TokenHolding, readings: Mapping[str, MintReading]) -> TokenHolding:
    if holding.account is None:
        return holding
    reading = readings[holding.account.mint]
    if reading.mint and reading.program != holding.program:
        return replace(holding, error_reason="MALFORMED_MINT")
    return replace(holding, mint=reading.mint, error_reason=reading.error_reason)
