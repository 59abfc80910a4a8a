"""Wallets and masters in a real PostgreSQL."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from gateway.adapters.postgres import Database
from gateway.adapters.postgres.database import PostgresUnit
from gateway.domain.amounts import U64_MAX
from gateway.domain.errors import (
    EtagMismatchError,
    InvalidArgumentError,
    NotFoundError,
    OutOfRangeError,
    PreconditionFailedError,
)
from gateway.domain.wallets import (
    Trade,
    WalletFilter,
)
from tests.postgres.kit import NOON, all_pages, create_master, derive, import_wallet
from tests.postgres.samples import address_of, derived


async def test_pages_show_every_wallet_once_in_order(database: Database) -> None:
    """Pages of any size yield all wallets in order of creation, also while some are added."""
    master = await create_master(database)
    await derive(database, master, 0, 25)
    for page_size in (1, 7, 25, 1000):
        wallets = await all_pages(database, WalletFilter(), page_size)
        assert list(range(25)) == [wallet.derivation_index for wallet in wallets]

    async with database.read() as unit:
        first = await unit.wallets.list_page(WalletFilter(), 20)
    await derive(database, master, 25, 5)
    async with database.read() as unit:
        second = await unit.wallets.list_page(WalletFilter(), 20, first.next_page_token)
    assert list(range(20, 30)) == [wallet.derivation_index for wallet in second.items]
    assert second.next_page_token == ""


async def test_page_tokens_of_other_queries_are_refused(database: Database) -> None:
    """A token goes with its filter; anything else is INVALID_ARGUMENT naming page_token."""
    master = await create_master(database)
    await derive(database, master, 0, 3)
    async with database.read() as unit:
        page = await unit.wallets.list_page(WalletFilter(), 1)
        for wallet_filter, token in [
            (WalletFilter(tags_all=("x",)), page.next_page_token),
            (WalletFilter(), "nonsense!"),
            (WalletFilter(), page.next_page_token[:-2]),
        ]:
            with pytest.raises(InvalidArgumentError) as caught:
                await unit.wallets.list_page(wallet_filter, 1, token)
            assert caught.value.field == "page_token"


async def test_filters(database: Database) -> None:
    """Each filter selects what it says, and several together select what satisfies all."""
    first, second = await create_master(database, 1), await create_master(database, 2)
    await derive(database, first, 0, 20)
    await derive(database, second, 100, 5)
    imported = await import_wallet(database, 999, ("hot", "desk"))
    async with database.transaction() as unit:
        tagged = await unit.wallets.get_by_address(derived(first, 3, 1).addresses[0])
        await unit.wallets.update(tagged.id, tags=["hot"])

    async def found(**conditions: object) -> set[str]:
        wallet_filter = WalletFilter(**conditions)  # type: ignore[arg-type]  # test shorthand
        return {wallet.address for wallet in await all_pages(database, wallet_filter, 4)}

    assert await found(tags_all=("hot",)) == {tagged.address, imported.address}
    assert await found(tags_all=("hot", "desk")) == {imported.address}
    assert await found(tags_all=("cold",)) == set()
    assert await found(master_wallet_id=second.id) == set(derived(second, 100, 5).addresses)
    assert await found(index_first=18, index_last=101) == {
        *derived(first, 18, 2).addresses,
        *derived(second, 100, 2).addresses,
    }
    assert await found(address_prefix=imported.address[:6]) == {imported.address}
    assert await found(address_prefix=imported.address) == {imported.address}
    assert len(await found(created_from=imported.created_at)) == 1
    assert len(await found(created_before=imported.created_at)) == 25
    assert len(await found(created_from=imported.created_at + timedelta(seconds=1))) == 0
    assert await found(master_wallet_id=first.id, tags_all=("hot",)) == {tagged.address}
    with pytest.raises(InvalidArgumentError):
        await found(address_prefix="0%")


async def test_updates_by_mask_and_etag(database: Database) -> None:
    """Only what is given changes; a stale etag changes nothing; trades do not change the etag."""
    wallet = await import_wallet(database, 1, ("a",))
    async with database.transaction() as unit:
        named = await unit.wallets.update(wallet.id, name="café", etag=wallet.etag)
        assert (named.name, named.tags) == ("café", ("a",))
        tagged = await unit.wallets.update(wallet.id, tags=["z", "b", "b"])
        assert (tagged.name, tagged.tags) == ("café", ("b", "z"))
        with pytest.raises(EtagMismatchError):
            await unit.wallets.update(wallet.id, name="x", etag=wallet.etag)
        with pytest.raises(NotFoundError):
            await unit.wallets.update(uuid4(), name="x", etag=wallet.etag)
        traded = await unit.wallets.record_trade(wallet.id, Trade(1, NOON))
        assert tagged.etag == traded.etag
        emptied = await unit.wallets.update(wallet.id, name="", tags=[])
        assert (emptied.name, emptied.tags) == ("", ())


async def test_bad_tags_are_refused(database: Database) -> None:
    """Empty, padded, unprintable and long tags are the caller's mistake."""
    wallet = await import_wallet(database, 1)
    async with database.transaction() as unit:
        for tag in ("", " a", "a\0b", "x" * 65, "a\n"):
            with pytest.raises(InvalidArgumentError):
                await unit.wallets.add_tag(wallet.id, tag)


