"""The operator's requests for secrets to leave, as admin.sock takes them."""

from collections.abc import Sequence

from solward.signer.v1 import admin_service_pb2 as ap
from solward.signer.v1 import records_pb2 as rp
from tests.signer.client import Client, fresh_id


def export_mnemonic(
    client: Client, master: rp.MasterRecord, recipient: bytes, password: str
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


def export_private_key(
    client: Client, wallet: rp.WalletRecord, recipient: bytes, password: str
) -> ap.ExportPrivateKeyRequest:
    """Ask for a private key."""
    name = fresh_id()
    bound = (name, wallet.address, recipient.hex())
    return ap.ExportPrivateKeyRequest(
        request_id=name,
        wallet=wallet,
        recipient_public_key=recipient,
        sealed_password=client.seal(password, "ExportPrivateKey", *bound),
    )


def export_vault(
    client: Client,
    masters: Sequence[rp.MasterRecord],
    wallets: Sequence[rp.WalletRecord],
    password: str,
    archive_password: str,
) -> ap.ExportVaultRequest:
    """Ask for an archive."""
    name, rpc = fresh_id(), "ExportVault"
    sealed = client.seal(archive_password, rpc, name, purpose="new_password")
    return ap.ExportVaultRequest(
        request_id=name,
        masters=masters,
        wallets=wallets,
        sealed_password=client.seal(password, rpc, name),
        sealed_archive_password=sealed,
    )


def import_vault(
    client: Client, archive: bytes, archive_password: str, password: str
) -> ap.ImportVaultRequest:
    """Bring an archive along."""
    name, rpc = fresh_id(), "ImportVault"
    return ap.ImportVaultRequest(
        request_id=name,
        archive=archive,
        sealed_archive_password=client.seal(archive_password, rpc, name),
        sealed_password=client.seal(password, rpc, name, purpose="new_password"),
    )
