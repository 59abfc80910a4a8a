"""Attempts to be somebody else: forged tags, swapped records, stolen and replayed credentials."""

import time
from collections.abc import Callable
from functools import partial

import pytest
from nacl.signing import VerifyKey
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from solward.signer.v1 import records_pb2 as rp
from solward.signer.v1 import signer_service_pb2 as pb
from solward_client.sealing import SignerKey, seal
from tests.hostile.conftest import PASSWORD, Thief
from tests.signer.client import fresh_id, payment, proof_of, sign_message
from tests.signer.known import Record
from tests.signer.refusals import refusal_of


def to_loot(thief: Thief, *proofs: rp.OwnershipProof) -> pb.TransactionItem:
    """A payment to the thief, with whatever proofs the thief has made up."""
    item = payment(thief.wallets[0], str(thief.loot))
    item.vault_destinations.extend(proofs)
    return item


def claimed(thief: Thief, of: rp.WalletRecord, **changes: object) -> rp.OwnershipProof:
    """A true proof with changes."""
    proof = proof_of(of)
    for name, value in changes.items():
        setattr(proof, name, value)
    return proof


FORGERIES: dict[str, Callable[[Thief], rp.OwnershipProof]] = {
    "another wallet's tag": lambda t: claimed(t, t.wallets[1], address=str(t.loot)),
    "made-up tag": lambda t: claimed(
        t, t.wallets[1], address=str(t.loot), ownership_tag="t1.00000000." + "A" * 43
    ),
    "one character changed": lambda t: claimed(
        t,
        t.wallets[1],
        ownership_tag=t.wallets[1].ownership_tag[:-5] + "AAAAA",
    ),
    "another index": lambda t: claimed(t, t.wallets[1], derivation_index=2),
    "no tag": lambda t: claimed(t, t.wallets[1], ownership_tag=""),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_proof_of_ownership_is_refused(thief: Thief, name: str) -> None:
    """No tag but the signer's own, for that address, master and index, makes a destination ours."""
    assert "OWNERSHIP_REJECTED" == thief.outcome(to_loot(thief, FORGERIES[name](thief)))
    assert "signed" == thief.outcome(payment(thief.wallets[0], thief.wallets[1]))


def test_key_that_the_thief_brought_is_no_vault_destination(thief: Thief) -> None:
    """Anyone can have a key of their own sealed; its true tag still opens no way out."""
    own = Keypair()
    request = thief.client.seal_private_key(str(own.pubkey()), bytes(own), "the thief's password")
    brought = thief.client.signer.SealPrivateKey(request).wallet
    item = payment(thief.wallets[0], brought)
    assert "desk/destinations: vault" == thief.outcome(item)


def test_imported_wallet_cannot_pose_as_derived(thief: Thief) -> None:
    """The tag of an imported key does not fit a claim to a master and an index."""
    own = Keypair()
    request = thief.client.seal_private_key(str(own.pubkey()), bytes(own), "the thief's password")
    brought = thief.client.signer.SealPrivateKey(request).wallet
    posing = claimed(
        thief,
        brought,
        master_fingerprint=thief.wallets[0].master_fingerprint,
        derivation_index=7,
    )
    assert "OWNERSHIP_REJECTED" == thief.outcome(to_loot(thief, posing))


def test_swapped_sealed_records_do_not_open(thief: Thief) -> None:
    """A wallet's name on another wallet's sealed key signs nothing with either."""
    swapped = rp.WalletRecord()
    swapped.CopyFrom(thief.wallets[0])
    swapped.sealed_record = thief.wallets[1].sealed_record
    item = payment(thief.wallets[0], thief.wallets[1])
    del item.wallets[:]
    item.wallets.append(swapped)
    assert "RECORD_REJECTED" == thief.outcome(item)


def test_wallet_moved_to_a_richer_group_is_refused(thief: Thief) -> None:
    """A claim to another index, to fall into another policy group, is refused before policy."""
    moved = rp.WalletRecord()
    moved.CopyFrom(thief.wallets[0])
    moved.derivation_index = 150
    item = payment(thief.wallets[0], thief.wallets[1])
    del item.wallets[:]
    item.wallets.append(moved)
    assert "OWNERSHIP_REJECTED" == thief.outcome(item)


def test_wallet_outside_every_group_signs_nothing(thief: Thief) -> None:
    """Default deny: index 100 is derived, unlocked and in no group."""
    master = thief.client.signer.CreateMasterWallet(thief.client.create_master(PASSWORD)).master
    outside, inside = (thief.client.wallets(master, PASSWORD, 1, first=at)[0] for at in (100, 99))
    token = thief.client.session(outside, PASSWORD)
    results = thief.client.sign(token, [payment(outside, inside), payment(inside, outside)])
    assert ["no group", ""] == [result.error.rule for result in results]


def test_second_signer_named_twice_or_not_needed(thief: Thief) -> None:
    """A wallet listed twice, or one that the transaction does not ask for, gets no signature."""
    item = payment(thief.wallets[0], thief.wallets[1])
    twice, stranger = pb.TransactionItem(), pb.TransactionItem()
    twice.CopyFrom(item)
    twice.wallets.append(thief.wallets[0])
    stranger.CopyFrom(item)
    stranger.wallets.append(thief.wallets[1])
    assert ["INVALID_FIELD", "SIGNER_NOT_REQUIRED"] == [
        thief.outcome(each) for each in (twice, stranger)
    ]


def open_session(thief: Thief, sealed: bytes, ttl_seconds: int = 60) -> pb.OpenSessionRequest:
    """Ask for a session with a password that a client sealed."""
    return pb.OpenSessionRequest(
        request_id=fresh_id(),
        purpose=pb.OpenSessionRequest.PURPOSE_SIGN,
        wallets=[thief.wallets[0]],
        ttl_seconds=ttl_seconds,
        sealed_password=sealed,
    )


def sealed_for_60_seconds(
    thief: Thief, *, rpc: str = "OpenSession", boot_id: bytes = b"", at_s: float = 0
) -> bytes:
    """What an honest client seals for a session of 60 seconds."""
    key = SignerKey(thief.client.key.box_public_key, boot_id or thief.client.key.boot_id)
    group = Record.parse(thief.wallets[0].sealed_record).key_group
    return seal(
        key,
        PASSWORD.encode(),
        purpose="password",
        rpc=rpc,
        fields=("PURPOSE_SIGN", 60, group),
        now_s=at_s or time.time(),
    )


def test_credential_works_once_for_its_own_request(thief: Thief) -> None:
    """Replayed, stretched, meant for another call or another start, or expired: refused."""
    sealed = sealed_for_60_seconds(thief)
    call = thief.client.signer.OpenSession
    assert call(open_session(thief, sealed)).session_token
    stretched = open_session(thief, sealed_for_60_seconds(thief), ttl_seconds=3600)
    attempts = [
        open_session(thief, sealed),
        stretched,
        open_session(thief, sealed_for_60_seconds(thief, rpc="RotateRecords")),
        open_session(thief, sealed_for_60_seconds(thief, boot_id=bytes(16))),
        open_session(thief, sealed_for_60_seconds(thief, at_s=time.time() - 400)),
        open_session(thief, sealed_for_60_seconds(thief, at_s=time.time() + 400)),
        open_session(thief, sealed[:-1]),
        open_session(thief, b""),
    ]
    assert ["CREDENTIAL_REJECTED"] * len(attempts) == [
        refusal_of(partial(call, attempt)).reason for attempt in attempts
    ]


def test_message_that_is_a_transaction_is_not_signed(thief: Thief) -> None:
    """SignMessage is no way around the policy: not for legacy, v0 or v1, nor with bytes after."""
    move = transfer(TransferParams(from_pubkey=thief.key(), to_pubkey=thief.loot, lamports=1))
    messages = []
    for version in (-1, 0, 1):
        wire = thief.item([move], version=version).transaction
        # v1 puts its one signature slot behind the message, the others before it.
        messages.append(wire[:-64] if version == 1 else wire[65:])
    reasons = [
        refusal_of(
            partial(
                thief.client.signer.SignMessage,
                sign_message(thief.token, thief.wallets[0], message),
            )
        ).reason
        for message in (*messages, *(message + b"tail" for message in messages))
    ]
    assert ["MESSAGE_IS_TRANSACTION"] * 6 == reasons
    honest = sign_message(thief.token, thief.wallets[0], b"a harmless greeting")
    signature = thief.client.signer.SignMessage(honest).signature
    key = VerifyKey(bytes(Pubkey.from_string(honest.wallet.address)))
    key.verify(b"a harmless greeting", signature)
