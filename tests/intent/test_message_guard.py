"""What SignMessage must refuse: anything that begins like a transaction message."""

from signer_daemon.intent import parse_transaction, starts_like_a_message
from tests.intent.test_wire import VERSIONS, simple


def test_message_guard_sees_every_version_and_prefix() -> None:
    """Each version's message is recognised, alone and with bytes behind it; so is a later version;
    text, JSON and off-chain messages are not.
    """
    for version in VERSIONS:
        message = parse_transaction(simple(version)).message_bytes
        assert starts_like_a_message(message)
        assert starts_like_a_message(message + b"and more")
    assert starts_like_a_message(b"\x82 some later version")
    for harmless in (b"", b"Sign in to example.com", b'{"a":1}', b"\xffsolana offchain\0", b"\0"):
        assert not starts_like_a_message(harmless)
    assert not starts_like_a_message("é is UTF-8".encode())
    assert starts_like_a_message(bytes(100))  # no keys, no instructions: still a message


def test_guard_is_wider_than_the_parser() -> None:
    """A message that the strict parser refuses, for its header, is still no message to sign."""
    message = bytearray(parse_transaction(simple(-1)).message_bytes)
    message[1] = 9
    assert starts_like_a_message(bytes(message))
