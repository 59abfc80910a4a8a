"""A signer's household: a master, wallets, a guest, open sessions; and every request it takes."""

import os
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message
from nacl.public import PrivateKey
from nacl.signing import SigningKey
from solders.pubkey import Pubkey

from solward.signer.v1 import admin_service_pb2 as ap
from solward.signer.v1 import records_pb2 as rp
from solward.signer.v1 import signer_service_pb2 as pb
from tests.signer.client import Client, fresh_id, payment, proof_of, sign_message
from tests.signer.errands import address_of, new_mnemonic
from tests.signer.exporting import (
    export_mnemonic,
    export_private_key,
    export_vault,
    import_vault,
)


@dataclass(slots=True)
class House:
    """What a gateway would have in its database, and the password of it all."""

    client: Client
    password: str
    master: rp.MasterRecord
    wallets: list[rp.WalletRecord]
    guest: rp.WalletRecord
    """An imported wallet, of a key group of its own."""
    token: bytes
    guest_token: bytes
    mnemonic: str = field(default_factory=new_mnemonic)
    private_key: bytes = field(default_factory=lambda: bytes(SigningKey.generate()))
    operator: bytes = field(default_factory=lambda: bytes(PrivateKey.generate().public_key))
    archive: bytes = b""

    @classmethod
    def built(cls, client: Client, wallets: int = 4) -> "House":
        """Make everything."""
        password = os.urandom(15).hex()
        master = client.signer.CreateMasterWallet(client.create_master(password)).master
        derived = client.wallets(master, password, wallets)
        key = os.urandom(32)
        request = client.seal_private_key(address_of(key), key, password)
        guest = client.signer.SealPrivateKey(request).wallet
        token, guest_token = (client.session(wallet, password) for wallet in (derived[0], guest))
        return cls(client, password, master, derived, guest, token, guest_token)

    def requests(self) -> list[Message]:
        """One good request for every RPC of both services, with fresh secrets; those that end or
        refuse what others need stand last.
        """
        return [*self._requests_of_the_gateway(), *self._requests_of_the_operator()]

    def _requests_of_the_gateway(self) -> list[Message]:
        client, password, (first, second, *_) = self.client, self.password, self.wallets
        return [
            pb.GetSignerInfoRequest(),
            client.create_master(password),
            client.derive(self.master, password, 2),
            client.seal_private_key(address_of(self.private_key), self.private_key, password),
            client.rotate([self.master], self.wallets, password, password),
            client.open_session([first], password),
            pb.CloseSessionRequest(session_token=os.urandom(32)),
            pb.SignTransactionsRequest(
                request_id=fresh_id(), session_token=self.token, items=[payment(first, second)]
            ),
            sign_message(self.token, first, b"a message"),
            pb.CheckPolicyRequest(item=payment(first, second)),
            pb.ResolvePolicyGroupsRequest(wallets=[proof_of(first)]),
            pb.StreamAuditRecordsRequest(first_sequence=0),
        ]

    def _requests_of_the_operator(self) -> list[Message]:
        client, password, operator = self.client, self.password, self.operator
        name = fresh_id()
        validate = client.seal(self.mnemonic, "ValidateMnemonic", name, purpose="mnemonic")
        stranger = str(Pubkey.new_unique())
        return [
            ap.GetStatusRequest(),
            ap.GenerateMnemonicRequest(
                request_id=fresh_id(), entropy_bits=128, recipient_public_key=operator
            ),
            ap.ValidateMnemonicRequest(request_id=name, sealed_mnemonic=validate),
            client.import_master(self.mnemonic, password, "a passphrase"),
            export_mnemonic(client, self.master, operator, password),
            export_private_key(client, self.wallets[0], operator, password),
            export_vault(client, [self.master], self.wallets, password, password),
            import_vault(client, self._archive(), password, password),
            ap.ReloadPolicyRequest(request_id=fresh_id()),
            ap.FreezeRequest(request_id=fresh_id(), address=stranger),
            ap.UnfreezeRequest(request_id=fresh_id(), address=stranger),
            ap.RevokeSessionsRequest(request_id=fresh_id()),
        ]

    def _archive(self) -> bytes:
        """An archive of the house, written once: its KDF is dear."""
        if not self.archive:
            request = export_vault(self.client, [self.master], [], self.password, self.password)
            parts = self.client.admin.ExportVault(request)
            self.archive = b"".join(part.archive_chunk for part in parts)
        return self.archive


def rpc_of(request: Message) -> str:
    """The RPC that a request is for."""
    return type(request).__name__.removesuffix("Request")


def send(client: Client, request: Message) -> Any:
    """Send a request to the service that takes it; a stream comes as an iterator."""
    rpc = rpc_of(request)
    return getattr(client.signer if hasattr(client.signer, rpc) else client.admin, rpc)(request)
