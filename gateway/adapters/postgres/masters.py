"""Master wallets in PostgreSQL."""

from uuid import UUID

from gateway.adapters.postgres.connection import Connection, Row
from gateway.domain.errors import NotFoundError, PreconditionFailedError
from gateway.domain.pages import Page, decode_page_token, encode_page_token, require_page_size
from gateway.domain.wallets import MasterWallet, require_name

_LIST_QUERY = "master_wallets"


class PostgresMasterWallets:
    """gateway.domain.ports.MasterWallets on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def create(
        self, *, name: str, fingerprint: str, encrypted_mnemonic: str, key_group: str
    ) -> MasterWallet:
        """Stores a sealed master.

        Raises AlreadyExistsError for a known fingerprint.
        """
        row = await self._connection.fetchrow(
            "INSERT INTO master_wallets (name, fingerprint, encrypted_mnemonic, key_group) "
            "VALUES ($1, $2, $3, $4) RETURNING *",
            require_name(name),
            fingerprint,
            encrypted_mnemonic,
            key_group,
        )
        return _master(row)

    async def get(self, master_wallet_id: UUID) -> MasterWallet:
        """Returns a master; raises NotFoundError."""
        return _master(
            await self._connection.fetchrow(
                "SELECT * FROM master_wallets WHERE id = $1", master_wallet_id
            )
        )

    async def lock(self, master_wallet_id: UUID) -> MasterWallet:
        """Returns a master and keeps others from deriving under it until the transaction ends.

        Raises NotFoundError, or StoreUnavailableError if another derivation
        holds it for longer than `lock_timeout_s`.
        """
        return _master(
            await self._connection.fetchrow(
                "SELECT * FROM master_wallets WHERE id = $1 FOR NO KEY UPDATE",
                master_wallet_id,
            )
        )

    async def lock_key_group(self, key_group: str) -> list[MasterWallet]:
        """Returns every master of a key group and locks them until the transaction ends."""
        rows = await self._connection.fetch(
            "SELECT * FROM master_wallets WHERE key_group = $1 ORDER BY ordinal FOR NO KEY UPDATE",
            key_group,
        )
        return [_master(row) for row in rows]

    async def list_page(self, page_size: int = 0, page_token: str = "") -> Page[MasterWallet]:
        """Returns masters in order of creation."""
        limit = require_page_size(page_size)
        rows = await self._connection.fetch(
            "SELECT * FROM master_wallets WHERE ordinal > $1 ORDER BY ordinal LIMIT $2",
            decode_page_token(page_token, _LIST_QUERY),
            limit + 1,
        )
        more = len(rows) > limit
        token = encode_page_token(rows[limit - 1]["ordinal"], _LIST_QUERY) if more else ""
        return Page([_master(row) for row in rows[:limit]], token)

    async def replace_record(
        self, master_wallet_id: UUID, *, old_record: str, record: str, key_group: str
    ) -> None:
        """Puts a record sealed anew in place of the old one.

        Raises PreconditionFailedError if the old record is not the stored one.
        """
        touched = await self._connection.execute(
            "UPDATE master_wallets "
            "SET encrypted_mnemonic = $3, key_group = $4, version = version + 1 "
            "WHERE id = $1 AND encrypted_mnemonic = $2",
            master_wallet_id,
            old_record,
            record,
            key_group,
        )
        if touched != 1:
            raise PreconditionFailedError("the record was changed meanwhile")


def _master(row: Row | None) -> MasterWallet:
    if row is None:
        raise NotFoundError(
            "no such master wallet", field="master_wallet_id", reason="MASTER_WALLET_NOT_FOUND"
        )
    return MasterWallet(
        id=row["id"],
        name=row["name"],
        fingerprint=row["fingerprint"],
        encrypted_mnemonic=row["encrypted_mnemonic"],
        key_group=row["key_group"],
        derived_count=row["derived_count"],
        version=row["version"],
        created_at=row["created_at"],
    )
