"""What leaves through admin.sock, and that it comes back whole elsewhere."""

from functools import partial

import grpc
from bip_utils import Bip39MnemonicGenerator
from nacl.public import PrivateKey, SealedBox
from solders.keypair import Keypair

from solward.signer.v1 import admin_service_pb2 as ap
from solward.signer.v1 import records_pb2 as rp
from tests.admin.conftest import PASSWORD
from tests.signer.client import Client, connected, fresh_id, payment, sign_message
from tests.signer.known import bip39_seed, wallet_seed
from tests.signer.process import signer_process
from tests.signer.refusals import refusal_of

ARCHIVE_PASSWORD = "a password for the archive"
OTHER_PASSWORD = "a password at the new house"


def export_mnemonic(
    client: Client, master: rp.MasterRecord, recipient: bytes, password: str = PASSWORD
) -> ap.ExportMnemonicRequest:
    """Ask for a mnemonic."""
    name = fresh_id()
    bound = (name, master.master_fingerprint, recipient.hex())
    return ap.ExportMnemonicRequest(
        request_id=name,
        master=master,
        recipient_public_key=recipient,
        sealed_password=client.seal(password, "ExportMnemonic", *bound),
    )


def export_key(
    client: Client, wallet: rp.WalletRecord, recipient: bytes
) -> ap.ExportPrivateKeyRequest:
    """Ask for a private key."""
    name = fresh_id()
    bound = (name, wallet.address, recipient.hex())
    return ap.ExportPrivateKeyRequest(
        request_id=name,
        wallet=wallet,
        recipient_public_key=recipient,
        sealed_password=client.seal(PASSWORD, "ExportPrivateKey", *bound),
    )


def export_vault(
    client: Client,
    masters: list[rp.MasterRecord],
    wallets: list[rp.WalletRecord],
) -> ap.ExportVaultRequest:
    """Ask for an archive."""
    name, rpc = fresh_id(), "ExportVault"
    return ap.ExportVaultRequest(
        request_id=name,
        masters=masters,
        wallets=wallets,
        sealed_password=client.seal(PASSWORD, rpc, name),
        sealed_archive_password=client.seal(ARCHIVE_PASSWORD, rpc, name, purpose="new_password"),
    )


def import_vault(
    client: Client, archive: bytes, password: str = ARCHIVE_PASSWORD
) -> ap.ImportVaultRequest:
    """Bring an archive along."""
    name, rpc = fresh_id(), "ImportVault"
    return ap.ImportVaultRequest(
        request_id=name,
        archive=archive,
        sealed_archive_password=client.seal(password, rpc, name),
        sealed_password=client.seal(OTHER_PASSWORD, rpc, name, purpose="new_password"),
    )


def test_mnemonic_and_key_leave_sealed_to_the_operators_key(client: Client) -> None:
    """An export gives the mnemonic, passphrase and key pair, readable by the operator alone."""
    words = str(Bip39MnemonicGenerator().FromWordsNumber(24))
    imported = client.admin.ImportMasterWallet(client.import_master(words, PASSWORD, "Zürich"))
    operator = PrivateKey.generate()
    recipient = bytes(operator.public_key)
    mnemonic = client.admin.ExportMnemonic(export_mnemonic(client, imported.master, recipient))
    (wallet,) = client.wallets(imported.master, PASSWORD, 1, first=7)
    key = client.admin.ExportPrivateKey(export_key(client, wallet, recipient))

    box = SealedBox(operator)
    assert words.encode() == box.decrypt(mnemonic.sealed_mnemonic)
    # NFKD: the u and its dots are two characters.
    assert "Zu\u0308rich".encode() == box.decrypt(mnemonic.sealed_passphrase)
    pair = box.decrypt(key.sealed_private_key)
    assert wallet_seed(bip39_seed(words, "Zürich"), 7) == pair[:32]
    assert wallet.address == str(Keypair.from_bytes(pair).pubkey())


