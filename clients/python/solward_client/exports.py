"""What leaves the signer by its operator, and comes back: mnemonics, keys, whole vaults."""

import unicodedata
from collections.abc import Iterator
from uuid import uuid4

from nacl.public import PrivateKey, SealedBox

from solward.signer.v1 import admin_service_pb2 as pb
from solward.signer.v1.admin_service_pb2_grpc import AdminServiceStub
from solward.signer.v1.records_pb2 import MasterRecord, WalletRecord
from solward_client.calls import LONG_TIMEOUT_S, Caller
from solward_client.credentials import Sealer
from solward_client.records import Records


class Exports:
    """Exports and imports over admin.sock. Every method raises SolwardError.

    A secret comes sealed to a key made here for that one call. The signer's configuration has to
    allow each kind of export.
    """

    def __init__(self, stub: AdminServiceStub, caller: Caller, sealer: Sealer) -> None:
        """Take the admin socket's stub."""
        self._stub = stub
        self._caller = caller
        self._sealer = sealer

    def mnemonic(self, master: MasterRecord, password: str) -> tuple[str, str]:
        """Return a master's mnemonic and BIP39 passphrase ("" for none)."""
        recipient, request_id, rpc = PrivateKey.generate(), str(uuid4()), "ExportMnemonic"
        public = bytes(recipient.public_key)
        fields = (request_id, master.master_fingerprint, public.hex())
        request = pb.ExportMnemonicRequest(
            request_id=request_id,
            master=master,
            recipient_public_key=public,
            sealed_password=self._seal(password, rpc, fields),
        )
        answer = self._caller.write(self._stub.ExportMnemonic, request)
        box = SealedBox(recipient)
        passphrase = box.decrypt(answer.sealed_passphrase) if answer.sealed_passphrase else b""
        mnemonic = box.decrypt(answer.sealed_mnemonic).decode()
        # As people and other wallets spell them: NFC.
        return mnemonic, unicodedata.normalize("NFC", passphrase.decode())

    def private_key(self, wallet: WalletRecord, password: str) -> bytes:
        """Return a wallet's 64-byte key pair (seed, public key)."""
        recipient, request_id, rpc = PrivateKey.generate(), str(uuid4()), "ExportPrivateKey"
        public = bytes(recipient.public_key)
        request = pb.ExportPrivateKeyRequest(
            request_id=request_id,
            wallet=wallet,
            recipient_public_key=public,
            sealed_password=self._seal(password, rpc, (request_id, wallet.address, public.hex())),
        )
        answer = self._caller.write(self._stub.ExportPrivateKey, request)
        return bytes(SealedBox(recipient).decrypt(answer.sealed_private_key))

    def vault(self, records: Records, password: str, archive_password: str) -> Iterator[bytes]:
        """Yield an archive of records, all of one password, under a password of its own."""
        request_id, rpc = str(uuid4()), "ExportVault"
        request = pb.ExportVaultRequest(
            request_id=request_id,
            masters=records.masters,
            wallets=records.wallets,
            sealed_password=self._seal(password, rpc, (request_id,)),
            sealed_archive_password=self._sealer.seal(
                archive_password.encode(), rpc, (request_id,), "new_password"
            ),
        )
        for part in self._caller.stream(self._stub.ExportVault, request, LONG_TIMEOUT_S):
            yield part.archive_chunk

    def import_vault(
        self, archive: bytes, archive_password: str, password: str
    ) -> tuple[Records, str]:
        """Seal what an archive holds under a password; return the records and their key group."""
        request_id, rpc = str(uuid4()), "ImportVault"
        request = pb.ImportVaultRequest(
            request_id=request_id,
            archive=archive,
            sealed_archive_password=self._seal(archive_password, rpc, (request_id,)),
            sealed_password=self._sealer.seal(
                password.encode(), rpc, (request_id,), "new_password"
            ),
        )
        found, key_group = Records(), ""
        for part in self._caller.stream(self._stub.ImportVault, request, LONG_TIMEOUT_S):
            found.masters.extend(part.masters)
            found.wallets.extend(part.wallets)
            key_group = part.key_group
        return found, key_group

    def _seal(self, password: str, rpc: str, fields: tuple[str, ...]) -> bytes:
        return self._sealer.seal(password.encode(), rpc, fields, "password")
