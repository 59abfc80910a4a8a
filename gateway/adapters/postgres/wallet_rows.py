"""Rows of wallet_details as values, and filters as parameters of fixed statements."""

from dataclasses import astuple
from typing import Final

from gateway.adapters.postgres.connection import Row
from gateway.domain.addresses import is_address_prefix
from gateway.domain.errors import InvalidArgumentError
from gateway.domain.wallets import OwnershipProof, SigningWallet, Wallet, WalletFilter

# Fixed text for every filter: no SQL is ever put together from a request. A condition whose
# parameter is NULL is folded away when the statement is planned, which the pool makes happen each
# time (plan_cache_mode), so that each filter still gets its index.
_CONDITIONS: Final = """
ordinal > $1
AND ($3::text[] IS NULL OR tags @> $3)
AND ($4::uuid IS NULL OR master_wallet_id = $4)
AND ($5::text IS NULL OR (address >= $5 AND address < $5 || '~'))
AND ($6::bigint IS NULL OR derivation_index >= $6)
AND ($7::bigint IS NULL OR derivation_index <= $7)
AND ($8::timestamptz IS NULL OR created_at >= $8)
AND ($9::timestamptz IS NULL OR created_at < $9)
ORDER BY ordinal LIMIT $2
"""
LIST_WALLETS: Final = "SELECT * FROM wallet_details WHERE " + _CONDITIONS  # noqa: S608 - two constants
LIST_ADDRESSES: Final = "SELECT id, address FROM wallets WHERE " + _CONDITIONS  # noqa: S608 - two constants


def wallet_from_row(row: Row) -> Wallet:
    """Makes a Wallet of a row of wallet_details."""
    return Wallet(
        id=row["id"],
        address=row["address"],
        derivation_index=row["derivation_index"],
        master_wallet_id=row["master_wallet_id"],
        fingerprint=row["fingerprint"],
        encrypted_private_key=row["encrypted_private_key"],
        key_group=row["key_group"],
        ownership_tag=row["ownership_tag"],
        name=row["name"],
        tags=tuple(row["tags"]),
        total_trades=row["total_trades"],
        total_volume_lamports=int(row["total_volume_lamports"]),
        version=row["version"],
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
    )


def filter_digest_text(wallet_filter: WalletFilter) -> str:
    """Text that is equal for equal filters, for binding page tokens."""
    return "wallets" + repr(astuple(wallet_filter))


def filter_parameters(wallet_filter: WalletFilter) -> list[object]:
    """Returns the parameters $3 to $9. Raises InvalidArgumentError for an impossible prefix."""
    if not is_address_prefix(wallet_filter.address_prefix):
        raise InvalidArgumentError("address_prefix is not base58", field="address_prefix")
    return [
        list(wallet_filter.tags_all) or None,
        wallet_filter.master_wallet_id,
        # "~" sorts after every base58 character, so [prefix, prefix~) is what begins with prefix.
        wallet_filter.address_prefix or None,
        wallet_filter.index_first,
        wallet_filter.index_last,
        wallet_filter.created_from,
        wallet_filter.created_before,
    ]


def proof_from_row(row: Row) -> OwnershipProof:
    """Makes a proof of the columns address, fingerprint, signer_index and ownership_tag."""
    return OwnershipProof(
        row["address"], row["fingerprint"], row["signer_index"], row["ownership_tag"]
    )


def signing_wallet_from_row(row: Row) -> SigningWallet:
    """Makes a SigningWallet of a proof's columns, id, encrypted_private_key and key_group."""
    return SigningWallet(
        row["id"], proof_from_row(row), row["encrypted_private_key"], row["key_group"]
    )
