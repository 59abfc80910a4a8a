"""Wallets in PostgreSQL: reading, and writing what people write on them."""

from collections.abc import Sequence
from uuid import UUID

from gateway.adapters.postgres.connection import Connection, Row
from gateway.adapters.postgres.wallet_rows import (
    LIST_ADDRESSES,
    LIST_WALLETS,
    filter_digest_text,
    filter_parameters,
    proof_from_row,
    signing_wallet_from_row,
    wallet_from_row,
)
from gateway.adapters.postgres.wallet_storage import WalletStorage
from gateway.domain.errors import (
    EtagMismatchError,
    InvalidArgumentError,
    NotFoundError,
    PreconditionFailedError,
)
from gateway.domain.pages import Page, decode_page_token, encode_page_token, require_page_size
from gateway.domain.wallets import (
    TAGS_PER_WALLET_MAX,
    OwnershipProof,
    SigningWallet,
    Trade,
    Wallet,
    WalletFilter,
    require_name,
    require_tag,
    require_tags,
)


class PostgresWallets(WalletStorage):
    """gateway.domain.ports.Wallets on a connection."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)

    async def get(self, wallet_id: UUID) -> Wallet:
        """Returns a wallet; raises NotFoundError."""
        return _found(
            await self._connection.fetchrow("SELECT * FROM wallet_details WHERE id = $1", wallet_id)
        )

    async def get_by_address(self, address: str) -> Wallet:
        """Returns the wallet with this address; raises NotFoundError."""
        return _found(
            await self._connection.fetchrow(
                "SELECT * FROM wallet_details WHERE address = $1", address
            ),
            field="address",
        )

    async def get_many(self, wallet_ids: Sequence[UUID]) -> list[Wallet | None]:
        """Returns wallets in the order asked for, None where there is none."""
        rows = await self._connection.fetch(
            "SELECT * FROM wallet_details WHERE id = ANY($1::uuid[])", list(wallet_ids)
        )
        found = {row["id"]: wallet_from_row(row) for row in rows}
        return [found.get(wallet_id) for wallet_id in wallet_ids]

    async def list_page(
        self, wallet_filter: WalletFilter, page_size: int = 0, page_token: str = ""
    ) -> Page[Wallet]:
        """Returns matching wallets in order of creation (for one derivation: of index).

        A walk over all pages sees every wallet that exists from its beginning to its end, once.
        """
        limit = require_page_size(page_size)
        query = filter_digest_text(wallet_filter)
        parameters = filter_parameters(wallet_filter)
        rows = await self._connection.fetch(
            LIST_WALLETS, decode_page_token(page_token, query), limit + 1, *parameters
        )
        token = encode_page_token(rows[limit - 1]["ordinal"], query) if len(rows) > limit else ""
        return Page([wallet_from_row(row) for row in rows[:limit]], token)

    async def list_addresses(
        self, wallet_filter: WalletFilter, limit: int
    ) -> list[tuple[UUID, str]]:
        """Returns (id, address) of up to `limit` matching wallets in order of creation.

        For what concerns many wallets (balances, recipients), where whole wallets would be waste.
        """
        rows = await self._connection.fetch(
            LIST_ADDRESSES, 0, limit, *filter_parameters(wallet_filter)
        )
        return [(row["id"], row["address"]) for row in rows]

    async def derived_addresses(
        self, master_wallet_id: UUID, first: int, count: int
    ) -> list[tuple[int, UUID, str]]:
        """Returns (index, id, address) of the wallets in [first, first + count), by index."""
        rows = await self._connection.fetch(
            "SELECT derivation_index, id, address FROM wallets WHERE master_wallet_id = $1 "
            "AND derivation_index >= $2::bigint AND derivation_index < $2::bigint + $3::bigint "
            "ORDER BY derivation_index",
            master_wallet_id,
            first,
            count,
        )
        return [(row["derivation_index"], row["id"], row["address"]) for row in rows]

    async def addresses_of(self, wallet_ids: Sequence[UUID]) -> list[str | None]:
        """Returns addresses in the order asked for, None where there is no wallet."""
        rows = await self._connection.fetch(
            "SELECT id, address FROM wallets WHERE id = ANY($1::uuid[])", list(wallet_ids)
        )
        found: dict[UUID, str] = {row["id"]: row["address"] for row in rows}
        return [found.get(wallet_id) for wallet_id in wallet_ids]

    async def signing_wallets(self, addresses: Sequence[str]) -> dict[str, SigningWallet]:
        """Returns sealed records and proofs by address; unknown addresses are left out."""
        rows = await self._connection.fetch(
            "SELECT id, address, fingerprint, signer_index, ownership_tag, encrypted_private_key, "
            "key_group FROM wallet_details WHERE address = ANY($1::text[])",
            list(addresses),
        )
        return {row["address"]: signing_wallet_from_row(row) for row in rows}

    async def ownership_proofs(self, addresses: Sequence[str]) -> dict[str, OwnershipProof]:
        """Returns proofs by address; addresses that are not ours are left out."""
        rows = await self._connection.fetch(
            "SELECT address, fingerprint, signer_index, ownership_tag "
            "FROM wallet_details WHERE address = ANY($1::text[])",
            list(addresses),
        )
        return {row["address"]: proof_from_row(row) for row in rows}

    async def list_proofs(self, after: int, limit: int) -> list[tuple[int, OwnershipProof]]:
        """Returns (place, proof) of up to `limit` wallets, in order of creation.

        Places begin above 0; the last one leads to the wallets that follow.
        """
        rows = await self._connection.fetch(
            "SELECT ordinal, address, fingerprint, signer_index, ownership_tag "
            "FROM wallet_details WHERE ordinal > $1 ORDER BY ordinal LIMIT $2",
            after,
            limit,
        )
        return [(row["ordinal"], proof_from_row(row)) for row in rows]

    async def update(
        self,
        wallet_id: UUID,
        *,
        name: str | None = None,
        tags: Sequence[str] | None = None,
        etag: str = "",
    ) -> Wallet:
        """Sets what is not None. An empty etag skips the check.

        Raises NotFoundError, EtagMismatchError, or InvalidArgumentError for a bad name or tag.
        """
        new_name = None if name is None else require_name(name)
        new_tags = None if tags is None else list(require_tags(tags))
        row = await self._connection.fetchrow(
            "UPDATE wallets SET name = coalesce($2, name), tags = coalesce($3::text[], tags), "
            "version = version + 1 WHERE id = $1 AND ($4 = '' OR 'w' || version = $4) RETURNING id",
            wallet_id,
            new_name,
            new_tags,
            etag,
        )
        wallet = await self.get(wallet_id)
        if row is None:
            raise EtagMismatchError("the wallet was changed meanwhile", field="etag")
        return wallet

    async def add_tag(self, wallet_id: UUID, tag: str) -> Wallet:
        """Adds a tag; nothing changes if the wallet has it.

        Raises NotFoundError, or InvalidArgumentError for a bad tag or a 51st one.
        """
        await self._connection.execute(
            "UPDATE wallets SET version = version + 1, tags = "
            '(SELECT array_agg(t ORDER BY t COLLATE "C") FROM unnest(tags || $2::text) AS t) '
            "WHERE id = $1 AND NOT tags @> ARRAY[$2::text] AND cardinality(tags) < $3",
            wallet_id,
            require_tag(tag),
            TAGS_PER_WALLET_MAX,
        )
        wallet = await self.get(wallet_id)
        if tag not in wallet.tags:
            raise InvalidArgumentError(
                f"a wallet has at most {TAGS_PER_WALLET_MAX} tags",
                field="tag",
            )
        return wallet

    async def remove_tag(self, wallet_id: UUID, tag: str) -> Wallet:
        """Removes a tag; nothing changes if the wallet lacks it. Raises as `add_tag` does."""
        await self._connection.execute(
            "UPDATE wallets SET version = version + 1, tags = array_remove(tags, $2) "
            "WHERE id = $1 AND tags @> ARRAY[$2::text]",
            wallet_id,
            require_tag(tag),
        )
        return await self.get(wallet_id)

    async def record_trade(self, wallet_id: UUID, trade: Trade) -> Wallet:
        """Adds one trade and its volume, atomically; `last_used_at` never goes back.

        Raises NotFoundError, or OutOfRangeError if the volume would exceed u64: nothing is added.
        """
        touched = await self._connection.execute(
            "UPDATE wallets SET total_trades = total_trades + 1, "
            "total_volume_lamports = total_volume_lamports + $2::numeric, "
            "last_used_at = greatest(last_used_at, $3) WHERE id = $1",
            wallet_id,
            trade.volume_lamports,
            trade.traded_at,
        )
        if touched == 0:
            raise _not_found("wallet_id")
        return await self.get(wallet_id)

    async def delete(self, wallet_id: UUID) -> Wallet:
        """Deletes a wallet and its sealed key for good; returns what it was.

        A derived wallet can be derived again, with the same address; an imported one only imported
        again by who holds its key. Raises NotFoundError, or PreconditionFailedError
        while an unfinished distribution pays from it.
        """
        wallet = await self.get(wallet_id)
        if wallet.master_wallet_id is not None:
            # The master first, as a derivation does, so that the two cannot deadlock.
            await self._connection.execute(
                "UPDATE master_wallets SET derived_count = derived_count - 1 WHERE id = $1",
                wallet.master_wallet_id,
            )
        touched = await self._connection.execute("DELETE FROM wallets WHERE id = $1", wallet_id)
        if touched != 1:
            raise PreconditionFailedError("the wallet was deleted meanwhile")
        return wallet


def _not_found(field: str) -> NotFoundError:
    return NotFoundError("no such wallet", field=field, reason="WALLET_NOT_FOUND")


def _found(row: Row | None, field: str = "wallet_id") -> Wallet:
    if row is None:
        raise _not_found(field)
    return wallet_from_row(row)
