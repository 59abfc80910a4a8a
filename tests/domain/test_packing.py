"""Packing: our sizes are the compiler's sizes, and what is packed executes."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import from_bytes_versioned
from solders.pubkey import Pubkey
from solders.rent import Rent
from solders.transaction import VersionedTransaction

from gateway.adapters.solana_tx import SoldersTransactions
from gateway.domain.addresses import encode_base58
from gateway.domain.instructions import (
    SYSTEM_PROGRAM,
    AccountUse,
    Instruction,
    set_compute_unit_limit,
    set_compute_unit_price,
    transfer_lamports,
)
from gateway.domain.packing import LIMITS, Parcel, TransactionVersion, pack
from gateway.domain.plans import Move
from gateway.domain.ports import ComputeBudget
from gateway.domain.steps import batch_instructions, priority_fee
from tests.support.svm_execution import execute

BLOCKHASH = "1" * 32
LEGACY, V1 = TransactionVersion.LEGACY, TransactionVersion.V1
OPENING = {LEGACY: [set_compute_unit_limit(1), set_compute_unit_price(1)], V1: []}


def address_of(number: int) -> str:
    """An address for a number."""
    return encode_base58(hashlib.sha256(f"account {number}".encode()).digest())


def compiled_bytes(
    version: TransactionVersion, payer: str, instructions: Sequence[Instruction]
) -> bytes:
    """What the compiler makes of it."""
    return SoldersTransactions().compile(
        version, payer, instructions, BLOCKHASH, ComputeBudget(1000, 1)
    )


uses = st.builds(AccountUse, st.integers(0, 12).map(address_of), st.booleans(), st.booleans())
instructions_ = st.builds(
    Instruction,
    st.integers(13, 15).map(address_of),
    st.lists(uses, max_size=8).map(tuple),
    st.binary(max_size=200),
)


@settings(deadline=None)
@given(st.sampled_from([LEGACY, V1]), st.lists(instructions_, min_size=1, max_size=12))
def test_measures_are_what_the_compiler_makes(
    version: TransactionVersion, items: list[Instruction]
) -> None:
    """Bytes, signatures and accounts of any instructions agree with the compiled transaction."""
    parcel = Parcel(version, address_of(0))
    if not parcel.add(items):
        return
    measure = parcel.measure()
    wire = compiled_bytes(version, address_of(0), items)
    message = VersionedTransaction.from_bytes(wire).message
    assert measure.bytes == len(wire)
    assert measure.signatures == message.header.num_required_signatures
    assert measure.accounts == len(message.account_keys)
    assert measure.instructions == len(message.instructions)


@pytest.mark.parametrize(("version", "transactions"), [(LEGACY, 500), (V1, 162)])
def test_ten_thousand_transfers(version: TransactionVersion, transactions: int) -> None:
    """10,000 SOL transfers take exactly 500 legacy or 162 v1 transactions."""
    payer = address_of(0)
    groups = ([transfer_lamports(payer, address_of(n), n)] for n in range(1, 10_001))
    counts = pack(version, payer, OPENING[version], groups)
    assert len(counts) == transactions
    assert sum(counts) == 10_000


@pytest.mark.parametrize(("version", "most"), [(LEGACY, 20), (V1, 62)])
def test_the_packing_is_full(version: TransactionVersion, most: int) -> None:
    """One transfer more than the packer takes would break a limit, as the compiler confirms."""
    payer = address_of(0)
    parcel = Parcel(version, payer)
    parcel.add(OPENING[version])
    taken = 0
    while parcel.add([transfer_lamports(payer, address_of(taken + 1), 1)]):
        taken += 1
    assert taken == most
    one_more = [transfer_lamports(payer, address_of(n + 1), 1) for n in range(taken + 1)]
    wire = compiled_bytes(version, payer, [*OPENING[version], *one_more])
    keys = VersionedTransaction.from_bytes(wire).message.account_keys
    limits = LIMITS[version]
    assert len(wire) > limits.bytes_max or len(keys) > limits.accounts_max


def test_every_limit_holds_by_itself() -> None:
    """Signatures, accounts, instructions and trace each stop a parcel that has bytes to spare."""
    payer = address_of(0)
    signatures = Parcel(V1, payer)
    added = [signatures.add([transfer_lamports(address_of(n), payer, 1)]) for n in range(1, 20)]
    assert sum(added) == 11
    assert signatures.measure().signatures == 12

    instructions = Parcel(V1, payer)
    again = [instructions.add([transfer_lamports(payer, address_of(1), 1)]) for _ in range(80)]
    assert sum(again) == 64

    trace = Parcel(V1, payer)
    calls = Instruction(SYSTEM_PROGRAM, (AccountUse(payer),), b"", trace_entries=10)
    assert sum(trace.add([calls]) for _ in range(20)) == 6
    assert trace.measure().trace_entries == 60


def test_a_group_is_never_split() -> None:
    """Instructions that belong together stay together; one that fits nowhere is an error."""
    payer = address_of(0)
    pair = [transfer_lamports(payer, address_of(n), 1) for n in (1, 2)]
    trios = [[*pair, transfer_lamports(payer, address_of(n), 1)] for n in range(3, 53)]
    assert pack(LEGACY, payer, OPENING[LEGACY], trios) == [11, 11, 11, 11, 6]
    huge = [transfer_lamports(payer, address_of(n), 1) for n in range(1, 40)]
    with pytest.raises(ValueError, match="exceeds"):
        pack(LEGACY, payer, OPENING[LEGACY], [huge])


@pytest.mark.parametrize(("version", "count"), [(LEGACY, 20), (LEGACY, 1), (V1, 62), (V1, 1)])
def test_full_batches_execute(version: TransactionVersion, count: int) -> None:
    """A full transaction runs on the SVM within its compute limit and costs what was reckoned."""
    svm = LiteSVM()
    svm.set_rent(Rent.with_lamports_per_byte(5080))
    payer = Keypair()
    svm.airdrop(payer.pubkey(), 10**12)
    before = svm.get_balance(payer.pubkey())
    transfers = [(address_of(n), 650_240 + n) for n in range(1, count + 1)]
    units, price = 300, 7_777
    limit = (count + 2) * units
    moves = [Move(str(payer.pubkey()), address, amount, units) for address, amount in transfers]
    wire = SoldersTransactions().compile(
        version,
        str(payer.pubkey()),
        batch_instructions(version, limit, price, (), moves),
        str(svm.latest_blockhash()),
        ComputeBudget(limit, priority_fee(limit, price), 64 * 1024),
    )
    assert len(wire) <= LIMITS[version].bytes_max
    message = VersionedTransaction.from_bytes(wire).message
    outcome = execute(svm, VersionedTransaction(message, [payer]))

    assert outcome.error is None
    for address, amount in transfers:
        assert svm.get_balance(Pubkey.from_string(address)) == amount
    fee = 5000 + priority_fee(limit, price)
    assert before is not None
    assert svm.get_balance(payer.pubkey()) == before - sum(a for _, a in transfers) - fee


def test_the_fee_probe_is_one_signature() -> None:
    """The message that asks for the fee has one signer and no priority fee."""
    message = from_bytes_versioned(SoldersTransactions().fee_probe(address_of(1), BLOCKHASH))
    assert message.header.num_required_signatures == 1
    assert message.instructions == []
