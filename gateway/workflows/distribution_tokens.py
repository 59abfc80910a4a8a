"""Readings of the chain that plans of tokens are made from."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from gateway.domain.chain import Account, Chain, Commitment
from gateway.domain.closings import HeldAccount
from gateway.domain.errors import InvalidArgumentError, PreconditionFailedError
from gateway.domain.mints import MintTerms, TokenState, read_mint, read_token_account
from gateway.domain.ports import TransactionCompiler
from gateway.domain.token_planner import Holder
from gateway.domain.token_programs import TOKEN_PROGRAMS
from gateway.workflows.account_reads import read_accounts

_CLOCK: Final = "SysvarC1ock11111111111111111111111111111111"
_EPOCH: Final = slice(16, 24)
_OWNERS_PER_TURN: Final = 100
_OWNERS_AT_ONCE: Final = 8


class TokenReadings:
    """Reads mints, associated accounts and all accounts of owners, finalized unless told."""

    def __init__(self, chain: Chain, compiler: TransactionCompiler) -> None:
        self._chain = chain
        self._compiler = compiler

    async def mint(
        self, address: str, commitment: Commitment = "finalized", min_context_slot: int = 0
    ) -> MintTerms:
        """Reads a mint and the epoch, at one slot; raises InvalidArgumentError if it is none.

        Raises PreconditionFailedError if the cluster has no clock.
        """
        reading = await self._chain.get_accounts(
            [address, _CLOCK], commitment, None, min_context_slot
        )
        found, clock = reading.accounts
        if found is None:
            raise InvalidArgumentError("no such mint", field="mint")
        if clock is None or len(clock.data) < _EPOCH.stop:
            raise PreconditionFailedError("the cluster's clock cannot be read")
        epoch = int.from_bytes(clock.data[_EPOCH], "little")
        try:
            return read_mint(address, found.owner, found.data, epoch)
        except ValueError as error:
            raise InvalidArgumentError(f"mint: {error}", field="mint") from None

    async def account_rent(self, mint: MintTerms) -> int:
        """Returns what a new account of the mint must hold, in lamports."""
        return await self._chain.get_rent_exempt_lamports(mint.account_bytes)

    async def holders(self, owners: Sequence[str], mint: MintTerms, field: str) -> list[Holder]:
        """Reads the owners' associated accounts, in order. Raises PreconditionFailedError if one is
        something else than an account of the mint.
        """
        accounts: list[str] = []
        searches: list[int] = []
        for position, owner in enumerate(owners):
            if position % _OWNERS_PER_TURN == 0:
                await asyncio.sleep(0)  # 20 us each: others may want their turn
            account, tried = self._compiler.derive_token_account(owner, mint.program, mint.address)
            accounts.append(account)
            searches.append(tried)
        found = await read_accounts(self._chain, accounts, "finalized")
        return [
            _holder(Holder(owner, account, None, tried), data, mint, field)
            for owner, account, data, tried in zip(owners, accounts, found, searches, strict=True)
        ]

    async def all_holders(self, owners: Sequence[str], mint: MintTerms) -> list[Holder]:
        """Reads all accounts of a mint that the owners hold, associated and auxiliary.

        In order of owners, the associated one first; an owner without any has one without state.
        """
        gate = asyncio.Semaphore(_OWNERS_AT_ONCE)

        async def read(owner: str) -> list[Holder]:
            async with gate:
                reading = await self._chain.get_token_accounts_of_mint(
                    owner, mint.address, "finalized"
                )
            own = self._compiler.associated_token_address(owner, mint.program, mint.address)
            found = [
                Holder(owner, address, state)
                for address, account in reading.accounts.items()
                if account.owner == mint.program and (state := _decoded(account)) is not None
            ]
            found.sort(key=lambda holder: (holder.account != own, holder.account))
            return found or [Holder(owner, "", None)]

        found = await asyncio.gather(*(read(owner) for owner in owners))
        return [holder for holders in found for holder in holders]

    async def held(self, owners: Sequence[str]) -> list[HeldAccount]:
        """Reads all token accounts of the owners."""
        gate = asyncio.Semaphore(_OWNERS_AT_ONCE)

        async def read(owner: str, program: str) -> list[HeldAccount]:
            async with gate:
                reading = await self._chain.get_token_accounts(owner, program, "finalized")
            return [
                HeldAccount(address, owner, _decoded(account))
                for address, account in reading.accounts.items()
            ]

        pairs = [(owner, program) for owner in owners for program in TOKEN_PROGRAMS]
        found = await asyncio.gather(*(read(owner, program) for owner, program in pairs))
        return [account for accounts in found for account in accounts]

    async def rent_floors(self, accounts: Sequence[HeldAccount]) -> Mapping[int, int]:
        """Returns what accounts must hold, by their size in bytes."""
        sizes = sorted({item.state.data_bytes for item in accounts if item.state is not None})
        return {size: await self._chain.get_rent_exempt_lamports(size) for size in sizes}


def _decoded(account: Account) -> TokenState | None:
    try:
        return read_token_account(account.owner, account.lamports, account.data)
    except ValueError:
        return None


def _holder(holder: Holder, account: Account | None, mint: MintTerms, field: str) -> Holder:
    """Returns the holder with what was read at the address of its associated account."""
    if account is None:
        return holder
    if account.owner not in TOKEN_PROGRAMS and not account.data:
        # Lamports that somebody sent there ahead do not make it an account.
        return replace(holder, held_lamports=account.lamports)
    state = _decoded(account)
    if state is None or (account.owner, state.mint) != (mint.program, mint.address):
        raise PreconditionFailedError(
            f"the associated account of {holder.address} is not one of this mint", field=field
        )
    return replace(holder, state=state)
