"""The policy as frozen values. `docs/policy.md` documents the language, `loader` reads it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from solders.pubkey import Pubkey

INDEX_MAX = 2**31 - 1
UNLIMITED = 2**64 - 1  # a u64 amount cannot exceed it
ANY = "*"  # any mint, or any master
IMPORTED = "imported"  # wallets that no master derived
ROLE_NONE: frozenset[str] = frozenset()


class PolicyError(ValueError):
    """The policy file cannot be used; the text names the key. It never quotes a value at length."""


@dataclass(frozen=True, slots=True)
class Charge:
    """An amount that a verdict counts against a sliding window: the ledger reserves it before the
    signature. `meter` begins with its kind, which fixes the window: "signatures/" 60 s, all others
    24 h. An unlimited charge is counted all the same, so that a cap set tomorrow knows of today.
    """

    meter: str
    amount: int
    limit: int
    rule: str


@dataclass(frozen=True, slots=True)
class Group:
    """The rules for the wallets of one group. Lamport and token amounts are per wallet and
    transaction unless the name says otherwise; None in an optional cap means no such cap.
    """

    name: str
    master_fingerprints: frozenset[str]
    programs: frozenset[str]  # base58
    lamports_per_transaction_max: int
    destinations: str | frozenset[str]  # "vault", "any" or addresses
    index_first: int = 0
    index_last: int = INDEX_MAX
    signatures_per_minute: int = 100
    instructions_allow: frozenset[str] = ROLE_NONE
    instructions_deny: frozenset[str] = ROLE_NONE
    destinations_deny: frozenset[str] = ROLE_NONE
    close_refunds: str = "self"  # or "destinations"
    priority_fee_lamports_max: int | None = None
    lamports_per_day_max: int | None = None
    group_lamports_per_day_max: int | None = None
    tokens_per_transaction_max: Mapping[str, int] = field(default_factory=dict)  # by mint, or "*"
    tokens_per_day_max: Mapping[str, int] = field(default_factory=dict)
    group_tokens_per_day_max: Mapping[str, int] = field(default_factory=dict)
    trusted_programs: Mapping[str, int] = field(default_factory=dict)  # lamports charged a call
    message_signing: str = "off"

    def matches(self, fingerprint: str, index: int) -> bool:
        """Tells whether a wallet, by verified fingerprint ("" if imported) and index, is in it."""
        if fingerprint == "":
            return IMPORTED in self.master_fingerprints
        known = self.master_fingerprints & {ANY, fingerprint}
        return bool(known) and self.index_first <= index <= self.index_last


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policy file. `digest` is the lower hex SHA-256 of its bytes."""

    version: int
    digest: str
    groups: tuple[Group, ...]
    ata_rent_lamports_max: int
    lookup_tables: Mapping[str, str]  # table address to lower hex SHA-256 of its content

    def group_of(self, fingerprint: str, index: int) -> Group | None:
        """Gives the first group that matches, None if none does: then nothing is allowed."""
        return next((g for g in self.groups if g.matches(fingerprint, index)), None)

    def pinned_tables(self, contents: Mapping[str, bytes]) -> dict[str, tuple[str, ...]]:
        """Picks from `contents` (concatenated 32-byte keys by table address, from an untrusted
        caller) the tables whose SHA-256 the policy pins, as addresses for the parser.
        """
        return {
            table: tuple(
                str(Pubkey.from_bytes(keys[at : at + 32])) for at in range(0, len(keys), 32)
            )
            for table, keys in contents.items()
            if len(keys) % 32 == 0
            and hashlib.sha256(keys).hexdigest() == self.lookup_tables.get(table)
        }
