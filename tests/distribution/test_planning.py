"""Planning on a real database and a real SVM: frozen, idempotent, and refused by name."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from gateway.adapters.postgres import Database
from gateway.domain.amounts import U64_MAX
from gateway.domain.errors import (
    ChainUnavailableError,
    GatewayError,
    InvalidArgumentError,
    NotFoundError,
    OutOfRangeError,
    PreconditionFailedError,
    RequestIdConflictError,
    TotalTooSmallError,
)
from gateway.domain.orders import RecipientAddresses, RecipientIds, RecipientRange, Recipients
from gateway.domain.splits import EvenSplit, RandomSplit, Split, WeightedSplit
from gateway.domain.states import DistributionState
from tests.distribution.support import SEED, Desk
from tests.postgres.samples import address_of, derived, fingerprint_of

TOTAL = 10**9
REQUEST = str(UUID(int=7))


async def create_master(database: Database, count: int) -> UUID:
    """A master with `count` wallets, stored out of order."""
    async with database.transaction() as unit:
        master = await unit.masters.create(
            name="", fingerprint=fingerprint_of(1), encrypted_mnemonic="x", key_group="g"
        )
        half = count // 2
        await unit.wallets.insert_derived(derived(master, half, count - half))
        await unit.wallets.insert_derived(derived(master, 0, half))
    return master.id


async def test_the_same_request_plans_once(desk: Desk) -> None:
    """A repeated request returns the first distribution, its drawn seed too; another body fails."""
    order = desk.order(5, TOTAL, RandomSplit(b""))
    first = await desk.workflows.create(REQUEST, order)
    again = await desk.workflows.create(REQUEST, order)
    assert first == again
    assert first.split_seed == SEED
    with pytest.raises(RequestIdConflictError):
        await desk.workflows.create(REQUEST, desk.order(5, TOTAL + 1, RandomSplit(b"")))
    assert len((await desk.workflows.list_page()).items) == 1


async def test_plans_without_storing(desk: Desk) -> None:
    """Estimate and dry run store nothing, and agree with what is stored afterwards."""
    order = desk.order(45, TOTAL)
    plan = await desk.workflows.plan(order)
    estimate = await desk.workflows.estimate(order)
    assert (await desk.workflows.list_page()).items == []
    stored = await desk.workflows.create(REQUEST, order)
    assert plan.estimate == estimate == stored.estimate
    assert plan.etag == stored.etag
    assert stored.estimate.transaction_count == 3
    assert stored.estimate.base_fee_lamports == 15_000
    assert stored.estimate.rent_floor_lamports == 650_240


async def test_every_split_is_stored(desk: Desk) -> None:
    """Transfers come back in order, page by page, as they were planned."""
    splits: list[Split] = [EvenSplit(), RandomSplit(SEED), WeightedSplit((1, 2, 3))]
    for number, split in enumerate(splits, start=1):
        order = desk.order(3, TOTAL, split)
        planned = await desk.workflows.create(str(UUID(int=number)), order)
        page, _ = await desk.workflows.list_transfers(planned.id, 2)
        rest, _ = await desk.workflows.list_transfers(planned.id, 2, page.next_page_token)
        transfers = [*page.items, *rest.items]
        assert [item.position for item in transfers] == [0, 1, 2]
        assert sum(item.amount for item in transfers) == TOTAL
        assert rest.next_page_token == ""
        plan = await desk.workflows.plan(order)
        assert [item.amount for item in plan.transfers] == [item.amount for item in transfers]


async def test_recipients_by_id_and_by_range(desk: Desk, database: Database) -> None:
    """Ids keep their order; a range is paid in order of index."""
    master_id = await create_master(database, 10)
    async with database.read() as unit:
        wallets = await unit.wallets.derived_addresses(master_id, 0, 10)
    ids = [wallet_id for _, wallet_id, _ in wallets]
    base = desk.order(1, TOTAL, EvenSplit())
    by_id = await desk.workflows.plan(replace(base, recipients=RecipientIds(tuple(ids[::-1]))))
    by_range = await desk.workflows.plan(replace(base, recipients=RecipientRange(master_id, 2, 5)))
    addresses = [address for _, _, address in wallets]
    assert [item.recipient_address for item in by_id.transfers] == addresses[::-1]
    assert [item.recipient_address for item in by_range.transfers] == addresses[2:7]
    with pytest.raises(PreconditionFailedError) as caught:
        await desk.workflows.plan(replace(base, recipients=RecipientRange(master_id, 6, 5)))
    assert caught.value.field == "recipients.range"


BAD_RECIPIENTS: list[tuple[Recipients, type[GatewayError], str]] = [
    (RecipientAddresses(()), InvalidArgumentError, "recipients.addresses"),
    (RecipientAddresses(("nope",)), InvalidArgumentError, "recipients.addresses.addresses[0]"),
    (RecipientAddresses((address_of(1),) * 2), InvalidArgumentError, "recipients"),
    (RecipientAddresses((address_of(1),) * 10_001), InvalidArgumentError, "recipients.addresses"),
    (RecipientIds(()), InvalidArgumentError, "recipients.wallet_ids"),
    (RecipientIds((UUID(int=1),)), NotFoundError, "recipients.wallet_ids.ids[0]"),
    (RecipientRange(UUID(int=1), 0, 5), NotFoundError, "master_wallet_id"),
    (RecipientRange(UUID(int=1), -1, 5), InvalidArgumentError, "first_index"),
    (RecipientRange(UUID(int=1), 0, 0), InvalidArgumentError, "count"),
    (RecipientRange(UUID(int=1), 0, 10_001), InvalidArgumentError, "count"),
]


async def test_bad_recipients(desk: Desk) -> None:
    """Every way to name nobody, or too many, says which field it was."""
    for recipients, error, field in BAD_RECIPIENTS:
        with pytest.raises(error) as caught:
            await desk.workflows.plan(replace(desk.order(1, TOTAL), recipients=recipients))
        assert caught.value.field == field


async def test_bad_totals_and_sources(desk: Desk) -> None:
    """Too small, negative and overflowing totals, and an unknown source, are refused by name."""
    for total, error in (
        (1, TotalTooSmallError),
        (-5, InvalidArgumentError),
        (U64_MAX + 1, InvalidArgumentError),
        (U64_MAX, OutOfRangeError),
    ):
        with pytest.raises(error) as caught:
            await desk.workflows.plan(desk.order(5, total))
        assert caught.value.field == "total_lamports"
    with pytest.raises(NotFoundError) as unknown:
        await desk.workflows.plan(replace(desk.order(5, TOTAL), source_wallet_id=uuid4()))
    assert unknown.value.field == "source_wallet_id"
    with pytest.raises(NotFoundError) as missing:
        await desk.workflows.get(uuid4())
    assert missing.value.reason == "DISTRIBUTION_NOT_FOUND"


async def test_amounts_near_u64_max_are_kept(desk: Desk) -> None:
    """A total above 2**63 goes through plan, database and back unchanged."""
    total = U64_MAX - 10**6
    planned = await desk.workflows.create(REQUEST, desk.order(2, total, EvenSplit()))
    page, _ = await desk.workflows.list_transfers(planned.id)
    assert planned.total_amount == total
    assert sum(item.amount for item in page.items) == total


async def test_a_node_that_lies_or_dies_while_planning(desk: Desk) -> None:
    """Nothing is planned on answers that cannot be believed."""
    desk.node.faults.body("getMultipleAccounts", b"{}", times=4)
    with pytest.raises(ChainUnavailableError):
        await desk.workflows.create(REQUEST, desk.order(5, TOTAL))
    assert (await desk.workflows.create(REQUEST, desk.order(5, TOTAL))).transfer_count == 5


async def test_a_source_in_use_is_not_deleted(desk: Desk, database: Database) -> None:
    """A wallet that an unfinished distribution pays from stays; a cancelled one lets it go."""
    planned = await desk.planned(5, TOTAL)
    with pytest.raises(PreconditionFailedError):
        async with database.transaction() as unit:
            await unit.wallets.delete(desk.source_id)
    cancelled = await desk.workflows.cancel(planned.id)
    assert cancelled.state is DistributionState.CANCELLED
    async with database.transaction() as unit:
        await unit.wallets.delete(desk.source_id)
    assert (await desk.workflows.get(planned.id)).source_address == desk.source_address


async def test_distributions_are_listed_newest_first(desk: Desk) -> None:
    """Pages of distributions go back in time, each once."""
    made = [(await desk.planned(2, TOTAL, request=n)).id for n in range(1, 6)]
    listed: list[UUID] = []
    token = ""
    while True:
        page = await desk.workflows.list_page(2, token)
        listed += [item.id for item in page.items]
        token = page.next_page_token
        if not token:
            break
    assert listed == made[::-1]
