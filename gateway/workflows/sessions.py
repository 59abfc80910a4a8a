"""Sessions with the signer, and a new password for what is sealed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from gateway.domain.custody import (
    SealedMaster,
    Secret,
    SessionOrder,
    SessionScope,
    Signer,
    SignerSession,
)
from gateway.domain.errors import (
    InvalidArgumentError,
    NotFoundError,
    PreconditionFailedError,
)
from gateway.domain.ports import Store, UnitOfWork
from gateway.domain.wallets import (
    KEY_GROUP_WALLETS_MAX,
    MasterWallet,
    SigningWallet,
    Wallet,
    WalletFilter,
)
from gateway.workflows.records import signing_wallet

KEY_GROUPS_MAX = 16
WALLETS_MAX = 10_000
TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """How long a session lives (0: the signer's limit) and what it may do (None: all of policy)."""

    ttl_seconds: int = 0
    scope: SessionScope | None = None


class SessionWorkflows:
    """Opens and closes sessions and rotates passwords."""

    def __init__(self, store: Store, signer: Signer, gate: asyncio.Semaphore) -> None:
        """`gate` bounds the transactions that wait for the signer."""
        self._store = store
        self._signer = signer
        self._gate = gate

    async def open_for_master(
        self, master_wallet_id: UUID, terms: SessionTerms, password: Secret
    ) -> SignerSession:
        """Opens a session for all wallets of a master.

        They share the master's key group: they are derived with its salt, and a rotation seals all
        of them anew together. So one wallet's record stands for all.
        """
        async with self._store.read() as unit:
            await unit.masters.get(master_wallet_id)
            page = await unit.wallets.list_page(
                WalletFilter(master_wallet_id=master_wallet_id), page_size=1
            )
        if not page.items:
            raise PreconditionFailedError(
                "the master wallet has no wallets yet", field="master_wallet_id"
            )
        return await self._open(page.items, terms, password)

    async def open_for_wallets(
        self, wallet_ids: Sequence[UUID], terms: SessionTerms, password: Secret
    ) -> SignerSession:
        """Opens a session for single wallets, of at most 16 key groups."""
        async with self._store.read() as unit:
            found = await unit.wallets.get_many(wallet_ids)
        wallets = [wallet for wallet in found if wallet is not None]
        if len(wallets) != len(found):
            missing = found.index(None)
            raise NotFoundError(
                "no such wallet", field=f"wallet_ids.ids[{missing}]", reason="WALLET_NOT_FOUND"
            )
        return await self._open(wallets, terms, password)

    async def _open(
        self, wallets: Sequence[Wallet], terms: SessionTerms, password: Secret
    ) -> SignerSession:
        groups: dict[str, SigningWallet] = {}
        for wallet in wallets:
            groups.setdefault(wallet.key_group, signing_wallet(wallet))
        if len(groups) > KEY_GROUPS_MAX:
            raise InvalidArgumentError(
                f"the wallets are of {len(groups)} key groups; a session opens {KEY_GROUPS_MAX}",
                field="wallet_ids",
            )
        order = SessionOrder("PURPOSE_SIGN", groups, terms.ttl_seconds, terms.scope)
        return await self._signer.open_session(str(uuid4()), order, password)

    async def close(self, token: bytes) -> None:
        """Ends a session; ending an unknown one succeeds."""
        await self._signer.close_session(token)

    async def rotate_master(
        self, master_wallet_id: UUID, password: Secret, new_password: Secret
    ) -> tuple[int, str]:
        """Seals a master and all its wallets under a new password; returns count and key group.

        The master's row is locked first, as a derivation does: no wallet of the old key group can
        be stored between the reading of the records and their replacement.
        """
        async with self._gate, self._store.transaction() as unit:
            master = await unit.masters.lock(master_wallet_id)
            masters = await unit.masters.lock_key_group(master.key_group)
            wallets = await unit.wallets.lock_key_group(master.key_group)
            return await self._rotate(
                unit, masters, wallets, master.key_group, (password, new_password)
            )

    async def rotate_wallet(
        self, wallet_id: UUID, password: Secret, new_password: Secret
    ) -> tuple[int, str]:
        """Seals an imported wallet under a new password; returns count and key group.

        With it goes whatever shares its key group: of a vault that was moved here, everything.
        """
        async with self._gate, self._store.transaction() as unit:
            wallet = await unit.wallets.get(wallet_id)
            if wallet.master_wallet_id is not None:
                raise InvalidArgumentError(
                    "the wallet is derived: its password is its master's", field="wallet_id"
                )
            masters = await unit.masters.lock_key_group(wallet.key_group)
            wallets = await unit.wallets.lock_key_group(wallet.key_group)
            if not wallets:
                raise PreconditionFailedError("the wallet was changed meanwhile", field="wallet_id")
            return await self._rotate(
                unit, masters, wallets, wallet.key_group, (password, new_password)
            )

    async def _rotate(
        self,
        unit: UnitOfWork,
        masters: Sequence[MasterWallet],
        wallets: Sequence[SigningWallet],
        key_group: str,
        passwords: tuple[Secret, Secret],
    ) -> tuple[int, str]:
        if len(wallets) > KEY_GROUP_WALLETS_MAX:
            raise PreconditionFailedError(
                f"{len(wallets)} wallets share this password; "
                f"the signer seals {KEY_GROUP_WALLETS_MAX} anew"
            )
        sealed = [
            SealedMaster(master.fingerprint, master.encrypted_mnemonic, master.key_group)
            for master in masters
        ]
        rotated = await self._signer.rotate(str(uuid4()), (sealed, wallets), key_group, *passwords)
        for master, record in zip(masters, rotated.masters, strict=True):
            await unit.masters.replace_record(
                master.id,
                old_record=master.encrypted_mnemonic,
                record=record,
                key_group=rotated.key_group,
            )
        await unit.wallets.replace_records(
            old_key_group=key_group,
            key_group=rotated.key_group,
            wallet_ids=[wallet.id for wallet in wallets],
            records=rotated.wallets,
            ownership_tags=rotated.ownership_tags,
        )
        return len(wallets), rotated.key_group
