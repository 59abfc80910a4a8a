"""SignMessage: never a transaction, and otherwise only what the policy's mode allows."""

import struct

import pytest

from signer_daemon.intent import parse_transaction
from signer_daemon.policy import Wallet, evaluate_message
from tests.intent import world as w
from tests.policy.build import ME, SIBLING, policy, wallet

PREFIX = b"\xffsolana offchain\0"
DOMAIN = bytes(range(32))
MY_KEY = bytes(ME.pubkey())


def cli(text: bytes, kind: int) -> bytes:
    """The Solana CLI's layout."""
    return PREFIX + bytes([kind]) + struct.pack("<H", len(text)) + text


def proposed(text: bytes, kind: int, signers: bytes = MY_KEY) -> bytes:
    """The proposal's layout."""
    head = DOMAIN + bytes([kind, len(signers) // 32]) + signers
    return PREFIX + head + struct.pack("<H", len(text)) + text


def verdict(mode: str, message: bytes) -> tuple[bool, str]:
    """Whether a policy with that mode lets our wallet sign, and the rule."""
    found = evaluate_message(policy(f'message_signing = "{mode}"'), wallet(), message)
    assert bool(found.charges) == found.allowed
    return found.allowed, found.rule


GOOD = [
    cli(b"Hello, world", 0),
    cli("héllo\n".encode(), 1),
    cli(b"x" * 2000, 2),
    proposed(b"Hello, world", 0),
    proposed("héllo".encode(), 1),
    proposed(b"a", 0, bytes(SIBLING.pubkey()) + MY_KEY),
]


@pytest.mark.parametrize("message", GOOD, ids=range(len(GOOD)))
def test_well_formed_off_chain_messages(message: bytes) -> None:
    """Both layouts in use pass in off-chain mode."""
    assert verdict("off-chain", message) == (True, "desk/message_signing: off-chain")


BAD = {
    "no prefix": b"Hello, world",
    "empty": cli(b"", 0),
    "control character in ASCII": cli(b"Hello\n", 0),
    "not UTF-8": cli(b"\xff\xfe", 1),
    "too long for a hardware wallet": cli(b"x" * 1233, 0),
    "unknown format": cli(b"hello", 3),
    "length too short": cli(b"hello", 0) + b"!",
    "cut": cli(b"hello", 0)[:-1],
    "other version": PREFIX[:-1] + b"\1" + cli(b"hello", 0)[16:],
    "signed by others only": proposed(b"hello", 0, bytes(SIBLING.pubkey())),
    "signed by nobody": proposed(b"hello", 0, b""),
    "prefix only": PREFIX,
}


@pytest.mark.parametrize("message", BAD.values(), ids=BAD)
def test_malformed_off_chain_messages(message: bytes) -> None:
    """Anything else is refused in off-chain mode, and is no concern of raw mode."""
    assert verdict("off-chain", message) == (False, "desk/message_signing: off-chain")
    assert verdict("raw", message) == (True, "desk/message_signing: raw")


@pytest.mark.parametrize("mode", ["off", "off-chain", "raw"])
@pytest.mark.parametrize("version", [-1, 0, 1])
def test_transaction_messages_are_refused_in_every_mode(mode: str, version: int) -> None:
    """A legacy, v0 or v1 message, alone or with bytes behind it, is not signed as a message: the
    signature would be a transaction's.
    """
    data = w.wire([w.transfer(ME.pubkey(), SIBLING.pubkey(), 7)], ME, version=version)
    message = parse_transaction(data).message_bytes
    for shown in (message, message + b"\0", message + b" trailing words"):
        assert verdict(mode, shown) == (False, "message is a transaction")


def test_off_is_off() -> None:
    """Without the rule, nothing is signed, however harmless."""
    found = evaluate_message(policy(), wallet(), GOOD[0])
    assert (found.allowed, found.rule) == (False, "desk/message_signing: off")


def test_no_group_no_message() -> None:
    """A wallet in no group signs no message."""
    stranger = Wallet(str(ME.pubkey()), "", -1)
    found = evaluate_message(policy('message_signing = "raw"'), stranger, b"hello")
    assert (found.allowed, found.rule) == (False, "no group")


def test_raw_signs_ordinary_bytes() -> None:
    """Text, JSON, a digest: what is no transaction passes in raw mode."""
    for message in (b"Sign in", b'{"nonce":"1"}', bytes(range(200, 232)), "日本".encode()):
        assert verdict("raw", message)[0]
