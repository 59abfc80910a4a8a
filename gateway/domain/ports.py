"""What the workflows need from the outside, as protocols that the adapters satisfy.

Repositories live on one connection, inside `Store.read` (no transaction) or `Store.transaction`.
Their methods' errors are written at the adapters; all are of gateway.domain.errors.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from gateway.domain.distribution_ports import Distributions
from gateway.domain.instructions import Instruction
from gateway.domain.lookup_tables import NO_TABLES, LookupTables
from gateway.domain.packing import TransactionVersion
from gateway.domain.pages import Page
from gateway.domain.requests import RequestKey
from gateway.domain.wallets import (
    DerivedWallets,
    IndexRange,
    MasterWallet,
    OwnershipProof,
    SigningWallet,
    Trade,
    Wallet,
    WalletFilter,
)


class Clock(Protocol):
    """Time. Tests put their own in its place."""

    def now(self) -> datetime:
        """Returns the time of day, in UTC."""
        ...

    def monotonic_s(self) -> float:
        """Returns seconds from an arbitrary point, never going back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""
        ...


@dataclass(frozen=True, slots=True)
class ComputeBudget:
    """A transaction's compute limit and priority fee, and (v1) how much account data it loads."""

    compute_unit_limit: int
    priority_fee_lamports: int
    loaded_data_bytes_max: int = 65_536


class TransactionCompiler(Protocol):
    """Makes wire bytes of instructions."""

    def compile(
        self,
        version: TransactionVersion,
        payer: str,
        instructions: Sequence[Instruction],
        blockhash: str,
        budget: ComputeBudget,
        lookup_tables: LookupTables = NO_TABLES,
    ) -> bytes:
        """Returns an unsigned wire transaction; v0 uses those tables that make it smaller."""
        ...

    def accounts_of(self, wire: bytes, lookup_tables: LookupTables = NO_TABLES) -> list[str]:
        """Returns the accounts of wire bytes that `compile` made, in their order."""
        ...

    def associated_token_address(self, owner: str, token_program: str, mint: str) -> str:
        """Returns the address of the token account that is derived for `owner`."""
        ...

    def derive_token_account(self, owner: str, token_program: str, mint: str) -> tuple[str, int]:
        """Returns that address, and how many others had to be tried before it."""
        ...

    def fee_probe(self, payer: str, blockhash: str) -> bytes:
        """Returns a message whose fee is that of one signature."""
        ...


class MasterWallets(Protocol):
    """Sealed master seeds."""

    async def create(
        self, *, name: str, fingerprint: str, encrypted_mnemonic: str, key_group: str
    ) -> MasterWallet:
        """Stores a master."""
        ...

    async def get(self, master_wallet_id: UUID) -> MasterWallet:
        """Returns a master."""
        ...

    async def lock(self, master_wallet_id: UUID) -> MasterWallet:
        """Returns a master and keeps others from deriving under it until the transaction ends."""
        ...

    async def lock_key_group(self, key_group: str) -> list[MasterWallet]:
        """Returns and locks every master of a key group."""
        ...

    async def list_page(self, page_size: int = 0, page_token: str = "") -> Page[MasterWallet]:
        """Returns masters in order of creation."""
        ...

    async def replace_record(
        self, master_wallet_id: UUID, *, old_record: str, record: str, key_group: str
    ) -> None:
        """Puts a record sealed anew in place of the old one."""
        ...


