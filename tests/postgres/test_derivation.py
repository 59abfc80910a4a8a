"""Derived wallets in a real PostgreSQL: repeated, raced, failed, deleted."""

import asyncio

import pytest

from gateway.adapters.postgres import Database
from gateway.domain.errors import (
    AlreadyExistsError,
    NotFoundError,
)
from gateway.domain.wallets import (
    DerivedWallets,
    IndexRange,
    WalletFilter,
)
from tests.postgres.kit import all_pages, create_master, derive
from tests.postgres.samples import address_of, derived


async def test_derivation_is_safe_to_repeat(database: Database) -> None:
    """Deriving a range again stores what is missing; derived_count is the number of rows."""
    master = await create_master(database)

    assert await derive(database, master, 10, 5) == 5
    assert await derive(database, master, 10, 5) == 0
    assert await derive(database, master, 8, 10) == 5

    async with database.read() as unit:
        assert (await unit.masters.get(master.id)).derived_count == 10
    wallets = await all_pages(database, WalletFilter(master_wallet_id=master.id), 3)
    assert sorted(wallet.derivation_index or 0 for wallet in wallets) == list(range(8, 18))


async def test_two_derivations_at_once_store_each_wallet_once(database: Database) -> None:
    """The master's row lock makes the second derivation see what the first one stored."""
    master = await create_master(database)
    stored = await asyncio.gather(*(derive(database, master, 0, 300) for _ in range(4)))

    assert sorted(stored) == [0, 0, 0, 300]
    async with database.read() as unit:
        assert (await unit.masters.get(master.id)).derived_count == 300


@pytest.mark.parametrize(
    ("present", "asked", "expected"),
    [
        ([], (0, 5), [(0, 5)]),
        ([0, 1, 2, 3, 4], (0, 5), []),
        ([0, 4], (0, 5), [(1, 3)]),
        ([2], (0, 5), [(0, 2), (3, 2)]),
        ([7], (0, 5), [(0, 5)]),
        ([2**31 - 1], (2**31 - 2, 2), [(2**31 - 2, 1)]),
    ],
)
async def test_missing_ranges(
    database: Database,
    present: list[int],
    asked: tuple[int, int],
    expected: list[tuple[int, int]],
) -> None:
    """Gaps are found at the beginning, in the middle, at the end, and at the highest index."""
    master = await create_master(database)
    async with database.transaction() as unit:
        for index in present:
            await unit.wallets.insert_derived(derived(master, index, 1))
        missing = await unit.wallets.missing_ranges(master.id, *asked)
    assert [IndexRange(*pair) for pair in expected] == missing


async def test_a_failed_derivation_leaves_nothing(database: Database) -> None:
    """An address that is taken undoes the whole derivation, derived_count included."""
    master = await create_master(database)
    await derive(database, master, 5, 1)
    with pytest.raises(AlreadyExistsError) as caught:
        async with database.transaction() as unit:
            await unit.wallets.insert_derived(derived(master, 0, 10))

    assert caught.value.field in {"first_index", "address"}
    async with database.read() as unit:
        assert (await unit.masters.get(master.id)).derived_count == 1
    assert len(await all_pages(database, WalletFilter(), 100)) == 1


async def test_copied_values_arrive_as_they_were(database: Database) -> None:
    """Tags with quotes, commas, backslashes and non-ASCII survive COPY; so do long records."""
    master = await create_master(database)
    tags = ("a,b", 'say "hi"', "back\\slash", "käse", "{curly}", "NULL")
    async with database.transaction() as unit:
        batch = derived(master, 0, 2, tags=tags)
        await unit.wallets.insert_derived(batch)
        wallet = await unit.wallets.get_by_address(batch.addresses[1])

    assert set(tags) == set(wallet.tags)
    assert batch.encrypted_private_keys[1] == wallet.encrypted_private_key
    assert batch.ownership_tags[1] == wallet.ownership_tag
    assert (master.fingerprint, 1) == (wallet.fingerprint, wallet.derivation_index)


async def test_copy_refuses_what_it_would_misread(database: Database) -> None:
    """A value that could break out of its column is refused before anything is sent."""
    master = await create_master(database)
    for bad in ("a\tb", "a\nb", "a\\Nb", "ä"):
        batch = DerivedWallets(master.id, "group", [0], [address_of(0)], [bad], ["tag"])
        with pytest.raises(ValueError, match="misread"):
            async with database.transaction() as unit:
                await unit.wallets.insert_derived(batch)


async def test_deleted_wallets_can_be_derived_again(database: Database) -> None:
    """A deletion frees index and address, and derived_count follows."""
    master = await create_master(database)
    await derive(database, master, 0, 3)
    async with database.transaction() as unit:
        wallet = await unit.wallets.get_by_address(derived(master, 1, 1).addresses[0])
        await unit.wallets.delete(wallet.id)
    async with database.read() as unit:
        assert (await unit.masters.get(master.id)).derived_count == 2
        with pytest.raises(NotFoundError):
            await unit.wallets.get(wallet.id)

    assert await derive(database, master, 0, 3) == 1
    async with database.read() as unit:
        again = await unit.wallets.get_by_address(wallet.address)
        assert (await unit.masters.get(master.id)).derived_count == 3
    assert wallet.derivation_index == again.derivation_index
