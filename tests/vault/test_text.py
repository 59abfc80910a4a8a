"""Secret text on a page: NFKD and password rules, against Python's own."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer_daemon.vault.errors import PasswordInvalid, PasswordTooShort, TextInvalid
from signer_daemon.vault.memory import PagePool
from signer_daemon.vault.text import characters, check_password, nfkd
from tests.vault.samples import view

# Letters that decompose, marks of many combining classes, Hangul, ligatures, and anything else.
HARD = st.sampled_from("aéǖṩ゙ְ̣̇̀́֒ͅ가힣ﬁ①Å　が𝐀ﷺ")
TEXTS = st.text(st.one_of(HARD, st.characters(exclude_categories=["Cs"])), max_size=60)


@given(TEXTS)
def test_nfkd_agrees_with_python(pool: PagePool, text: str) -> None:
    """What is normalized on the page is what unicodedata makes of the whole text."""
    expected = unicodedata.normalize("NFKD", text).encode()
    with pool.page() as page:
        if len(expected) <= 256:
            assert expected == bytes(nfkd(view(text.encode()), page, bytes_max=256))
        else:
            with pytest.raises(TextInvalid):
                nfkd(view(text.encode()), page, bytes_max=256)


def test_nfkd_stops_at_its_limit(pool: PagePool) -> None:
    """256 bytes pass, 257 do not, whether of one character each or of three."""
    for text, fits in (
        ("a" * 256, True),
        ("a" * 257, False),
        ("가" * 42, True),
        ("가" * 43, False),
    ):
        with pool.page() as page:
            if fits:
                nfkd(view(text.encode()), page, bytes_max=256)
            else:
                with pytest.raises(TextInvalid):
                    nfkd(view(text.encode()), page, bytes_max=256)


@given(st.one_of(st.binary(max_size=24), TEXTS.map(str.encode)))
def test_characters_are_those_of_a_strict_decoder(data: bytes) -> None:
    """The same bytes are taken and refused as by Python's strict decoder, and read the same."""
    try:
        expected = data.decode()
    except UnicodeDecodeError:
        with pytest.raises(TextInvalid):
            list(characters(view(data)))
    else:
        assert expected == "".join(characters(view(data)))


@pytest.mark.parametrize("letter", ["a", "é", "가", "\U0001d400"])
def test_password_length_counts_code_points(letter: str) -> None:
    """12 to 256 characters are taken, 11 and 257 are not, however many bytes each has."""
    for count in (12, 256):
        check_password(view((letter * count).encode()))
    for count in (0, 11):
        with pytest.raises(PasswordTooShort):
            check_password(view((letter * count).encode()))
    with pytest.raises(PasswordInvalid):
        check_password(view((letter * 257).encode()))


@pytest.mark.parametrize(
    "bad", [b"\xff" * 12, b"twelve chars\xc3", b"\xed\xa0\x80" * 12, b"x" * 1025]
)
def test_password_must_be_utf8_of_bounded_size(bad: bytes) -> None:
    """Bytes that are not UTF-8, surrogates, and more than 1,024 bytes are refused."""
    with pytest.raises(PasswordInvalid):
        check_password(view(bad))


def test_an_error_does_not_carry_the_text() -> None:
    """What is raised for bad UTF-8 neither shows nor holds the decoder's error with its bytes."""
    with pytest.raises(PasswordInvalid) as caught:
        check_password(view(b"my secret \xff password"))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "secret" not in str(caught.value)
