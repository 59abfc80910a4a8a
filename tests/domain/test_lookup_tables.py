"""Lookup tables: what a transaction uses of them, its size by the compiler, packing by table."""

import hashlib
from collections.abc import Callable, Sequence
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from gateway.adapters.solana_tx import SoldersTransactions
from gateway.domain import token_programs as programs
from gateway.domain.addresses import decode_base58, encode_base58
from gateway.domain.instructions import (
    AccountUse,
    Instruction,
    set_compute_unit_limit,
    set_compute_unit_price,
    transfer_lamports,
)
from gateway.domain.lookup_tables import (
    LOOKUP_TABLE_PROGRAM,
    NO_TABLES,
    LookupTable,
    LookupTables,
    read_lookup_table,
)
from gateway.domain.packing import LIMITS, Parcel, TransactionVersion, pack
from gateway.domain.planner import PlanInput, plan_distribution
from gateway.domain.plans import Asset, FeeRates, Plan
from gateway.domain.ports import ComputeBudget
from gateway.domain.splits import EvenSplit

BLOCKHASH = "1" * 32
LEGACY, V0 = TransactionVersion.LEGACY, TransactionVersion.V0
OPENING = [set_compute_unit_limit(1), set_compute_unit_price(1)]
ASSET = Asset("So11111111111111111111111111111111111111112", programs.TOKEN, 9)
PAYER = "9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin"
RATES = FeeRates(5_000, 650_240, 0)
_HEADER = bytes([1, 0, 0, 0]) + b"\xff" * 8 + bytes(44)


def address_of(number: int) -> str:
    """An address for a number."""
    return encode_base58(hashlib.sha256(f"entry {number}".encode()).digest())


def table_of(number: int, addresses: Sequence[str]) -> LookupTable:
    """A table of these addresses."""
    content = b"".join(map(decode_base58, addresses))
    return LookupTable(address_of(1_000_000 + number), content)


def shelves(addresses: Sequence[str], size: int = 256) -> LookupTables:
    """Tables that hold these addresses, in order."""
    starts = range(0, len(addresses), size)
    return LookupTables([table_of(at, addresses[at : at + size]) for at in starts])


def compiled(
    instructions: Sequence[Instruction], tables: LookupTables, version: TransactionVersion = V0
) -> bytes:
    """What the compiler makes of it."""
    return SoldersTransactions().compile(
        version, PAYER, instructions, BLOCKHASH, ComputeBudget(1000, 1), tables
    )


uses = st.builds(AccountUse, st.integers(0, 30).map(address_of), st.booleans(), st.booleans())
instructions_ = st.builds(
    Instruction,
    st.integers(28, 32).map(address_of),
    st.lists(uses, max_size=12).map(tuple),
    st.binary(max_size=40),
)
tables_ = st.lists(
    st.lists(st.integers(0, 35).map(address_of), min_size=1, max_size=20), max_size=4
).map(lambda lists: LookupTables([table_of(at, held) for at, held in enumerate(lists)]))


@settings(deadline=None)
@given(st.lists(instructions_, min_size=1, max_size=8), tables_)
def test_measures_are_what_the_compiler_makes(
    items: list[Instruction], tables: LookupTables
) -> None:
    """Bytes, signatures and accounts agree with the compiled transaction, whatever the tables hold:
    signers, programs, the same address twice or in several.
    """
    parcel = Parcel(V0, PAYER, tables)
    if not parcel.add(items):
        return
    measure = parcel.measure()
    wire = compiled(items, tables)
    message = VersionedTransaction.from_bytes(wire).message
    assert isinstance(message, MessageV0)
    used = [str(lookup.account_key) for lookup in message.address_table_lookups]
    assert len(wire) == measure.bytes
    assert message.header.num_required_signatures == measure.signatures
    assert [table.address for table in tables.used_by(PAYER, items)] == used
    accounts = SoldersTransactions().accounts_of(wire, tables)
    assert measure.accounts == len(accounts) == len(set(accounts))
    named = {PAYER} | {item.program for item in items}
    assert named | {use.address for item in items for use in item.accounts} == set(accounts)


