"""Sessions, signatures, policy checks and rotation through gRPC on a real database."""

import asyncio

import grpc
import pytest
from solders.keypair import Keypair

from gateway.domain.addresses import decode_base58, encode_base58
from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from solward.gateway.v1 import signing_service_pb2 as pb
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from tests.gateway.fake_signer import FakeSigner
from tests.gateway.support import Gateway, in_clear, new_id, refusal_of, transfer

TOKEN = b"t" * 32


def sign_request(wallet: wallet_pb.Wallet, transaction: bytes) -> pb.SignTransactionRequest:
    """A request to sign one transaction by one wallet."""
    item = pb.TransactionToSign(reference="r", transaction=transaction, wallet_ids=[wallet.id])
    return pb.SignTransactionRequest(request_id=new_id(), session_token=TOKEN, transaction=item)


async def test_a_session_for_a_master_sends_one_record(
    gateway: Gateway, fake: FakeSigner, master: master_pb.MasterWallet, wallets: list[object]
) -> None:
    """A master's wallets are unlocked by one record, and the token and its end come back."""
    assert len(wallets) == 3
    request = pb.OpenSessionRequest(
        master_wallet_id=master.id, credential=in_clear(), ttl_seconds=60
    )
    response = await gateway.signing.OpenSession(request)
    assert (TOKEN, 1_800_000_000) == (response.session_token, response.expire_time.seconds)
    assert fake.calls.count("OpenSession") == 1
    await gateway.signing.CloseSession(pb.CloseSessionRequest(session_token=TOKEN))
    assert fake.calls[-1] == "CloseSession"


async def test_a_sessions_scope_reaches_the_signer(
    gateway: Gateway, fake: FakeSigner, master: master_pb.MasterWallet, wallets: list[object]
) -> None:
    """A narrowed session is asked for as narrow as it came, and the password is bound to that."""
    assert len(wallets) == 3
    scope = pb.SessionScope(index_last=9, sign_transactions=True, lamports_max=7)
    request = pb.OpenSessionRequest(
        master_wallet_id=master.id, credential=in_clear(), session_scope=scope
    )
    assert TOKEN == (await gateway.signing.OpenSession(request)).session_token
    assert ["0,9,1,0,7,0"] == fake.scopes
    scope.index_first = 10
    request.session_scope.CopyFrom(scope)
    refusal = await refusal_of(gateway.signing.OpenSession(request))
    assert refusal.fields == ("session_scope.index_first",)


