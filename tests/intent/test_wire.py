"""The parser against solders as the other implementation, and against bytes nobody should send."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import to_bytes_versioned
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from signer_daemon.intent import IntentRejected, parse_transaction, starts_like_a_message
from tests.intent.examples import examples
from tests.intent.world import key, price, transfer, wire

ALICE, BOB, CAROL = key(1), key(2), key(3)


VERSIONS = (-1, 0, 1)


def simple(version: int, count: int = 2) -> bytes:
    """A transaction with `count` transfers."""
    ixs = [transfer(ALICE.pubkey(), key(50 + n).pubkey(), 7 + n) for n in range(count)]
    return wire(ixs, ALICE, version=version)


def solders_exactly(data: bytes) -> VersionedTransaction | None:
    """What solders reads, if it writes the same bytes again. Its panic is a BaseException."""
    with contextlib.suppress(BaseException):
        parsed = VersionedTransaction.from_bytes(data)
        parsed.sanitize()
        if bytes(parsed) == data:
            return parsed
    return None


@st.composite
def transactions(draw: st.DrawFn) -> bytes:
    """Transactions of every version with arbitrary programs, accounts, flags and data."""
    people = [key(n) for n in range(1, 6)]
    metas = st.builds(
        lambda k, signs, writes: AccountMeta(k.pubkey(), signs, writes),
        st.sampled_from(people),
        st.booleans(),
        st.booleans(),
    )
    instruction = st.builds(
        lambda program, data, accounts: Instruction(key(100 + program).pubkey(), data, accounts),
        st.integers(0, 3),
        st.binary(max_size=60),
        st.lists(metas, max_size=6),
    )
    ixs = draw(st.lists(instruction, max_size=5))
    version = draw(st.sampled_from(VERSIONS))
    fee = draw(st.none() | st.integers(0, 2**64 - 1))
    return wire(ixs, people[0], people[1:], version=version, priority_fee=fee)


@examples(300)
@given(transactions())
def test_parser_agrees_with_solders(data: bytes) -> None:
    """What is read is what solders reads, and the message is the very bytes that are signed."""
    expected = VersionedTransaction.from_bytes(data)
    parsed = parse_transaction(data)
    message = expected.message
    keys = [str(k) for k in message.account_keys]
    assert to_bytes_versioned(message) == parsed.message_bytes
    assert tuple(keys[: message.header.num_required_signatures]) == parsed.message.signers
    assert tuple(keys) == parsed.message.keys
    assert [
        (keys[ix.program_id_index], tuple(keys[a] for a in bytes(ix.accounts)), bytes(ix.data))
        for ix in message.instructions
    ] == [(ix.program, ix.accounts, ix.data) for ix in parsed.message.instructions]
    signatures = dict(zip(keys, [bytes(s) for s in expected.signatures], strict=False))
    assert signatures == parsed.signatures()
    assert (data, True) == parsed.assemble({})


@examples(500)
@given(transactions(), st.data())
def test_mutated_bytes_are_refused_or_read_like_solders(data: bytes, draw: st.DataObject) -> None:
    """Flipped, inserted and deleted bytes raise IntentRejected and nothing else; what is still
    accepted, solders accepts too and writes back as the same bytes.
    """
    mutant = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, max(0, len(mutant) - 1)))
        match draw.draw(st.sampled_from(["flip", "insert", "delete", "cut"])):
            case "flip" if mutant:
                mutant[at] = draw.draw(st.integers(0, 255))
            case "insert":
                mutant.insert(at, draw.draw(st.integers(0, 255)))
            case "delete" if mutant:
                del mutant[at]
            case _:
                del mutant[at:]
    try:
        parsed = parse_transaction(bytes(mutant))
    except IntentRejected:
        return
    expected = solders_exactly(bytes(mutant))
    assert expected is not None
    assert to_bytes_versioned(expected.message) == parsed.message_bytes


@examples(500)
@given(st.binary(max_size=400))
def test_random_bytes_raise_only_intent_rejected(data: bytes) -> None:
    """No bytes crash the parser or the message guard."""
    with contextlib.suppress(IntentRejected):
        parse_transaction(data)
    starts_like_a_message(data)


@pytest.mark.parametrize("version", VERSIONS)
def test_trailing_and_missing_bytes_are_refused(version: int) -> None:
    """One byte more, or any number less, is another transaction than the one judged."""
    data = simple(version)
    assert parse_transaction(data).wire == data
    with pytest.raises(IntentRejected, match="after the end"):
        parse_transaction(data + b"\0")
    for end in range(len(data)):
        with pytest.raises(IntentRejected):
            parse_transaction(data[:end])


def test_lengths_have_one_spelling() -> None:
    """A ShortU16 written with a superfluous byte is refused, though a lenient reader takes it."""
    data = simple(-1)
    count = data[68]  # of the account keys, behind one slot and the header
    assert parse_transaction(data[:68] + bytes([count]) + data[69:]).wire == data
    with pytest.raises(IntentRejected, match="canonical"):
        parse_transaction(data[:68] + bytes([0x80 | count, 0]) + data[69:])
    with pytest.raises(IntentRejected, match="canonical"):
        parse_transaction(data[:68] + b"\xff\xff\x7f" + data[69:])


def test_signature_slots_must_be_those_of_the_message() -> None:
    """One slot more or less than the header's signers is refused."""
    data = simple(0)
    with pytest.raises(IntentRejected, match="slots"):
        parse_transaction(b"\2" + data[1:65] + bytes(64) + data[65:])
    with pytest.raises(IntentRejected):
        parse_transaction(b"\0" + data[65:])


