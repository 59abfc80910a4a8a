"""Master wallets and wallets as values, and the limits on what people write on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from gateway.domain.errors import InvalidArgumentError

DERIVATION_INDEX_MAX: Final = 2**31 - 1
DERIVE_COUNT_MAX: Final = 10_000
NAME_CHARACTERS_MAX: Final = 100
TAG_CHARACTERS_MAX: Final = 64
TAGS_PER_WALLET_MAX: Final = 50
# What has one password is sealed anew together, in one call of the signer's: so many wallets.
KEY_GROUP_WALLETS_MAX: Final = 20_000
IMPORTED_INDEX: Final = -1
"""What the signer is told as the index of a wallet that no master derived."""


@dataclass(frozen=True, slots=True)
class MasterWallet:
    """A master seed, sealed. `derived_count` is how many of its wallets are stored now."""

    id: UUID
    name: str
    fingerprint: str
    encrypted_mnemonic: str
    key_group: str
    derived_count: int
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet. `derivation_index` and `master_wallet_id` are None for an imported one.

    `fingerprint` is that of the master, "" for an imported wallet, as the signer wants it.
    """

    id: UUID
    address: str
    derivation_index: int | None
    master_wallet_id: UUID | None
    fingerprint: str
    encrypted_private_key: str
    key_group: str
    ownership_tag: str
    name: str
    tags: tuple[str, ...]
    total_trades: int
    total_volume_lamports: int
    version: int
    created_at: datetime
    last_used_at: datetime | None

    @property
    def etag(self) -> str:
        """Changes whenever name or tags change; not with trades, which only add up."""
        return f"w{self.version}"


@dataclass(frozen=True, slots=True)
class OwnershipProof:
    """What lets the signer recognise one of its own addresses with no database."""

    address: str
    fingerprint: str
    derivation_index: int
    ownership_tag: str


@dataclass(frozen=True, slots=True)
class SigningWallet:
    """What the signer needs to sign for a wallet: the proof and the sealed record."""

    id: UUID
    proof: OwnershipProof
    encrypted_private_key: str
    key_group: str

    @property
    def address(self) -> str:
        """The wallet's base58 address."""
        return self.proof.address


@dataclass(frozen=True, slots=True)
class IndexRange:
    """The derivation indices first, first + 1, ... first + count - 1."""

    first: int
    count: int


@dataclass(frozen=True, slots=True)
class DerivedWallets:
    """Wallets of one master as parallel columns: row i is indices[i], addresses[i], and so on.

    Columns, not rows: 10,000 objects would cost more than storing them. `key_group` and `tags`
    are the same for all.
    """

    master_wallet_id: UUID
    key_group: str
    indices: Sequence[int]
    addresses: Sequence[str]
    encrypted_private_keys: Sequence[str]
    ownership_tags: Sequence[str]
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WalletFilter:
    """Every given condition must hold. All bounds are inclusive but `created_before`."""

    tags_all: tuple[str, ...] = ()
    master_wallet_id: UUID | None = None
    address_prefix: str = ""
    index_first: int | None = None
    index_last: int | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade to count on a wallet."""

    volume_lamports: int
    traded_at: datetime


def require_name(name: str, field: str = "name") -> str:
    """Returns a name of at most 100 printable characters; raises InvalidArgumentError otherwise."""
    if len(name) > NAME_CHARACTERS_MAX or not (name == "" or name.isprintable()):
        raise InvalidArgumentError(
            f"{field} must be at most {NAME_CHARACTERS_MAX} printable characters", field=field
        )
    return name


def require_tag(tag: str, field: str = "tag") -> str:
    """Returns a tag of 1 to 64 printable characters, no space around, or raises."""
    if not 1 <= len(tag) <= TAG_CHARACTERS_MAX or not tag.isprintable() or tag != tag.strip():
        raise InvalidArgumentError(
            f"{field} must be 1 to {TAG_CHARACTERS_MAX} printable characters without outer spaces",
            field=field,
        )
    return tag


def require_tags(tags: Sequence[str], field: str = "tags") -> tuple[str, ...]:
    """Returns the tags sorted and without repeats; raises for a bad one or more than 50."""
    unique = tuple(sorted({require_tag(tag, field) for tag in tags}))
    if len(unique) > TAGS_PER_WALLET_MAX:
        raise InvalidArgumentError(f"{field} must be at most {TAGS_PER_WALLET_MAX}", field=field)
    return unique


def require_index_range(first: int, count: int) -> IndexRange:
    """Returns a range of 1 to 10,000 indices within [0, 2**31-1], or raises."""
    if not 1 <= count <= DERIVE_COUNT_MAX:
        raise InvalidArgumentError(f"count must be between 1 and {DERIVE_COUNT_MAX}", field="count")
    if not 0 <= first <= DERIVATION_INDEX_MAX - count + 1:
        raise InvalidArgumentError(
            f"first_index and count must stay within 0 and {DERIVATION_INDEX_MAX}",
            field="first_index",
        )
    return IndexRange(first, count)
