"""What is signed, what is denied and by which rule; signatures are checked by another library."""

import os
from functools import partial

import grpc
import pytest
from nacl.signing import VerifyKey
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction, VersionedTransaction

from solward.signer.v1 import records_pb2 as rp
from solward.signer.v1 import signer_service_pb2 as pb
from solward.signer.v1.errors_pb2 import ErrorReason
from tests.signer.client import Client, payment, proof_of, sign_message, transaction
from tests.signer.house import House
from tests.signer.refusals import refusal_of

STRANGER = str(Pubkey.new_unique())
TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")


def key_of(wallet: rp.WalletRecord) -> Pubkey:
    """A wallet's public key."""
    return Pubkey.from_string(wallet.address)


def verify(wallet: rp.WalletRecord, message: bytes, signature: bytes) -> None:
    """Raise BadSignatureError unless it is the wallet's, by libsodium."""
    VerifyKey(bytes(key_of(wallet))).verify(message, signature)


@pytest.mark.parametrize("version", [-1, 0, 1])
def test_every_version_of_a_transaction_is_signed(house: House, version: int) -> None:
    """Legacy, v0 and v1: the signature is the wallet's over the very message of the request, stands
    in its slot, and the transaction is complete.
    """
    first, second, *_ = house.wallets
    item = payment(first, second, version=version, reference="mine")
    (result,) = house.client.sign(house.token, [item])
    signed = result.signed
    decoded = VersionedTransaction.from_bytes(signed.transaction)
    asked = VersionedTransaction.from_bytes(item.transaction)
    assert "mine" == result.reference
    assert signed.is_complete
    assert asked.message == decoded.message
    assert [True] == decoded.verify_with_results()
    assert [signed.transaction_signature] == [bytes(each) for each in decoded.signatures]
    assert [signed.transaction_signature] == list(signed.signatures)


def test_wallets_sign_together_and_a_strangers_signature_stays(house: House) -> None:
    """Two wallets of one transaction sign at once, beside a stranger's signature, which is kept;
    without the stranger's the transaction says that it is not complete.
    """
    first, second, third, _ = house.wallets
    stranger = Keypair()
    moves = [
        transfer(TransferParams(from_pubkey=source, to_pubkey=key_of(third), lamports=1))
        for source in (key_of(first), key_of(second), stranger.pubkey())
    ]
    raw = VersionedTransaction.from_bytes(transaction(moves, first.address, signatures=3))
    message = bytes(raw.message)
    message = message if message[0] & 0x80 else b"\x80" + message
    theirs = stranger.sign_message(message)
    slots = [Signature.default()] * 3
    slots[list(raw.message.account_keys).index(stranger.pubkey())] = theirs
    items = [
        pb.TransactionItem(
            transaction=bytes(VersionedTransaction.populate(raw.message, signatures)),
            wallets=[second, first],
            vault_destinations=[proof_of(third)],
        )
        for signatures in (slots, [Signature.default()] * 3)
    ]
    whole, partial_ = (result.signed for result in house.client.sign(house.token, items))
    assert (True, False) == (whole.is_complete, partial_.is_complete)
    assert [True] * 3 == VersionedTransaction.from_bytes(whole.transaction).verify_with_results()
    for wallet, signature in zip((second, first), whole.signatures, strict=True):
        verify(wallet, message, signature)


def test_a_batch_of_500_is_signed_in_order(house: House) -> None:
    """500 items: one result each, in order, all verified."""
    first, second, *_ = house.wallets
    items = [payment(first, second, 1 + at, reference=str(at)) for at in range(500)]
    results = house.client.sign(house.token, items)
    assert [str(at) for at in range(500)] == [result.reference for result in results]
    for item, result in zip(items, results, strict=True):
        message = item.transaction[65:]
        verify(first, message, result.signed.transaction_signature)


@pytest.mark.parametrize("message", [b"hello", b"{}" * 500, "Grüße".encode(), b"\xff" * 65_535])
def test_a_message_is_signed(house: House, message: bytes) -> None:
    """Where the policy says so: the signature is the wallet's over the exact bytes."""
    request = sign_message(house.token, house.wallets[1], message)
    verify(house.wallets[1], message, house.client.signer.SignMessage(request).signature)


@pytest.mark.parametrize("version", [-1, 0, 1])
@pytest.mark.parametrize("tail", [b"", b"more"])
def test_a_message_that_is_a_transaction_is_not_signed(
    house: House, version: int, tail: bytes
) -> None:
    """The bytes that a transaction's signers sign, of each version, also with more behind them,
    are never signed as a message, whatever the policy says.
    """
    first, second, *_ = house.wallets
    wire = payment(first, second, version=version).transaction
    message = wire[:-64] if version == 1 else wire[65:]
    request = sign_message(house.token, first, message + tail)
    refused = refusal_of(lambda: house.client.signer.SignMessage(request))
    denied = grpc.StatusCode.PERMISSION_DENIED
    assert ("MESSAGE_IS_TRANSACTION", denied) == (refused.reason, refused.code)


