"""Wallets and masters in a real PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from gateway.adapters.postgres import Database
from gateway.adapters.postgres.database import PostgresUnit
from gateway.domain.amounts import U64_MAX
from gateway.domain.errors import (
    AlreadyExistsError,
    EtagMismatchError,
    GatewayError,
    InvalidArgumentError,
    NotFoundError,
    OutOfRangeError,
    PreconditionFailedError,
    RequestIdConflictError,
    StoreUnavailableError,
)
from gateway.domain.requests import RequestKey
from gateway.domain.wallets import (
    DerivedWallets,
    IndexRange,
    MasterWallet,
    Trade,
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


async def test_the_schema_keeps_wallets_and_masters_together(database: Database) -> None:
    """Whoever writes past the repositories still cannot orphan a wallet or change what it is."""
    master = await create_master(database)
    await derive(database, master, 0, 2)
    for statement in (
        "UPDATE wallets SET derivation_index = derivation_index + 1",
        "UPDATE wallets SET address = repeat('1', 32)",
        "DELETE FROM master_wallets",
        INSERT + "(repeat('1', 32), 0, gen_random_uuid(), 'x', 'x', 'x')",
        INSERT + "(repeat('1', 32), 0, NULL, 'x', 'x', 'x')",
    ):
        with pytest.raises(GatewayError):
            async with database.transaction() as unit:
                await unit.connection.run_script(statement)
    assert len(await all_pages(database, WalletFilter(master_wallet_id=master.id), 100)) == 2


async def test_masters_are_unique_and_listed(database: Database) -> None:
    """The same mnemonic cannot be stored twice; masters are listed by creation."""
    masters = [await create_master(database, seed) for seed in range(1, 6)]
    with pytest.raises(AlreadyExistsError) as caught:
        await create_master(database, 3)
    assert (caught.value.reason, caught.value.field) == ("ALREADY_STORED", "mnemonic")
    async with database.read() as unit:
        page = await unit.masters.list_page(3)
        rest = await unit.masters.list_page(3, page.next_page_token)
        with pytest.raises(NotFoundError):
            await unit.masters.get(uuid4())
    assert masters == [*page.items, *rest.items]


async def test_a_request_is_served_once(database: Database) -> None:
    """Of identical requests at the same moment one does the work, the others get its response."""
    key = RequestKey(uuid4(), "RecordTrade", bytes(32))
    wallet = await import_wallet(database, 1)

    async def serve() -> bytes:
        async with database.transaction() as unit:
            await unit.idempotency.lock(key)
            stored = await unit.idempotency.find(key)
            if stored is not None:
                return stored
            traded = await unit.wallets.record_trade(wallet.id, Trade(5, NOON))
            response = str(traded.total_trades).encode()
            await unit.idempotency.record(key, response)
            return response

    assert await asyncio.gather(*(serve() for _ in range(6))) == [b"1"] * 6
    async with database.read() as unit:
        assert (await unit.wallets.get(wallet.id)).total_trades == 1
        for other in (
            RequestKey(key.request_id, "RecordTrade", bytes(31) + b"\1"),
            RequestKey(key.request_id, "AddTag", bytes(32)),
        ):
            with pytest.raises(RequestIdConflictError):
                await unit.idempotency.find(other)


async def test_a_connection_killed_in_a_transaction(database: Database) -> None:
    """What the server kills is StoreUnavailableError, leaves nothing, and the next call works."""
    master = await create_master(database)

    async def work() -> None:
        async with database.transaction() as unit:
            await unit.masters.lock(master.id)
            await unit.wallets.insert_derived(derived(master, 0, 5))
            pid = await unit.connection.fetchval("SELECT pg_backend_pid()")
            async with database.read() as other:
                await other.connection.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
            await unit.wallets.missing_ranges(master.id, 0, 5)

    with pytest.raises(StoreUnavailableError):
        await work()
    assert await derive(database, master, 0, 5) == 5


async def test_a_cancelled_transaction_is_undone(database: Database) -> None:
    """A caller that goes away in the middle leaves nothing, and gives its connection back."""
    master = await create_master(database)
    reached = asyncio.Event()

    async def work() -> None:
        async with database.transaction() as unit:
            await unit.wallets.insert_derived(derived(master, 0, 5))
            reached.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await derive(database, master, 0, 5) == 5


async def test_no_database_is_a_typed_error(tmp_path: object) -> None:
    """A gateway whose database is away gets StoreUnavailableError, not a driver exception."""
    database = await Database.open(f"postgresql://nobody@/nothing?host={tmp_path}")
    with pytest.raises(StoreUnavailableError) as caught:
        await database.ping()
    assert isinstance(caught.value, GatewayError)
    assert caught.value.reason == "DATABASE_UNAVAILABLE"
    await database.close()
