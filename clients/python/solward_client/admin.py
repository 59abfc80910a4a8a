"""The operator's client: the signer's own sockets, without the gateway."""

import time
import unicodedata
from collections.abc import Callable
from types import TracebackType
from typing import Self
from uuid import uuid4

import grpc
from nacl.public import PrivateKey, SealedBox

from solward.signer.v1 import admin_service_pb2 as pb
from solward.signer.v1 import signer_service_pb2 as signer_pb
from solward.signer.v1.admin_service_pb2_grpc import AdminServiceStub
from solward.signer.v1.signer_service_pb2_grpc import SignerServiceStub
from solward_client.calls import Caller
from solward_client.channel import open_channel
from solward_client.credentials import Sealer
from solward_client.exports import Exports
from solward_client.sealing import SignerKey, mnemonic_bytes


class Admin:
    """Administers the signer over admin.sock. Every method raises SolwardError.

    What comes out (a mnemonic) is sealed by the signer to a key made here for that one call.
    `exports` has what takes sealed records: single secrets and vaults.
    """

    def __init__(
        self,
        admin_channel: grpc.Channel,
        signer_channel: grpc.Channel,
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Take channels to admin.sock and, for the sealing key, signer.sock; close() ends both."""
        self._channels = (admin_channel, signer_channel)
        self._stub = AdminServiceStub(admin_channel)
        self._signer = SignerServiceStub(signer_channel)
        self._caller = Caller()
        self._sealer = Sealer(self.signer_key, now_s=now_s)
        self.exports = Exports(self._stub, self._caller, self._sealer)

    @classmethod
    def connect(cls, admin_target: str, signer_target: str) -> Self:
        """Connect to "unix:/path/to/admin.sock" and "unix:/path/to/signer.sock"."""
        return cls(open_channel(admin_target), open_channel(signer_target))

    def signer_key(self) -> SignerKey:
        """Return the key that secrets are sealed to, from the signer itself: the one to pin."""
        info = self._caller.read(self._signer.GetSignerInfo, signer_pb.GetSignerInfoRequest())
        return SignerKey(info.box_public_key, info.boot_id)

    def status(self) -> pb.GetStatusResponse:
        """Return what is in force and how much was done."""
        return self._caller.read(self._stub.GetStatus, pb.GetStatusRequest())

    def generate_mnemonic(self, entropy_bits: int = 256) -> str:
        """Return a new mnemonic (128 bits: 12 words, 256: 24). The signer keeps nothing of it."""
        recipient = PrivateKey.generate()
        request = pb.GenerateMnemonicRequest(
            request_id=str(uuid4()),
            entropy_bits=entropy_bits,
            recipient_public_key=bytes(recipient.public_key),
        )
        answer = self._caller.write(self._stub.GenerateMnemonic, request)
        return SealedBox(recipient).decrypt(answer.sealed_mnemonic).decode()

    def validate_mnemonic(self, mnemonic: str) -> pb.ValidateMnemonicResponse:
        """Return whether a mnemonic is valid, its language and its length."""
        request_id = str(uuid4())
        request = pb.ValidateMnemonicRequest(
            request_id=request_id,
            sealed_mnemonic=self._sealer.seal(
                mnemonic_bytes(mnemonic), "ValidateMnemonic", (request_id,), "mnemonic"
            ),
        )
        return self._caller.write(self._stub.ValidateMnemonic, request)

    def import_master(
        self, mnemonic: str, password: str, *, passphrase: str = ""
    ) -> pb.ImportMasterWalletResponse:
        """Seal a mnemonic made elsewhere, with its BIP39 passphrase, under a password.

        Returns the sealed record; the signer stores nothing.
        """
        request_id = str(uuid4())
        rpc, fields = "ImportMasterWallet", (request_id,)
        request = pb.ImportMasterWalletRequest(
            request_id=request_id,
            sealed_mnemonic=self._sealer.seal(mnemonic_bytes(mnemonic), rpc, fields, "mnemonic"),
            sealed_password=self._sealer.seal(password.encode(), rpc, fields, "password"),
        )
        if passphrase:
            request.sealed_passphrase = self._sealer.seal(
                unicodedata.normalize("NFKD", passphrase).encode(), rpc, fields, "passphrase"
            )
        return self._caller.write(self._stub.ImportMasterWallet, request)

    def reload_policy(self, *, shadow: bool = False) -> pb.ReloadPolicyResponse:
        """Have the policy file read again, or the shadow policy's; a bad file changes nothing."""
        request = pb.ReloadPolicyRequest(request_id=str(uuid4()), shadow=shadow)
        return self._caller.write(self._stub.ReloadPolicy, request)

    def freeze(self, *, address: str = "", group: str = "") -> None:
        """Stop signing for a wallet, for a policy group, or, given neither, for all."""
        request = pb.FreezeRequest(request_id=str(uuid4()))
        _aim(request, address, group)
        self._caller.write(self._stub.Freeze, request)

    def unfreeze(self, *, address: str = "", group: str = "") -> None:
        """End the freeze of a wallet, of a policy group, or, given neither, of all."""
        request = pb.UnfreezeRequest(request_id=str(uuid4()))
        _aim(request, address, group)
        self._caller.write(self._stub.Unfreeze, request)

    def revoke_sessions(self) -> int:
        """Have the keys of every session wiped; return how many there were."""
        request = pb.RevokeSessionsRequest(request_id=str(uuid4()))
        return self._caller.write(self._stub.RevokeSessions, request).revoked_count

    def close(self) -> None:
        """Close the channels."""
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the channels."""
        self.close()


def _aim(request: pb.FreezeRequest | pb.UnfreezeRequest, address: str, group: str) -> None:
    if address:
        request.address = address
    elif group:
        request.group = group
    else:
        request.all = True
