"""Symbols of mints: Metaplex's account, the metadata interface, and bytes that are neither."""

import hashlib
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from gateway.adapters.associated_tokens import metaplex_metadata_address
from gateway.domain.token_layout import TokenDataError
from gateway.domain.token_metadata import (
    METAPLEX_PROGRAM,
    SYMBOL_CHARACTERS_MAX,
    symbol_of_account,
)
from gateway.domain.token_programs import TOKEN_2022
from gateway.domain.tokens import parse_mint
from tests.reads.metadata import extended_mint, interface, metaplex, text
from tests.reads.tokens import TOKEN_2022 as TOKEN_2022_KEY

MINT = Pubkey([7] * 32)
OTHER = Pubkey([8] * 32)
ELSEWHERE = str(Pubkey([9] * 32))
SYSTEM = "1" * 32
short = st.text(max_size=10).filter(
    lambda symbol: len(symbol.encode()) <= 10 and "\0" not in symbol
)
FORMS = {METAPLEX_PROGRAM: metaplex, ELSEWHERE: interface}


def shown(symbol: str) -> str:
    """What may be shown of a symbol."""
    return "".join(c for c in symbol if c.isprintable())[:SYMBOL_CHARACTERS_MAX].strip()


@given(short, st.sampled_from([*FORMS]))
def test_a_symbol_is_read_back(symbol: str, program: str) -> None:
    """Any symbol of at most 10 bytes comes back, without its padding, as far as it is printable."""
    data = FORMS[program](MINT, symbol)
    assert shown(symbol) == symbol_of_account(program, data, str(MINT))


@pytest.mark.parametrize("program", FORMS)
def test_metadata_of_another_mint_is_none(program: str) -> None:
    """A mint whose metadata pointer points to that of another gets no symbol of it."""
    data = FORMS[program](OTHER, "USDC")
    assert "USDC" == symbol_of_account(program, data, str(OTHER))
    with pytest.raises(TokenDataError):
        symbol_of_account(program, data, str(MINT))


def test_each_program_has_its_own_layout() -> None:
    """Metaplex's bytes in somebody else's account are nothing, nor is the reverse, nor lamports."""
    for program, data in (
        (ELSEWHERE, metaplex(MINT, "A")),
        (METAPLEX_PROGRAM, interface(MINT, "A")),
        (SYSTEM, b""),
        (SYSTEM, interface(MINT, "A")),
        (TOKEN_2022, extended_mint(MINT, "A")),
    ):
        with pytest.raises(TokenDataError):
            symbol_of_account(program, data, str(MINT))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x05" + metaplex(MINT, "A")[1:],
        metaplex(MINT, "A")[:70],
        metaplex(MINT, "A" * 11, pad=False),
        metaplex(MINT, "A", name="N" * 33, pad=False),
        metaplex(MINT, "A", uri="u" * 201, pad=False),
        metaplex(MINT, "A").replace(
            text("A".ljust(10, "\0")), struct.pack("<I", 10) + b"\xff" * 10
        ),
        metaplex(MINT, "A").replace(text("A".ljust(10, "\0")), struct.pack("<I", 2**32 - 1)),
    ],
    ids=["empty", "key", "cut", "long symbol", "long name", "long uri", "not UTF-8", "huge"],
)
def test_bounds_of_metaplex(data: bytes) -> None:
    """Another kind of account, texts beyond their limits, cut short or no UTF-8: no symbol."""
    with pytest.raises(TokenDataError):
        symbol_of_account(METAPLEX_PROGRAM, data, str(MINT))


@given(st.binary(max_size=120), st.binary(max_size=8))
def test_entries_before_the_metadata_are_skipped(value: bytes, name: bytes) -> None:
    """The metadata is found behind entries of other kinds, and not beyond zeros."""
    other = (name + b"\1" * 8)[:8] + struct.pack("<I", len(value)) + value
    assert "Z" == symbol_of_account(ELSEWHERE, other + interface(MINT, "Z"), str(MINT))
    with pytest.raises(TokenDataError):
        symbol_of_account(ELSEWHERE, bytes(8) + interface(MINT, "Z"), str(MINT))


@given(st.binary(max_size=400), st.sampled_from([*FORMS, TOKEN_2022, SYSTEM]))
def test_garbage(data: bytes, program: str) -> None:
    """Random bytes raise nothing but TokenDataError."""
    with pytest.raises(TokenDataError):
        symbol_of_account(program, data, str(MINT))


@given(st.sampled_from([*FORMS]), st.integers(0, 500), st.integers(0, 255), st.integers(0, 500))
def test_damage_is_an_error_or_something_printable(
    program: str, at: int, byte: int, cut: int
) -> None:
    """One byte changed, or the end missing: a short printable symbol or TokenDataError."""
    whole = bytearray(FORMS[program](MINT, "GELD"))
    whole[at % len(whole)] = byte
    for data in (bytes(whole), bytes(whole[:cut])):
        try:
            symbol = symbol_of_account(program, data, str(MINT))
        except TokenDataError:
            continue
        assert symbol.isprintable()
        assert len(symbol) <= SYMBOL_CHARACTERS_MAX


@given(st.integers(0, 600))
@example(355)  # a multisig's size
def test_a_mint_cut_short_keeps_its_decimals(cut: int) -> None:
    """Of a mint whose beginning alone was read: decimals, and the symbol if it stands in there."""
    whole = extended_mint(MINT, "GELD", pointer=OTHER, uri="u" * 200)
    pointer_end = 166 + 4 + 64
    data = whole[: max(cut, pointer_end)]
    found = parse_mint(data, str(TOKEN_2022_KEY), is_cut=True)
    assert (6, str(OTHER)) == (found.decimals, found.metadata_pointer)
    assert found.symbol in {"", "GELD"}
    if pointer_end < len(data) < len(whole):
        with pytest.raises(TokenDataError):
            parse_mint(data, str(TOKEN_2022_KEY))


def test_where_metaplex_keeps_it() -> None:
    """The first hash of "metadata", program, mint and a falling bump that is no public key."""
    program = bytes(Pubkey.from_string(METAPLEX_PROGRAM))
    seeds = b"metadata" + program + bytes(MINT)
    hashes = (
        hashlib.sha256(seeds + bytes([bump]) + program + b"ProgramDerivedAddress").digest()
        for bump in range(255, -1, -1)
    )
    expected = next(key for key in map(Pubkey, hashes) if not key.is_on_curve())
    assert str(expected) == metaplex_metadata_address(str(MINT))
