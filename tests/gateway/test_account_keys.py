"""Account keys of transactions, found or not, never failing."""

import base64

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey

from gateway.workflows.account_keys import static_account_keys
from tests.gateway.support import transfer

V1 = base64.b64decode("gQEAAQAAAAA=") + bytes(32) + b"\x01\x03" + bytes(range(96)) + bytes(72)


@pytest.mark.parametrize(
    ("transaction", "count"),
    [
        (b"", 0),
        (b"\x01", 0),
        (b"\xff" * 40, 0),
        (transfer(str(Pubkey.from_bytes(b"1" * 32)), str(Pubkey.from_bytes(b"2" * 32))), 3),
        (transfer(str(Pubkey.from_bytes(b"1" * 32)))[:120], 0),
        (V1, 3),
        (V1[:80], 0),
    ],
)
def test_static_account_keys_is_tolerant(transaction: bytes, count: int) -> None:
    """Keys of legacy and v1 transactions are found; what is cut short or garbage has none."""
    assert count == len(static_account_keys(transaction))


def test_static_account_keys_of_v0() -> None:
    """The version prefix of v0 is passed over; the keys are those that solders sees."""
    payer, to = Keypair().pubkey(), Keypair().pubkey()
    instruction = Instruction(Pubkey.from_bytes(bytes(32)), b"", [AccountMeta(to, False, True)])
    message = MessageV0.try_compile(payer, [instruction], [], Hash.default())
    wire = b"\x01" + bytes(64) + b"\x80" + bytes(message)
    assert [str(key) for key in message.account_keys] == static_account_keys(wire)
