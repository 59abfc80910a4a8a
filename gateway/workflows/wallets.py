"""Wallets: imported, found, tagged, counted, deleted."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

from gateway.domain.addresses import require_address
from gateway.domain.custody import Secret, SessionOrder, Signer
from gateway.domain.errors import (
    AlreadyExistsError,
    NotFoundError,
    OutOfRangeError,
    PreconditionFailedError,
)
from gateway.domain.pages import Page
from gateway.domain.ports import Clock, Store, UnitOfWork
from gateway.domain.wallets import Trade, Wallet, WalletFilter
from gateway.workflows.records import signing_wallet
from gateway.workflows.requests import once, request_key


class WalletWorkflows:
    """Everything on wallets but deriving them."""

    def __init__(self, store: Store, signer: Signer, clock: Clock, gate: asyncio.Semaphore) -> None:
        """`gate` bounds the transactions that wait for the signer."""
        self._store = store
        self._gate = gate
        self._signer = signer
        self._clock = clock

    async def import_wallet(
        self,
        request_id: str,
        address: str,
        private_key: Secret,
        password: Secret,
        tags: tuple[str, ...],
    ) -> Wallet:
        """Stores a wallet whose key was made elsewhere. Idempotent by request id and address."""
        key = request_key(request_id, "ImportWallet", require_address(address, "address"))

        async def work(unit: UnitOfWork) -> tuple[UUID, Wallet]:
            await _refuse_stored(unit, address)
            sealed = await self._signer.seal_private_key(request_id, address, private_key, password)
            wallet_id = await unit.wallets.insert_imported(
                address=sealed.address,
                encrypted_private_key=sealed.record,
                key_group=sealed.key_group,
                ownership_tag=sealed.ownership_tag,
                tags=tags,
            )
            return wallet_id, await unit.wallets.get(wallet_id)

        async with self._gate:
            return await once(self._store, key, work, _read)

    async def get(self, wallet_id: UUID) -> Wallet:
        """Returns a wallet; raises NotFoundError."""
        async with self._store.read() as unit:
            return await unit.wallets.get(wallet_id)

    async def get_by_address(self, address: str) -> Wallet:
        """Returns the wallet with this address; raises NotFoundError."""
        async with self._store.read() as unit:
            return await unit.wallets.get_by_address(require_address(address, "address"))

    async def list_page(
        self, wallet_filter: WalletFilter, page_size: int, page_token: str
    ) -> Page[Wallet]:
        """Returns a page of matching wallets, oldest first."""
        async with self._store.read() as unit:
            return await unit.wallets.list_page(wallet_filter, page_size, page_token)

    async def update(
        self, wallet_id: UUID, *, name: str | None, tags: Sequence[str] | None
    ) -> Wallet:
        """Sets what is not None."""
        async with self._store.transaction() as unit:
            return await unit.wallets.update(wallet_id, name=name, tags=tags)

    async def add_tag(self, wallet_id: UUID, tag: str) -> Wallet:
        """Adds a tag if it is not there."""
        async with self._store.transaction() as unit:
            return await unit.wallets.add_tag(wallet_id, tag)

    async def remove_tag(self, wallet_id: UUID, tag: str) -> Wallet:
        """Removes a tag if it is there."""
        async with self._store.transaction() as unit:
            return await unit.wallets.remove_tag(wallet_id, tag)

    async def record_trade(self, request_id: str, wallet_id: UUID, volume_lamports: int) -> Wallet:
        """Counts a trade once, however often the request comes."""
        key = request_key(request_id, "RecordTrade", wallet_id, volume_lamports)

        async def work(unit: UnitOfWork) -> tuple[UUID, Wallet]:
            trade = Trade(volume_lamports, self._clock.now())
            try:
                return wallet_id, await unit.wallets.record_trade(wallet_id, trade)
            except OutOfRangeError as error:
                raise OutOfRangeError(error.message, field="volume_lamports") from error

        return await once(self._store, key, work, _read)

    async def delete(self, wallet_id: UUID, password: Secret) -> None:
        """Deletes a wallet after the signer has proven the password on its record.

        The proof holds no database connection. So the record is compared in the transaction that
        deletes: if it was sealed anew meanwhile, another password than the present one was proven.
        """
        wallet = await self.get(wallet_id)
        record = signing_wallet(wallet)
        order = SessionOrder("PURPOSE_VERIFY", {wallet.key_group: record})
        await self._signer.open_session(str(uuid4()), order, password)
        async with self._store.transaction() as unit:
            deleted = await unit.wallets.delete(wallet_id)
            if deleted.encrypted_private_key != wallet.encrypted_private_key:
                raise PreconditionFailedError(
                    "the wallet's password was changed meanwhile", field="wallet_id"
                )


async def _read(unit: UnitOfWork, wallet_id: UUID) -> Wallet:
    return await unit.wallets.get(wallet_id)


async def _refuse_stored(unit: UnitOfWork, address: str) -> None:
    """Raises AlreadyExistsError before the signer is troubled with a key that is here already."""
    try:
        await unit.wallets.get_by_address(address)
    except NotFoundError:
        return
    raise AlreadyExistsError("a wallet with this address is stored already", field="address")