class Wallets(Protocol):
    """Sealed wallets and what is known about them."""

    async def get(self, wallet_id: UUID) -> Wallet:
        """Returns a wallet."""
        ...

    async def get_by_address(self, address: str) -> Wallet:
        """Returns the wallet with this address."""
        ...

    async def get_many(self, wallet_ids: Sequence[UUID]) -> list[Wallet | None]:
        """Returns wallets in the order asked for."""
        ...

    async def list_page(
        self, wallet_filter: WalletFilter, page_size: int = 0, page_token: str = ""
    ) -> Page[Wallet]:
        """Returns matching wallets in order of creation."""
        ...

    async def list_addresses(
        self, wallet_filter: WalletFilter, limit: int
    ) -> list[tuple[UUID, str]]:
        """Returns (id, address) of up to `limit` matching wallets."""
        ...

    async def derived_addresses(
        self, master_wallet_id: UUID, first: int, count: int
    ) -> list[tuple[int, UUID, str]]:
        """Returns (index, id, address) of the stored wallets in [first, first + count)."""
        ...

    async def addresses_of(self, wallet_ids: Sequence[UUID]) -> list[str | None]:
        """Returns addresses in the order asked for."""
        ...

    async def signing_wallets(self, addresses: Sequence[str]) -> dict[str, SigningWallet]:
        """Returns sealed records and proofs by address."""
        ...

    async def ownership_proofs(self, addresses: Sequence[str]) -> dict[str, OwnershipProof]:
        """Returns proofs by address."""
        ...

    async def list_proofs(self, after: int, limit: int) -> list[tuple[int, OwnershipProof]]:
        """Returns (place, proof) of up to `limit` wallets after a place, in order of creation."""
        ...

    async def update(
        self,
        wallet_id: UUID,
        *,
        name: str | None = None,
        tags: Sequence[str] | None = None,
        etag: str = "",
    ) -> Wallet:
        """Sets what is not None."""
        ...

    async def add_tag(self, wallet_id: UUID, tag: str) -> Wallet:
        """Adds a tag if it is not there."""
        ...

    async def remove_tag(self, wallet_id: UUID, tag: str) -> Wallet:
        """Removes a tag if it is there."""
        ...

    async def record_trade(self, wallet_id: UUID, trade: Trade) -> Wallet:
        """Counts a trade."""
        ...

    async def delete(self, wallet_id: UUID) -> Wallet:
        """Deletes a wallet for good."""
        ...

    async def missing_ranges(
        self, master_wallet_id: UUID, first: int, count: int
    ) -> list[IndexRange]:
        """Returns the indices in [first, first + count) that have no wallet."""
        ...

    async def count_key_group(self, key_group: str) -> int:
        """Returns how many wallets are of a key group."""
        ...

    async def insert_derived(self, wallets: DerivedWallets) -> int:
        """Stores derived wallets."""
        ...

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
        """Stores a wallet without a master; returns its id."""
        ...

    async def lock_key_group(self, key_group: str) -> list[SigningWallet]:
        """Returns and locks every wallet of a key group."""
        ...

    async def replace_records(
        self,
        *,
        old_key_group: str,
        key_group: str,
        wallet_ids: Sequence[UUID],
        records: Sequence[str],
        ownership_tags: Sequence[str],
    ) -> None:
        """Puts records and tags made anew in place of all those of a key group."""
        ...


class Idempotency(Protocol):
    """Responses by request id."""

    async def find(self, key: RequestKey) -> bytes | None:
        """Returns the stored response of this request."""
        ...

    async def lock(self, key: RequestKey) -> None:
        """Makes another transaction with the same request id wait until this one ends."""
        ...

    async def record(self, key: RequestKey, response: bytes) -> None:
        """Stores the response, in the transaction that did the work."""
        ...


class UnitOfWork(Protocol):
    """The repositories on one connection."""

    @property
    def masters(self) -> MasterWallets:
        """Master wallets."""
        ...

    @property
    def wallets(self) -> Wallets:
        """Wallets."""
        ...

    @property
    def distributions(self) -> Distributions:
        """Distributions."""
        ...

    @property
    def idempotency(self) -> Idempotency:
        """Request ids."""
        ...


class Store(Protocol):
    """The database."""

    def read(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Repositories without a transaction, for reads."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Repositories in one transaction: committed at the end, undone by an exception."""
        ...

    async def ping(self) -> None:
        """Returns if the database answers."""
        ...
