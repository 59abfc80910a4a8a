"""Masters and wallets as the tests of the wallet repository make them."""

from datetime import UTC, datetime

from gateway.adapters.postgres import Database
from gateway.domain.wallets import (
    MasterWallet,
    Wallet,
    WalletFilter,
)
from tests.postgres.samples import address_of, derived, fingerprint_of

INSERT = (
    "INSERT INTO wallets (address, derivation_index, master_wallet_id, encrypted_private_key, "
    "key_group, ownership_tag) VALUES "
)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


async def create_master(database: Database, seed: int = 1) -> MasterWallet:
    """Stores a master."""
    async with database.transaction() as unit:
        return await unit.masters.create(
            name=f"desk {seed}",
            fingerprint=fingerprint_of(seed),
            encrypted_mnemonic="solward1$mnemonic$...",
            key_group=f"group-{seed}",
        )


async def derive(database: Database, master: MasterWallet, first: int, count: int) -> int:
    """What a derivation does: lock, see what is missing, store it."""
    async with database.transaction() as unit:
        await unit.masters.lock(master.id)
        stored = 0
        for gap in await unit.wallets.missing_ranges(master.id, first, count):
            stored += await unit.wallets.insert_derived(derived(master, gap.first, gap.count))
        return stored


async def import_wallet(database: Database, seed: int, tags: tuple[str, ...] = ()) -> Wallet:
    """Stores an imported wallet."""
    async with database.transaction() as unit:
        wallet_id = await unit.wallets.insert_imported(
            address=address_of(seed),
            encrypted_private_key="solward1$wallet$...",
            key_group=f"imported-{seed}",
            ownership_tag="t1.00000000.AAAA",
            tags=tags,
        )
        return await unit.wallets.get(wallet_id)


async def all_pages(
    database: Database, wallet_filter: WalletFilter, page_size: int
) -> list[Wallet]:
    """Walks all pages."""
    wallets: list[Wallet] = []
    token = ""
    while True:
        async with database.read() as unit:
            page = await unit.wallets.list_page(wallet_filter, page_size, token)
        wallets += page.items
        token = page.next_page_token
        if not token:
            return wallets