async def test_a_session_for_a_master_without_wallets_is_refused(
    gateway: Gateway, master: master_pb.MasterWallet
) -> None:
    """There is no record to prove the password on: FAILED_PRECONDITION, naming the field."""
    request = pb.OpenSessionRequest(master_wallet_id=master.id, credential=in_clear())
    refusal = await refusal_of(gateway.signing.OpenSession(request))
    assert (grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE") == (refusal.code, refusal.reason)
    assert refusal.fields == ("master_wallet_id",)
    assert "PreconditionFailure" in refusal.details


async def test_signing_proves_the_vaults_own_destinations(
    gateway: Gateway, fake: FakeSigner, wallets: list[wallet_pb.Wallet]
) -> None:
    """A destination that is a wallet of ours is sent with its proof, a foreign one is not."""
    foreign = str(Keypair().pubkey())
    transaction = transfer(wallets[0].address, wallets[1].address, foreign)
    response = await gateway.signing.SignTransaction(sign_request(wallets[0], transaction))
    signed = response.signed
    assert (transaction, True) == (signed.transaction, signed.is_complete)
    assert encode_base58(b"s" * 64) == signed.transaction_signature
    item = fake.sign_requests[-1].items[0]
    assert [wallets[0].address] == [wallet.address for wallet in item.wallets]
    assert item.wallets[0].ownership_tag == "tag-0"
    assert [(wallets[1].address, "tag-1")] == [
        (proof.address, proof.ownership_tag) for proof in item.vault_destinations
    ]


async def test_a_refused_transaction_is_a_status_with_the_rule(
    gateway: Gateway, wallets: list[wallet_pb.Wallet]
) -> None:
    """For a single transaction the signer's refusal is the call's status, in the caller's terms."""
    refusal = await refusal_of(gateway.signing.SignTransaction(sign_request(wallets[0], b"refuse")))
    assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
    assert ("POLICY_DENIED", "signer.solward") == (refusal.reason, refusal.domain)
    assert refusal.metadata["rule"] == "desk/destinations: vault"
    assert refusal.metadata["signed"] == "no"
    assert refusal.fields == ("transaction.transaction",)


async def test_a_batch_has_one_final_result_for_each_item(
    gateway: Gateway, fake: FakeSigner, wallets: list[wallet_pb.Wallet]
) -> None:
    """An unknown wallet and a denied transaction leave their neighbours signed, in order."""
    items = [
        pb.TransactionToSign(reference="a", transaction=b"x", wallet_ids=[wallets[0].id]),
        pb.TransactionToSign(reference="b", transaction=b"x", wallet_ids=[new_id()]),
        pb.TransactionToSign(reference="c", transaction=b"refuse", wallet_ids=[wallets[1].id]),
        pb.TransactionToSign(reference="d", transaction=b"x", wallet_ids=[wallets[2].id]),
    ]
    response = await gateway.signing.SignTransactions(
        pb.SignTransactionsRequest(request_id=new_id(), session_token=TOKEN, transactions=items)
    )
    results = response.results
    assert ["a", "b", "c", "d"] == [result.reference for result in results]
    assert ["signed", "error", "error", "signed"] == [r.WhichOneof("outcome") for r in results]
    unknown, denied = results[1].error, results[2].error
    assert ("WALLET_NOT_FOUND", "gateway.solward") == (unknown.reason, unknown.domain)
    assert (5, "transactions[1].wallet_ids[0]") == (unknown.code, unknown.field)
    assert ("POLICY_DENIED", "signer.solward") == (denied.reason, denied.domain)
    assert ("desk/destinations: vault", "transactions[2].transaction") == (
        denied.rule,
        denied.field,
    )
    assert len(fake.sign_requests[-1].items) == 3


async def test_a_batch_past_the_signers_limit_goes_in_parts(
    gateway: Gateway,
    fake: FakeSigner,
    wallets: list[wallet_pb.Wallet],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch is cut where it would outgrow the signer's requests, and answered as one."""
    monkeypatch.setattr("gateway.adapters.signer.calls.BATCH_BYTES_MAX", 1_000)
    items = [
        pb.TransactionToSign(reference=str(n), transaction=bytes(300), wallet_ids=[wallets[0].id])
        for n in range(7)
    ]
    response = await gateway.signing.SignTransactions(
        pb.SignTransactionsRequest(request_id=new_id(), session_token=TOKEN, transactions=items)
    )
    assert [str(n) for n in range(7)] == [result.reference for result in response.results]
    assert [2, 2, 2, 1] == [len(request.items) for request in fake.sign_requests]


async def test_signing_notes_when_a_wallet_was_used(
    gateway: Gateway, wallets: list[wallet_pb.Wallet]
) -> None:
    """A signature sets last_use_time of its wallet, and of no other, once the log is flushed."""
    await gateway.signing.SignTransaction(sign_request(wallets[0], b"x"))
    message = pb.SignMessageRequest(
        request_id=new_id(), session_token=TOKEN, wallet_id=wallets[1].id, message=b"hello"
    )
    signed = await gateway.signing.SignMessage(message)
    assert (64, wallets[1].address) == (len(signed.signature), signed.address)
    await gateway.workers.usage.flush()
    page = await gateway.wallets.ListWallets(wallet_pb.ListWalletsRequest())
    assert [True, True, False] == [wallet.HasField("last_use_time") for wallet in page.wallets]


async def test_check_policy_names_wallets_by_id(
    gateway: Gateway, wallets: list[wallet_pb.Wallet]
) -> None:
    """Verdicts come back for the caller's wallet ids, in order."""
    item = pb.TransactionToSign(transaction=b"x", wallet_ids=[wallets[2].id, wallets[0].id])
    response = await gateway.signing.CheckPolicy(pb.CheckPolicyRequest(transaction=item))
    assert [wallets[2].id, wallets[0].id] == [verdict.wallet_id for verdict in response.verdicts]
    assert (True, ["memo"]) == (response.allowed, list(response.effects))


async def test_public_keys(
    gateway: Gateway, fake: FakeSigner, wallets: list[wallet_pb.Wallet]
) -> None:
    """A wallet's key is its address's bytes; the signer's comes with its boot id."""
    wallet = await gateway.signing.GetPublicKey(pb.GetPublicKeyRequest(wallet_id=wallets[0].id))
    assert decode_base58(wallets[0].address) == wallet.public_key
    box = await gateway.signing.GetPublicKey(pb.GetPublicKeyRequest(signer_box_key=True))
    assert (bytes(fake.box_key.public_key), fake.boot_id) == (box.public_key, box.boot_id)


async def test_rotation_replaces_every_record_and_tag(
    gateway: Gateway,
    master: master_pb.MasterWallet,
    wallets: list[wallet_pb.Wallet],
    fake: FakeSigner,
) -> None:
    """After a rotation the new password opens and signs with the new records; the old does not."""
    request = pb.RotatePasswordRequest(
        master_wallet_id=master.id,
        credential=in_clear(),
        new_credential=in_clear("a new and long password"),
    )
    response = await gateway.signing.RotatePassword(request)
    assert (3, "group2") == (response.rotated_wallet_count, response.key_group)
    old = pb.OpenSessionRequest(master_wallet_id=master.id, credential=in_clear())
    assert (await refusal_of(gateway.signing.OpenSession(old))).reason == "RECORD_REJECTED"
    new = pb.OpenSessionRequest(
        master_wallet_id=master.id, credential=in_clear("a new and long password")
    )
    assert TOKEN == (await gateway.signing.OpenSession(new)).session_token
    await gateway.signing.SignTransaction(sign_request(wallets[1], b"x"))
    sent = fake.sign_requests[-1].items[0].wallets[0]
    assert ("key-group2-1", "tag-1+") == (sent.sealed_record, sent.ownership_tag)


async def test_rotation_and_derivation_at_once_leave_one_key_group(
    gateway: Gateway, master: master_pb.MasterWallet, wallets: list[wallet_pb.Wallet]
) -> None:
    """No wallet of the old key group slips in between reading the records and replacing them."""
    assert len(wallets) == 3
    derivation = wallet_pb.DeriveWalletsRequest(
        request_id=new_id(),
        master_wallet_id=master.id,
        first_index=3,
        count=3_000,
        credential=in_clear(),
    )
    rotation = pb.RotatePasswordRequest(
        master_wallet_id=master.id,
        credential=in_clear(),
        new_credential=in_clear("a new and long password"),
    )

    async def derive() -> str:
        try:
            async for _ in gateway.wallets.DeriveWallets(derivation):
                pass
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"

    derived, _ = await asyncio.gather(derive(), gateway.signing.RotatePassword(rotation))
    page = await gateway.wallets.ListWallets(wallet_pb.ListWalletsRequest(page_size=1000))
    assert {"group2"} == {wallet.key_group for wallet in page.wallets}
    # Whichever came first: derived under the old password and rotated, or refused by the new one.
    assert derived in {"OK", "PERMISSION_DENIED"}


async def test_a_derived_wallet_is_not_rotated_alone(
    gateway: Gateway, wallets: list[wallet_pb.Wallet]
) -> None:
    """Its password is its master's; an imported wallet's is its own."""
    request = pb.RotatePasswordRequest(
        wallet_id=wallets[0].id, credential=in_clear(), new_credential=in_clear("x" * 12)
    )
    refusal = await refusal_of(gateway.signing.RotatePassword(request))
    assert (grpc.StatusCode.INVALID_ARGUMENT, ("wallet_id",)) == (refusal.code, refusal.fields)
    address = str(Keypair().pubkey())
    imported = await gateway.wallets.ImportWallet(
        wallet_pb.ImportWalletRequest(
            request_id=new_id(),
            address=address,
            plaintext_private_key=b"k" * 64,
            credential=in_clear(),
        )
    )
    request.wallet_id = imported.wallet.id
    assert (await gateway.signing.RotatePassword(request)).rotated_wallet_count == 1