def test_a_v1_message_behind_legacy_slots_is_refused() -> None:
    """v1 carries its signatures behind the message; before it, they are no transaction."""
    data = simple(1)
    with pytest.raises(IntentRejected, match="slots"):
        parse_transaction(b"\1" + data[-64:] + data[:-64])


@pytest.mark.parametrize("mask", [0b01, 0b10, 0b100000, 1 << 31])
def test_v1_configuration_mask_is_strict(mask: int) -> None:
    """Half a priority fee, or a bit that SIMD-0385 does not define, is refused."""
    data = bytearray(simple(1))
    data[4:8] = struct.pack("<I", mask)
    with pytest.raises(IntentRejected, match="mask"):
        parse_transaction(bytes(data))


def test_v1_priority_fee_is_read_as_total_lamports() -> None:
    """The 8 bytes behind the keys are lamports for the whole transaction."""
    ixs = [transfer(ALICE.pubkey(), BOB.pubkey(), 5)]
    data = wire(ixs, ALICE, version=1, priority_fee=2**40 + 3)
    assert parse_transaction(data).message.priority_fee_lamports == 2**40 + 3


@pytest.mark.parametrize("version", VERSIONS)
def test_sizes_are_those_of_a_packet(version: int) -> None:
    """1,232 bytes for legacy and v0, 4,096 for v1; longer is refused."""
    room = 4096 if version == 1 else 1232
    program = key(9).pubkey()
    base = len(wire([Instruction(program, bytes(200), [])], ALICE, version=version))
    fits = wire([Instruction(program, bytes(200 + room - base), [])], ALICE, version=version)
    assert len(parse_transaction(fits).wire) == room
    longer = wire([Instruction(program, bytes(201 + room - base), [])], ALICE, version=version)
    with pytest.raises(IntentRejected, match="longer than"):
        parse_transaction(longer)


def test_header_that_does_not_fit_the_keys_is_refused() -> None:
    """No signers, a read-only fee payer, more counted than listed."""
    data = bytearray(simple(-1))
    for header in ((0, 0, 1), (1, 1, 1), (1, 0, 9)):
        data[65:68] = bytes(header)
        with pytest.raises(IntentRejected):
            parse_transaction(bytes(data))


def test_an_account_listed_twice_is_refused() -> None:
    """The runtime refuses it as well; here it could make one address read as two."""
    ixs = [transfer(ALICE.pubkey(), BOB.pubkey(), 5)]
    data = wire(ixs, ALICE)
    twice = data.replace(bytes(BOB.pubkey()), bytes(ALICE.pubkey()))
    with pytest.raises(IntentRejected, match="twice"):
        parse_transaction(twice)


def test_indices_outside_the_keys_are_refused() -> None:
    """A program or account index past the end, or the fee payer as the program."""
    data = simple(-1, count=1)
    at = data.rindex(bytes([2, 2, 0, 1]))  # program 2, two accounts: 0 and 1
    for wrong in (bytes([3, 2, 0, 1]), bytes([0, 2, 0, 1]), bytes([2, 2, 0, 3])):
        with pytest.raises(IntentRejected, match="outside"):
            parse_transaction(data[:at] + wrong + data[at + 4 :])


@pytest.mark.parametrize("version", VERSIONS)
def test_assemble_fills_slots_and_keeps_the_others(version: int) -> None:
    """Signatures land in their own slots, in any order of signing, and completeness is told."""
    ixs = [transfer(ALICE.pubkey(), CAROL.pubkey(), 5), transfer(BOB.pubkey(), CAROL.pubkey(), 6)]
    signed = wire(ixs, ALICE, [BOB], version=version)
    parsed = parse_transaction(signed)
    offset, size = parsed.signature_offset, 128
    bare = signed[:offset] + bytes(size) + signed[offset + size :]
    parsed = parse_transaction(bare)
    by = {str(k.pubkey()): bytes(k.sign_message(parsed.message_bytes)) for k in (ALICE, BOB)}
    first, complete = parsed.assemble({str(BOB.pubkey()): by[str(BOB.pubkey())]})
    assert not complete
    second, complete = parse_transaction(first).assemble(
        {str(ALICE.pubkey()): by[str(ALICE.pubkey())]}
    )
    assert complete
    assert signed == second
    VersionedTransaction.from_bytes(second).verify_and_hash_message()


def test_assemble_refuses_strangers_and_wrong_sizes() -> None:
    """A signature without a slot, or of another length, is an error and changes nothing."""
    parsed = parse_transaction(simple(0))
    with pytest.raises(ValueError, match="no slot"):
        parsed.assemble({str(BOB.pubkey()): bytes(Signature.default())})
    with pytest.raises(ValueError, match="no slot"):
        parsed.assemble({str(ALICE.pubkey()): bytes(63)})


def test_price_is_an_instruction_like_any_other() -> None:
    """Compute budget instructions stay in the list: nothing is hidden from the judge."""
    data = wire([price(5), transfer(ALICE.pubkey(), BOB.pubkey(), 5)], ALICE)
    assert len(parse_transaction(data).message.instructions) == 2


def test_parsing_needs_no_keypair() -> None:
    """Slots may be zero: a placeholder transaction parses to the same message."""
    assert isinstance(ALICE, Keypair)
    signed = simple(0)
    bare = signed[:1] + bytes(64) + signed[65:]
    assert parse_transaction(signed).message_bytes == parse_transaction(bare).message_bytes
    assert parse_transaction(bare).assemble({}) == (bare, False)