def test_export_needs_the_password_and_binds_it_to_the_recipient(client: Client) -> None:
    """A wrong password opens nothing, and nobody can turn an export to another key on the way."""
    master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
    mine, thief = (bytes(PrivateKey.generate().public_key) for _ in range(2))
    wrong = export_mnemonic(client, master, mine, "not the password at all")
    assert "RECORD_REJECTED" == refusal_of(lambda: client.admin.ExportMnemonic(wrong)).reason
    turned = export_mnemonic(client, master, mine)
    turned.recipient_public_key = thief
    assert "CREDENTIAL_REJECTED" == refusal_of(lambda: client.admin.ExportMnemonic(turned)).reason


def test_exports_are_off_unless_configured() -> None:
    """A signer whose configuration says nothing of exports refuses all three kinds."""
    with signer_process() as process:
        process.start()
        with connected(process) as client:
            master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
            (wallet,) = client.wallets(master, PASSWORD, 1)
            recipient = bytes(PrivateKey.generate().public_key)
            admin = client.admin
            refusals = [
                refusal_of(
                    lambda: admin.ExportMnemonic(export_mnemonic(client, master, recipient))
                ),
                refusal_of(lambda: admin.ExportPrivateKey(export_key(client, wallet, recipient))),
                refusal_of(lambda: admin.ExportVault(export_vault(client, [master], [wallet]))),
            ]
    assert ["EXPORT_DISABLED"] * 3 == [refusal.reason for refusal in refusals]
    assert {grpc.StatusCode.FAILED_PRECONDITION} == {refusal.code for refusal in refusals}


def test_vault_of_10000_moves_to_another_signer_and_signs_there(client: Client) -> None:
    """An archive of 10,000 derived wallets and an imported one restores under other secrets, every
    address the same, and the restored wallets sign.
    """
    master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
    wallets = client.wallets(master, PASSWORD, 10_000)
    foreign = Keypair()
    sealed = client.seal_private_key(str(foreign.pubkey()), bytes(foreign), PASSWORD)
    guest = client.signer.SealPrivateKey(sealed).wallet
    request = export_vault(client, [master], [*wallets, guest])
    archive = b"".join(part.archive_chunk for part in client.admin.ExportVault(request))

    with signer_process() as elsewhere:
        elsewhere.start()
        with connected(elsewhere) as there:
            parts = list(there.admin.ImportVault(import_vault(there, archive)))
            restored = [wallet for part in parts for wallet in part.wallets]
            assert [master.master_fingerprint] == [
                found.master_fingerprint for part in parts for found in part.masters
            ]
            assert [wallet.address for wallet in (*wallets, guest)] == [
                wallet.address for wallet in restored
            ]
            token = there.session(restored[0], OTHER_PASSWORD)
            (result,) = there.sign(token, [payment(restored[9_999], restored[0])])
            assert result.signed.is_complete
            message = there.signer.SignMessage(sign_message(token, restored[0], b"restored"))
            assert 64 == len(message.signature)


def test_altered_or_cut_archive_opens_nothing(client: Client) -> None:
    """One changed byte anywhere, a missing end or a wrong password: one refusal, no record."""
    master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
    wallets = client.wallets(master, PASSWORD, 3)
    request = export_vault(client, [master], wallets)
    archive = b"".join(part.archive_chunk for part in client.admin.ExportVault(request))
    bad = [archive[:-1], archive[: len(archive) // 2]]
    for at in (0, 20, 40, -1):
        changed = bytearray(archive)
        changed[at] ^= 1
        bad.append(bytes(changed))
    imports = [import_vault(client, each) for each in bad]
    imports.append(import_vault(client, archive, "not the archive's password"))
    for each in imports:
        refused = refusal_of(partial(client.admin.ImportVault, each))
        assert "ARCHIVE_REJECTED" == refused.reason
    assert 4 == sum(
        len(part.masters) + len(part.wallets)
        for part in client.admin.ImportVault(import_vault(client, archive))
    )


def test_wallet_without_its_master_is_not_exported(client: Client) -> None:
    """An archive never claims an index that its reader cannot derive again."""
    master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
    wallets = client.wallets(master, PASSWORD, 2)
    refused = refusal_of(lambda: client.admin.ExportVault(export_vault(client, [], wallets)))
    assert ("INVALID_FIELD", "wallets[0]") == (refused.reason, refused.field)
