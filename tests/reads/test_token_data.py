"""The decoders of token accounts and mints against solders, real extensions and garbage."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from solders.token.state import Mint as SoldersMint
from solders.token.state import TokenAccount as SoldersAccount
from solders.token.state import TokenAccountState

from gateway.domain.amounts import U64_MAX
from gateway.domain.token_layout import TokenDataError
from gateway.domain.token_programs import TOKEN, TOKEN_2022, TOKEN_PROGRAMS
from gateway.domain.tokens import parse_mint, parse_token_account

u64s = st.integers(0, U64_MAX)
keys = st.binary(min_size=32, max_size=32).map(Pubkey)
options = st.none() | keys
programs = st.sampled_from(TOKEN_PROGRAMS)
states = st.sampled_from([TokenAccountState.Initialized, TokenAccountState.Frozen])
accounts = st.builds(
    SoldersAccount, keys, keys, u64s, options, states, st.none() | u64s, u64s, options
)
mints = st.builds(SoldersMint, options, u64s, st.integers(0, 255), st.just(True), options)
ACCOUNT = bytes(
    SoldersAccount(
        Pubkey([1] * 32), Pubkey([2] * 32), 77, None, TokenAccountState.Initialized, None, 0, None
    )
)
MINT = bytes(SoldersMint(None, 9, 6, True, None))


def extension(number: int, value: bytes) -> bytes:
    """An extension's bytes."""
    return struct.pack("<HH", number, len(value)) + value


def metadata(symbol: bytes) -> bytes:
    """TokenMetadata with a symbol and nothing else."""
    texts = b"".join(struct.pack("<I", len(text)) + text for text in (b"Name", symbol, b""))
    return extension(19, bytes(64) + texts + bytes(4))


@given(accounts, programs)
def test_accounts_agree_with_solders(account: SoldersAccount, program: str) -> None:
    """Whatever solders writes is read back, each amount and address, by both programs."""
    found = parse_token_account(bytes(account), program)
    assert (str(account.mint), str(account.owner), account.amount) == (
        found.mint,
        found.owner,
        found.amount,
    )
    assert (account.state == TokenAccountState.Frozen) == found.frozen
    assert (account.is_native is not None) == found.native
    assert (str(account.delegate) if account.delegate else "") == found.delegate
    assert (account.delegated_amount if account.delegate else 0) == found.delegated_amount
    assert (str(account.close_authority) if account.close_authority else "") == (
        found.close_authority
    )


@given(mints, programs)
def test_mints_agree_with_solders(mint: SoldersMint, program: str) -> None:
    """Supply and decimals are those that solders wrote."""
    found = parse_mint(bytes(mint), program)
    assert (mint.decimals, mint.supply, "") == (found.decimals, found.supply, found.symbol)


@given(u64s, st.text(max_size=40))
def test_extensions_are_found_behind_others(withheld: int, symbol: str) -> None:
    """Withheld fees and a symbol are read whatever stands before; the symbol is made printable."""
    others = extension(7, b"") + extension(999, b"future")
    data = ACCOUNT + b"\2" + others + extension(2, struct.pack("<Q", withheld))
    assert withheld == parse_token_account(data, TOKEN_2022).withheld_amount
    mint = MINT.ljust(165, b"\0") + b"\1" + others + metadata(symbol.encode()) + bytes(3)
    found = parse_mint(mint, TOKEN_2022).symbol
    assert found.isprintable()
    assert len(found) <= 32
    assert symbol[:32] == found or not symbol[:32].isprintable() or symbol != symbol.strip()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        ACCOUNT[:-1],
        ACCOUNT + b"\1",
        ACCOUNT + b"\2\7",
        ACCOUNT + b"\2" + struct.pack("<HH", 2, 9) + bytes(8),
        ACCOUNT + b"\2" + extension(2, bytes(7)),
        ACCOUNT + b"\2" + extension(2, bytes(8)) * 2,
        ACCOUNT + b"\2" + extension(0, b"") + b"\1" * 8,
        (ACCOUNT + b"\2").ljust(355, b"\0"),
        ACCOUNT[:108] + b"\0" + ACCOUNT[109:],
        ACCOUNT[:108] + b"\3" + ACCOUNT[109:],
        ACCOUNT[:72] + b"\2" + ACCOUNT[73:],
        ACCOUNT[:109] + b"\2" + ACCOUNT[110:],
        MINT,
        MINT.ljust(165, b"\0") + b"\1",
    ],
)
def test_what_is_no_account_is_refused(data: bytes) -> None:
    """Too short, of another kind, cut extensions, doubled ones, impossible states: no amount."""
    for program in TOKEN_PROGRAMS:
        with pytest.raises(TokenDataError):
            parse_token_account(data, program)


@pytest.mark.parametrize(
    "data",
    [
        ACCOUNT,
        MINT[:45] + b"\0" + MINT[46:],
        MINT.ljust(165, b"\1") + b"\1",
        MINT.ljust(165, b"\0") + b"\2",
        MINT.ljust(165, b"\0") + b"\1" + extension(19, bytes(70)),
        MINT.ljust(165, b"\0") + b"\1" + metadata(b"\xff"),
    ],
)
def test_what_is_no_mint_is_refused(data: bytes) -> None:
    """An account, an uninitialized mint, padding that is not zero, metadata cut short."""
    with pytest.raises(TokenDataError):
        parse_mint(data, TOKEN_2022)


def test_extensions_are_for_token_2022_only() -> None:
    """The first token program has none: a longer account of its is none; others have no tokens."""
    extended = ACCOUNT + b"\2" + extension(7, b"")
    assert 77 == parse_token_account(extended, TOKEN_2022).amount
    for data, program in ((extended, TOKEN), (ACCOUNT, "1" * 32)):
        with pytest.raises(TokenDataError):
            parse_token_account(data, program)


@given(st.binary(max_size=400), programs)
def test_garbage_is_an_error_or_says_what_the_bytes_say(data: bytes, program: str) -> None:
    """Random bytes raise nothing but TokenDataError."""
    for parse in (parse_token_account, parse_mint):
        try:
            parse(data, program)
        except TokenDataError:
            continue


@given(st.integers(0, 400), st.integers(0, 255), st.integers(0, 300))
def test_damaged_extensions_never_change_the_amount(at: int, byte: int, cut: int) -> None:
    """Behind the fixed part no damage changes an amount: it is 77 or an error."""
    whole = bytearray(ACCOUNT + b"\2" + extension(7, b"") + extension(2, struct.pack("<Q", 5)))
    whole[165 + at % (len(whole) - 165)] = byte
    for data in (bytes(whole), bytes(whole[: 165 + cut])):
        try:
            assert 77 == parse_token_account(data, TOKEN_2022).amount
        except TokenDataError:
            continue