def test_a_message_is_held_against_the_rule(house: House) -> None:
    """A group whose policy says off-chain messages gets no other signed, and the rule is named."""
    request = sign_message(house.guest_token, house.guest, b"hello")
    refused = refusal_of(lambda: house.client.signer.SignMessage(request))
    assert "POLICY_DENIED" == refused.reason
    assert "guests/message_signing: off-chain" == refused.rule
    text = b"\xffsolana offchain\0" + b"\0" + len(b"hello").to_bytes(2, "little") + b"hello"
    request = sign_message(house.guest_token, house.guest, text)
    verify(house.guest, text, house.client.signer.SignMessage(request).signature)


def test_a_denial_names_its_rule(client: Client, house: House) -> None:
    """A foreign destination, a lookalike with no proof, too many lamports, a program that is not
    listed and a wallet that is in no group: each denied by its rule, and CheckPolicy says the same.
    """
    first, second, *_ = house.wallets
    (outsider,) = client.wallets(house.master, house.password, 1, first=10_000)
    unproven = payment(first, second)
    del unproven.vault_destinations[:]
    unlisted = Instruction(
        TOKEN, b"\x03", [AccountMeta(key_of(first), is_signer=True, is_writable=True)]
    )
    expected = {
        "desk/destinations: vault": [payment(first, STRANGER), unproven],
        "desk/lamports_per_transaction_max: 5000000": [payment(first, second, 5_000_000)],
        "desk/programs: not listed": [
            pb.TransactionItem(transaction=transaction([unlisted], first.address), wallets=[first])
        ],
        "no group": [payment(outsider, second)],
    }
    for rule, items in expected.items():
        for item, result in zip(items, client.sign(house.token, items), strict=True):
            assert ErrorReason.ERROR_REASON_POLICY_DENIED == result.error.reason
            assert (rule, "no") == (result.error.rule, result.error.signed)
            checked = client.signer.CheckPolicy(pb.CheckPolicyRequest(item=item))
            assert (False, rule) == (checked.allowed, checked.verdicts[0].rule)


def test_a_guest_is_no_vault_destination(house: House) -> None:
    """A key that anyone had sealed is no vault's: money goes to derived wallets only."""
    (result,) = house.client.sign(house.token, [payment(house.wallets[0], house.guest)])
    assert "desk/destinations: vault" == result.error.rule


def test_a_forged_tag_makes_nobody_a_wallet(house: House) -> None:
    """Another wallet's tag, another index, another master or a changed character: refused before
    the policy is asked, for the signer and for the destination.
    """
    first, second, third, _ = house.wallets
    forgeries = []
    for change in (
        {"ownership_tag": third.ownership_tag},
        {"derivation_index": 7},
        {"master_fingerprint": "00" * 16},
        {"ownership_tag": _other_end(first.ownership_tag)},
        {"ownership_tag": ""},
        {"ownership_tag": "t1." + "f" * 8 + first.ownership_tag[11:]},
    ):
        forged = rp.WalletRecord()
        forged.CopyFrom(first)
        for name, value in change.items():
            setattr(forged, name, value)
        forgeries.append(forged)
    for forged in forgeries:
        results = house.client.sign(house.token, [payment(forged, second), payment(second, forged)])
        fields = ["items[0].wallets[0]", "items[1].vault_destinations[0]"]
        assert fields == [result.error.field for result in results]
        assert {ErrorReason.ERROR_REASON_OWNERSHIP_REJECTED} == {
            result.error.reason for result in results
        }
        message = sign_message(house.token, forged, b"hello")
        refused = refusal_of(partial(house.client.signer.SignMessage, message))
        assert ("OWNERSHIP_REJECTED", "wallet") == (refused.reason, refused.field)


def test_anothers_record_signs_nothing(house: House) -> None:
    """A wallet with the sealed key of another of the same master, whose session is open: the key is
    opened, is not the wallet's, and nothing is signed.
    """
    first, second, *_ = house.wallets
    swapped = rp.WalletRecord()
    swapped.CopyFrom(first)
    swapped.sealed_record = second.sealed_record
    (result,) = house.client.sign(house.token, [payment(swapped, second)])
    assert ErrorReason.ERROR_REASON_RECORD_REJECTED == result.error.reason
    message = sign_message(house.token, swapped, b"hello")
    refused = refusal_of(lambda: house.client.signer.SignMessage(message))
    assert "RECORD_REJECTED" == refused.reason


def test_a_legacy_transaction_of_another_library_is_signed_alike(house: House) -> None:
    """An ed25519 signature is one for a key and message: solders gives the very same bytes."""
    key = Keypair()
    request = house.client.seal_private_key(str(key.pubkey()), bytes(key), house.password)
    wallet = house.client.signer.SealPrivateKey(request).wallet
    token = house.client.session(wallet, house.password)
    move = TransferParams(from_pubkey=key.pubkey(), to_pubkey=Pubkey.new_unique(), lamports=1)
    message = Message([transfer(move)], key.pubkey())
    unsigned = bytes(Transaction.new_unsigned(message))
    item = pb.TransactionItem(transaction=unsigned, wallets=[wallet])
    (result,) = house.client.sign(token, [item])
    theirs = Transaction([key], message, message.recent_blockhash)
    assert bytes(theirs) == result.signed.transaction
    assert os.fsencode(wallet.address) == str(theirs.message.account_keys[0]).encode()


def _other_end(text: str) -> str:
    """The text with another last character."""
    return text[:-1] + ("B" if text.endswith("A") else "A")
