"""Which wallets a question is about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

WALLETS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class ByIds:
    """Wallets by id. `field` is what a refusal names."""

    wallet_ids: Sequence[UUID]
    field: str = "wallet_ids.ids"


@dataclass(frozen=True, slots=True)
class ByAddresses:
    """Any addresses."""

    addresses: Sequence[str]


@dataclass(frozen=True, slots=True)
class OfMaster:
    """All wallets of a master."""

    master_wallet_id: UUID


@dataclass(frozen=True, slots=True)
class OfTag:
    """All wallets with a tag."""

    tag: str


@dataclass(frozen=True, slots=True)
class OfGroup:
    """All wallets that fall into a group of the signer's policy."""

    name: str


Selection = ByIds | ByAddresses | OfMaster | OfTag | OfGroup
