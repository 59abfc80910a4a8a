"""Sealed wallets into PostgreSQL: one imported, ten thousand derived, all of them sealed anew."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from gateway.adapters.postgres.connection import Connection, escape_copy
from gateway.adapters.postgres.wallet_rows import signing_wallet_from_row
from gateway.domain.errors import NotFoundError, PreconditionFailedError
from gateway.domain.wallets import (
    DerivedWallets,
    IndexRange,
    SigningWallet,
    require_name,
    require_tags,
)

_MISSING: Final = """
SELECT previous + 1 AS first, next - previous - 1 AS count
FROM (
    SELECT i AS previous, lead(i) OVER (ORDER BY i) AS next
    FROM (
        SELECT $2::bigint - 1 AS i
        UNION ALL
        SELECT derivation_index FROM wallets
        WHERE master_wallet_id = $1
          AND derivation_index >= $2::bigint AND derivation_index < $2::bigint + $3::bigint
        UNION ALL
        SELECT $2::bigint + $3::bigint
    ) AS edges
) AS gaps
WHERE next - previous > 1
ORDER BY 1
"""


class WalletStorage:
    """The storing half of PostgresWallets."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def missing_ranges(
        self, master_wallet_id: UUID, first: int, count: int
    ) -> list[IndexRange]:
        """Returns the indices in [first, first + count) that have no wallet, as ascending ranges.

        Only the holder of `MasterWallets.lock` may rely on the answer.
        """
        rows = await self._connection.fetch(_MISSING, master_wallet_id, first, count)
        return [IndexRange(row["first"], row["count"]) for row in rows]

    async def count_key_group(self, key_group: str) -> int:
        """Returns how many wallets are of a key group."""
        query = "SELECT count(*) FROM wallets WHERE key_group = $1"
        return int(await self._connection.fetchval(query, key_group))

    async def insert_derived(self, wallets: DerivedWallets) -> int:
        """Stores derived wallets with COPY and adds to derived_count; returns how many.

        Call it in a transaction, after `MasterWallets.lock`, with indices from `missing_ranges`.
        Raises NotFoundError (no such master) or AlreadyExistsError (an index or address is taken).
        """
        count = len(wallets.indices)
        touched = await self._connection.execute(
            "UPDATE master_wallets SET derived_count = derived_count + $2 WHERE id = $1",
            wallets.master_wallet_id,
            count,
        )
        if touched != 1:
            raise NotFoundError(
                "no such master wallet", field="master_wallet_id", reason="MASTER_WALLET_NOT_FOUND"
            )
        if count:
            await self._connection.copy_text("wallets", _COPY_COLUMNS, _copy_lines(wallets))
        return count

    async def insert_imported(
        self,
        *,
        address: str,
        encrypted_private_key: str,
        key_group: str,
        ownership_tag: str,
        name: str = "",
        tags: Sequence[str] = (),
    ) -> UUID:
        """Stores a wallet without a master; returns its id.

        Raises AlreadyExistsError.
        """
        wallet_id: UUID = await self._connection.fetchval(
            "INSERT INTO wallets "
            "(address, encrypted_private_key, key_group, ownership_tag, name, tags) "
            "VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
            address,
            encrypted_private_key,
            key_group,
            ownership_tag,
            require_name(name),
            list(require_tags(tags)),
        )
        return wallet_id

    async def lock_key_group(self, key_group: str) -> list[SigningWallet]:
        """Returns every wallet of a key group, in order of creation.

        Locks the rows until the transaction ends, so that what is sealed anew is what is replaced.
        """
        rows = await self._connection.fetch(
            "SELECT w.id, w.address, coalesce(m.fingerprint, '') AS fingerprint, "
            "coalesce(w.derivation_index, -1) AS signer_index, w.ownership_tag, "
            "w.encrypted_private_key, w.key_group "
            "FROM wallets w LEFT JOIN master_wallets m ON m.id = w.master_wallet_id "
            "WHERE w.key_group = $1 ORDER BY w.ordinal FOR NO KEY UPDATE OF w",
            key_group,
        )
        return [signing_wallet_from_row(row) for row in rows]

    async def replace_records(
        self,
        *,
        old_key_group: str,
        key_group: str,
        wallet_ids: Sequence[UUID],
        records: Sequence[str],
        ownership_tags: Sequence[str],
    ) -> None:
        """Puts records and tags made anew in place of all those of a key group: every one or none.

        The three sequences are columns of one length. Raises PreconditionFailedError if the group
        is not exactly these wallets.
        """
        if not len(wallet_ids) == len(records) == len(ownership_tags):
            raise ValueError("columns of different lengths")
        touched = await self._connection.execute(
            "UPDATE wallets w SET encrypted_private_key = r.record, ownership_tag = r.tag, "
            "key_group = $4 FROM unnest($1::uuid[], $2::text[], $3::text[]) AS r (id, record, tag) "
            "WHERE w.id = r.id AND w.key_group = $5",
            list(wallet_ids),
            list(records),
            list(ownership_tags),
            key_group,
            old_key_group,
        )
        left = 0
        if key_group != old_key_group:
            left = await self._connection.fetchval(
                "SELECT count(*) FROM wallets WHERE key_group = $1", old_key_group
            )
        if touched != len(wallet_ids) or left:
            raise PreconditionFailedError("the wallets were changed meanwhile")


_COPY_COLUMNS: Final = (
    "address",
    "derivation_index",
    "encrypted_private_key",
    "ownership_tag",
    "master_wallet_id",
    "key_group",
    "tags",
)


def _copy_lines(wallets: DerivedWallets) -> list[str]:
    """Makes one line per wallet.

    What the signer made is base58, base64url and punctuation: checked once over whole columns (a
    backslash or a tab anywhere fails), because escaping value by value costs more than the rest.
    """
    columns = (wallets.addresses, wallets.encrypted_private_keys, wallets.ownership_tags)
    if any(len(column) != len(wallets.indices) for column in columns):
        raise ValueError("columns of different lengths")
    tags = escape_copy(_array_literal(require_tags(wallets.tags)))
    tail = f"\t{wallets.master_wallet_id}\t{escape_copy(wallets.key_group)}\t{tags}"
    lines = [
        f"{address}\t{index}\t{record}\t{tag}{tail}"
        for address, index, record, tag in zip(
            wallets.addresses,
            wallets.indices,
            wallets.encrypted_private_keys,
            wallets.ownership_tags,
            strict=True,
        )
    ]
    for column in columns:
        joined = "".join(column)
        if not joined.isascii() or not joined.isprintable() or "\\" in joined:
            raise ValueError("a value that COPY would misread")
    return lines


def _array_literal(values: Sequence[str]) -> str:
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return "{" + ",".join(quoted) + "}"