@settings(deadline=None)
@given(st.lists(instructions_, min_size=1, max_size=8), tables_)
def test_tables_never_make_it_longer(items: list[Instruction], tables: LookupTables) -> None:
    """With any tables a transaction is at most as long as without, which is legacy and 2 bytes."""
    without = compiled(items, NO_TABLES)
    assert len(compiled(items, tables)) <= len(without)
    assert len(compiled(items, NO_TABLES, LEGACY)) + 2 == len(without)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 400), min_size=2, max_size=70, unique=True),
    st.lists(st.lists(st.integers(0, 400), min_size=1, max_size=40), max_size=6),
)
def test_half_of_what_fits_fits(recipients: list[int], held: list[list[int]]) -> None:
    """A transaction that failed is split: its halves, with tables chosen anew, are no longer."""
    tables = LookupTables(
        [table_of(at, list(map(address_of, each))) for at, each in enumerate(held)]
    )
    parcel = Parcel(V0, PAYER, tables)
    parcel.add(OPENING)
    taken = [
        transfer
        for transfer in (transfer_lamports(PAYER, address_of(n), 1) for n in recipients)
        if parcel.add([transfer])
    ]
    middle = len(taken) // 2
    for half in (taken[:middle], taken[middle:]):
        assert len(compiled([*OPENING, *half], tables)) <= LIMITS[V0].bytes_max


SOURCE_ACCOUNT = address_of(999)


def sol(number: int) -> list[Instruction]:
    """A transfer of SOL."""
    return [transfer_lamports(PAYER, address_of(number), 1)]


def token(number: int) -> list[Instruction]:
    """A token transfer to an account that exists."""
    return [programs.transfer_checked(SOURCE_ACCOUNT, address_of(number), PAYER, ASSET, 1, None)]


def token_and_creation(number: int) -> list[Instruction]:
    """A token transfer to an account that is made on the way."""
    owner = address_of(number + 500)
    return [programs.create_idempotent(PAYER, address_of(number), owner, ASSET), *token(number)]


def closing(number: int) -> list[Instruction]:
    """An account of the payer's is closed."""
    return [programs.close_account(address_of(number), PAYER, PAYER, ASSET.token_program)]


@pytest.mark.parametrize(
    ("make", "most"), [(sol, 54), (token, 54), (token_and_creation, 10), (closing, 61)]
)
def test_the_packing_is_full(make: Callable[[int], list[Instruction]], most: int) -> None:
    """With a table that holds all that is not signed for, one more than the packer takes would
    break a limit, as the compiler and the protocol's numbers confirm.
    """
    others = [*map(address_of, range(1, 100)), *map(address_of, range(501, 600))]
    held = [SOURCE_ACCOUNT, ASSET.mint, *others]
    tables = LookupTables([table_of(0, held), table_of(1, held[::-1])])
    parcel = Parcel(V0, PAYER, tables)
    assert parcel.add(OPENING)
    taken = 0
    while parcel.add(make(taken + 1)):
        taken += 1
    assert most == taken
    items = [*OPENING, *(step for n in range(1, taken + 2) for step in make(n))]
    wire = compiled(items, tables)
    limits = LIMITS[V0]
    assert (
        len(wire) > limits.bytes_max
        or len(SoldersTransactions().accounts_of(wire, tables)) > limits.accounts_max
        or sum(item.trace_entries for item in items) > limits.trace_entries_max
    )


def plan_of(recipients: Sequence[str], tables: LookupTables) -> Plan:
    """A v0 payout of SOL to them."""
    return plan_distribution(
        PlanInput(
            source_wallet_id=UUID(int=1),
            source_address=PAYER,
            recipient_addresses=recipients,
            recipient_balances=[10**6] * len(recipients),
            total_lamports=10**10,
            split=EvenSplit(),
            rates=RATES,
            version=V0,
            lookup_tables=tables,
        )
    )


def test_ten_thousand_recipients_in_forty_tables() -> None:
    """Grouped by table, 10,000 recipients named in any order are 187 transactions: 54 where one
    table serves, 52 where two do. Everybody is paid the share that the order gives him.
    """
    members = [address_of(number) for number in range(10_000)]
    mixed = sorted(members)
    plan = plan_of(mixed, shelves(members))
    assert 187 == len(plan.batches)
    sizes = [batch.transfer_count for batch in plan.batches]
    assert ({52, 54}, 10_000) == (set(sizes[:-1]), sum(sizes))
    assert 40 == len(plan.lookup_tables.tables)
    assert sorted(mixed) == sorted(item.recipient_address for item in plan.transfers)
    without = plan_of(mixed, NO_TABLES)
    shares = {item.recipient_address: item.amount for item in without.transfers}
    assert shares == {item.recipient_address: item.amount for item in plan.transfers}
    assert 500 == len(without.batches)


