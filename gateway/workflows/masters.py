"""Master wallets: created in the signer, stored sealed."""

import asyncio
from uuid import UUID

from gateway.domain.custody import Secret, Signer
from gateway.domain.errors import InvalidArgumentError
from gateway.domain.pages import Page
from gateway.domain.ports import Store, UnitOfWork
from gateway.domain.wallets import MasterWallet
from gateway.workflows.requests import once, request_key

WORD_COUNTS = (12, 24)


class MasterWorkflows:
    """Creates, reads and lists master wallets."""

    def __init__(self, store: Store, signer: Signer, gate: asyncio.Semaphore) -> None:
        """`gate` bounds the transactions that wait for the signer."""
        self._store = store
        self._signer = signer
        self._gate = gate

    async def create(self, request_id: str, word_count: int, password: Secret) -> MasterWallet:
        """Creates a master of 12 or 24 words. Idempotent by request id."""
        key = request_key(request_id, "CreateMasterWallet", word_count)
        if word_count not in WORD_COUNTS:
            raise InvalidArgumentError("word_count must be 12 or 24", field="word_count")

        async def work(unit: UnitOfWork) -> tuple[UUID, MasterWallet]:
            sealed = await self._signer.create_master(request_id, word_count, password)
            master = await unit.masters.create(
                name="",
                fingerprint=sealed.fingerprint,
                encrypted_mnemonic=sealed.record,
                key_group=sealed.key_group,
            )
            return master.id, master

        async def read(unit: UnitOfWork, master_wallet_id: UUID) -> MasterWallet:
            return await unit.masters.get(master_wallet_id)

        async with self._gate:
            return await once(self._store, key, work, read)

    async def get(self, master_wallet_id: UUID) -> MasterWallet:
        """Returns a master; raises NotFoundError."""
        async with self._store.read() as unit:
            return await unit.masters.get(master_wallet_id)

    async def list_page(self, page_size: int, page_token: str) -> Page[MasterWallet]:
        """Returns a page of masters, oldest first."""
        async with self._store.read() as unit:
            return await unit.masters.list_page(page_size, page_token)
