"""Secret text on a page: NFKD and password rules, against Python's own."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer_daemon.vault.errors import PasswordInvalid, PasswordTooShort, TextInvalid
from signer_daemon.vault.memory import PagePool
from signer_daemon.vault.text import characters, check_password, nfkd
from tests.vault.samples import view

# Letters that decompose, Hangul, ligatures and digits in circles; every mark of the first plane, of
# which there are 50 combining classes; and anything else. (Lists: in `st.text` the three would melt
# into one alphabet, in which a mark is too rare to ever meet another.)
LETTERS = st.sampled_from("aé\u01d6\u1e69가힣ﬁ①\u00c5\u3000が\U0001d400ﷺ")
MARKS = st.sampled_from(
    [chr(point) for point in range(0xD800) if unicodedata.combining(chr(point))]
)
ANYTHING = st.characters(exclude_categories=["Cs"])
TEXTS = st.lists(st.one_of(MARKS, LETTERS, ANYTHING), max_size=60).map("".join)


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


@pytest.mark.parametrize(
    "text",
    [
        "a\u0307\u0323",  # dot above before dot below: they change places
        "\u1e69\u0323\u0301",  # across characters, one of them composed
        "a\u0301\u0300",  # the same class: they keep their order
        "\u0323\u0307a\u0345\u0301\u0323b\u0307\u0323",  # a run at the start, runs between letters
        "\u0344\u0323",  # a mark that decomposes into two
        "\ufb2c\u05b0\u0592",
    ],
)
def test_marks_are_put_in_order(pool: PagePool, text: str) -> None:
    """Runs of marks are sorted by class, stably, and never past a letter."""
    with pool.page() as page:
        made = bytes(nfkd(view(text.encode()), page, bytes_max=256))
    assert unicodedata.normalize("NFKD", text).encode() == made


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