async def test_tags_are_added_and_removed_once(database: Database) -> None:
    """AddTag and RemoveTag are idempotent, atomic against each other, and bounded."""
    wallet = await import_wallet(database, 1)

    async def add(tag: str) -> None:
        async with database.transaction() as unit:
            await unit.wallets.add_tag(wallet.id, tag)

    await asyncio.gather(*(add(f"t{number % 20:02}") for number in range(60)))
    async with database.transaction() as unit:
        stored = await unit.wallets.get(wallet.id)
        assert tuple(f"t{number:02}" for number in range(20)) == stored.tags
        assert (await unit.wallets.add_tag(wallet.id, "t00")).etag == stored.etag
        assert (await unit.wallets.remove_tag(wallet.id, "nope")).etag == stored.etag
        assert "t07" not in (await unit.wallets.remove_tag(wallet.id, "t07")).tags
        await unit.wallets.update(wallet.id, tags=[f"u{number}" for number in range(50)])
        with pytest.raises(InvalidArgumentError) as caught:
            await unit.wallets.add_tag(wallet.id, "one more")
        assert caught.value.field == "tag"
        with pytest.raises(NotFoundError):
            await unit.wallets.add_tag(uuid4(), "t")


async def test_trades_add_up(database: Database) -> None:
    """Concurrent trades are all counted, last_used_at never goes back, volumes up to u64 fit."""
    wallet = await import_wallet(database, 1)

    async def trade(number: int) -> None:
        async with database.transaction() as unit:
            await unit.wallets.record_trade(
                wallet.id, Trade(2**53 + number, NOON + timedelta(seconds=number))
            )

    await asyncio.gather(*(trade(number) for number in range(30)))
    async with database.read() as unit:
        stored = await unit.wallets.get(wallet.id)
    assert stored.total_trades == 30
    assert stored.total_volume_lamports == 30 * 2**53 + sum(range(30))
    assert stored.last_used_at == NOON + timedelta(seconds=29)


async def test_volume_up_to_u64_max_and_no_further(database: Database) -> None:
    """A volume of exactly u64 max is kept to the unit; one more is refused and adds nothing."""
    wallet = await import_wallet(database, 1)
    async with database.transaction() as unit:
        await unit.wallets.record_trade(wallet.id, Trade(U64_MAX, NOON))
    with pytest.raises(OutOfRangeError):
        async with database.transaction() as unit:
            await unit.wallets.record_trade(wallet.id, Trade(1, NOON))
    async with database.read() as unit:
        stored = await unit.wallets.get(wallet.id)
        with pytest.raises(NotFoundError):
            await unit.wallets.record_trade(uuid4(), Trade(1, NOON))
    assert (stored.total_volume_lamports, stored.total_trades) == (U64_MAX, 1)


async def test_signing_wallets_and_proofs(database: Database) -> None:
    """The signer is told the master's fingerprint and index, or "" and -1 for an imported one."""
    master = await create_master(database)
    await derive(database, master, 7, 1)
    imported = await import_wallet(database, 50)
    ours = derived(master, 7, 1).addresses[0]
    async with database.read() as unit:
        signing = await unit.wallets.signing_wallets([ours, imported.address, address_of(12345)])
        proofs = await unit.wallets.ownership_proofs([ours, imported.address, address_of(12345)])

    assert set(signing) == {ours, imported.address}
    assert (signing[ours].proof.fingerprint, signing[ours].proof.derivation_index) == (
        master.fingerprint,
        7,
    )
    imported_proof = signing[imported.address].proof
    assert (imported_proof.fingerprint, imported_proof.derivation_index) == ("", -1)
    assert {address: wallet.proof for address, wallet in signing.items()} == proofs


async def test_key_groups_are_replaced_whole_or_not_at_all(database: Database) -> None:
    """Sealing anew replaces every record of a key group; one left out undoes it."""
    master = await create_master(database)
    await derive(database, master, 0, 10)

    async def renew(unit: PostgresUnit, count: int) -> None:
        locked = (await unit.wallets.lock_key_group(master.key_group))[:count]
        await unit.wallets.replace_records(
            old_key_group=master.key_group,
            key_group="new",
            wallet_ids=[wallet.id for wallet in locked],
            records=[f"new-{wallet.proof.derivation_index}" for wallet in locked],
            ownership_tags=["tag"] * count,
        )

    with pytest.raises(PreconditionFailedError):
        async with database.transaction() as unit:
            await renew(unit, 9)
    async with database.transaction() as unit:
        masters = await unit.masters.lock_key_group(master.key_group)
        assert [master.id] == [locked.id for locked in masters]
        await renew(unit, 10)
        await unit.masters.replace_record(
            master.id, old_record=master.encrypted_mnemonic, record="new", key_group="new"
        )
    wallets = await all_pages(database, WalletFilter(), 100)
    assert [f"new-{index}" for index in range(10)] == [w.encrypted_private_key for w in wallets]
    assert {("new", "tag")} == {(wallet.key_group, wallet.ownership_tag) for wallet in wallets}
