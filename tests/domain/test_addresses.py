"""Base58 and the small values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from gateway.domain.addresses import decode_base58, encode_base58, is_address, require_address
from gateway.domain.errors import InvalidArgumentError
from gateway.domain.pages import decode_page_token, encode_page_token
from gateway.domain.requests import require_uuid


@given(st.binary(min_size=32, max_size=32))
def test_addresses_agree_with_solders(key: bytes) -> None:
    """Our base58 is that of another implementation, both ways."""
    text = str(Pubkey(key))
    assert encode_base58(key) == text
    assert decode_base58(text) == key
    assert is_address(text)


@given(st.text(max_size=50))
def test_what_is_no_address_is_refused(text: str) -> None:
    """Any text is an address for us exactly if it is one for solders."""
    try:
        known = str(Pubkey.from_string(text)) == text
    except ValueError:
        known = False
    assert is_address(text) is known


@pytest.mark.parametrize("text", ["", "0" * 32, "1" * 31, "1" * 33, "z" * 44, " " + "1" * 32])
def test_bad_addresses_name_their_field(text: str) -> None:
    """The error says which field it was."""
    with pytest.raises(InvalidArgumentError) as caught:
        require_address(text, "recipient")
    assert caught.value.field == "recipient"


@given(st.integers(0, 2**63 - 1), st.text(max_size=20))
def test_page_tokens_come_back(after: int, query: str) -> None:
    """A token gives its place back to its own query and to no other."""
    token = encode_page_token(after, query)
    assert decode_page_token(token, query) == after
    with pytest.raises(InvalidArgumentError):
        decode_page_token(token, query + "x")


@given(st.text(min_size=1, max_size=40))
def test_any_text_as_page_token_is_refused(text: str) -> None:
    """Made-up tokens are the caller's mistake, never a crash."""
    with pytest.raises(InvalidArgumentError):
        decode_page_token(text, "query")


@pytest.mark.parametrize(
    "text", ["", "x", "{12345678-1234-1234-1234-123456789012}", "1" * 32, "12345678" * 4]
)
def test_uuids_are_canonical(text: str) -> None:
    """Only the 36-character spelling is taken."""
    with pytest.raises(InvalidArgumentError):
        require_uuid(text, "request_id")