def test_strangers_to_all_tables_come_last() -> None:
    """Recipients that no table holds do not spoil the packing of the others."""
    members = [address_of(number) for number in range(54)]
    strangers = [address_of(number) for number in range(1_000, 1_020)]
    mixed = [each for pair in zip(members, strangers, strict=False) for each in pair] + members[20:]
    plan = plan_of(mixed, shelves(members))
    assert [54, 20] == [batch.transfer_count for batch in plan.batches]


def test_only_what_is_used_is_stored() -> None:
    """A plan keeps the tables that its transactions use, and is another plan with another table."""
    members = [address_of(number) for number in range(30)]
    used, unused = table_of(0, members), table_of(1, [address_of(5_000)])
    single = table_of(2, [address_of(5_001), members[0]])
    plan = plan_of(members, LookupTables([unused, single, used]))
    assert (used,) == plan.lookup_tables.tables
    longer = LookupTable(used.address, used.content + bytes(32))
    assert plan.etag != plan_of(members, LookupTables([longer])).etag
    assert plan.etag == plan_of(members, LookupTables([used])).etag


def test_a_table_of_all_that_every_transaction_names_is_not_worth_its_bytes() -> None:
    """A table that would serve one account costs 35 bytes, the account itself 32."""
    pair = [transfer_lamports(PAYER, address_of(n), 1) for n in (1, 2)]
    assert [] == LookupTables([table_of(0, [address_of(1)])]).used_by(PAYER, pair)
    both = LookupTables([table_of(0, [address_of(1), address_of(2)])])
    assert 1 == len(both.used_by(PAYER, pair))


def test_packing_without_tables_is_two_bytes_more_than_legacy() -> None:
    """v0 without tables packs as legacy does, but for its two bytes."""
    groups = [[transfer_lamports(PAYER, address_of(n), 1)] for n in range(100)]
    assert pack(LEGACY, PAYER, OPENING, groups) == pack(V0, PAYER, OPENING, groups)
    closes = [
        [programs.close_account(address_of(n), PAYER, PAYER, ASSET.token_program)]
        for n in range(26)
    ]
    assert [26] == pack(LEGACY, PAYER, OPENING, closes)
    assert [25, 1] == pack(V0, PAYER, OPENING, closes)


def test_a_table_is_read_exactly() -> None:
    """The addresses are what comes after 56 bytes, by index; the digest is the policy's."""
    addresses = [address_of(1), address_of(2)]
    content = b"".join(map(decode_base58, addresses))
    table = read_lookup_table(address_of(7), LOOKUP_TABLE_PROGRAM, _HEADER + content)
    assert (tuple(addresses), content) == (table.entries, table.content)
    assert hashlib.sha256(content).hexdigest() == table.digest


@pytest.mark.parametrize(
    ("owner", "data", "why"),
    [
        (programs.TOKEN, _HEADER + bytes(32), "not an address lookup table"),
        (LOOKUP_TABLE_PROGRAM, b"", "not an address lookup table"),
        (LOOKUP_TABLE_PROGRAM, bytes(56) + bytes(32), "not an address lookup table"),
        (LOOKUP_TABLE_PROGRAM, _HEADER[:4] + bytes(52) + bytes(32), "being closed"),
        (LOOKUP_TABLE_PROGRAM, _HEADER, "no addresses"),
        (LOOKUP_TABLE_PROGRAM, _HEADER + bytes(31), "no addresses"),
        (LOOKUP_TABLE_PROGRAM, _HEADER + bytes(32 * 257), "longer"),
    ],
)
def test_what_is_no_usable_table_is_refused(owner: str, data: bytes, why: str) -> None:
    """Another program's account, an uninitialised, closing, empty, torn or overlong one."""
    with pytest.raises(ValueError, match=why):
        read_lookup_table(address_of(7), owner, data)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_table_or_refused(data: bytes) -> None:
    """A node's answer is untrusted: nothing but ValueError comes of it."""
    for raw in (data, _HEADER + data):
        try:
            table = read_lookup_table(address_of(7), LOOKUP_TABLE_PROGRAM, raw)
        except ValueError:
            continue
        assert len(table.content) == 32 * len(table.entries)
