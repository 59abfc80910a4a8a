"""One secret at a time, out through admin.sock to the operator's own key, where that is allowed."""

from contextlib import ExitStack

from signer_daemon import checks
from signer_daemon.config import Export
from signer_daemon.custody import Custody
from signer_daemon.errors import Refusal, invalid
from signer_daemon.trail import Call, Trail
from signer_daemon.vault.derivation import KeyPair
from signer_daemon.vault.primitives import sealed_box
from signer_daemon.vault.records import Kind, RecordKeys, SealedRecord
from solward.signer.v1 import admin_service_pb2 as pb
from solward.signer.v1 import errors_pb2 as reasons


class Exports:
    """Exports of single secrets. `allowed` is the configuration's word on each kind."""

    def __init__(self, custody: Custody, allowed: Export) -> None:
        """Take the rooms and what may leave them."""
        self._custody = custody
        self._allowed = allowed

    def export_mnemonic(
        self, request: pb.ExportMnemonicRequest, trail: Trail
    ) -> pb.ExportMnemonicResponse:
        """Seal a mnemonic and its passphrase to the caller's key."""
        request_id = checks.request_id(request.request_id)
        recipient = checks.public_key("recipient_public_key", request.recipient_public_key)
        fingerprint = checks.fingerprint("master", request.master.master_fingerprint)
        with (
            trail.call("export_mnemonic", request_id, fingerprint=fingerprint) as call,
            ExitStack() as stack,
        ):
            require("mnemonics", allowed=self._allowed.mnemonics)
            record = checks.sealed(request.master.sealed_record, Kind.MNEMONIC)
            bound = (request_id, fingerprint, recipient.hex())
            keys = self._keys(request.sealed_password, "ExportMnemonic", bound, record, call, stack)
            page = stack.enter_context(self._custody.pool.page())
            master = record.open_master(keys.mnemonic, fingerprint, page)
            response = pb.ExportMnemonicResponse(sealed_mnemonic=_box(master.mnemonic, recipient))
            if master.passphrase:
                response.sealed_passphrase = _box(master.passphrase, recipient)
        return response

    def export_private_key(
        self, request: pb.ExportPrivateKeyRequest, trail: Trail
    ) -> pb.ExportPrivateKeyResponse:
        """Seal a wallet's key pair to the caller's key."""
        request_id = checks.request_id(request.request_id)
        recipient = checks.public_key("recipient_public_key", request.recipient_public_key)
        identity = checks.wallet_identity("wallet", request.wallet)
        with (
            trail.call("export_private_key", request_id, address=identity.address) as call,
            ExitStack() as stack,
        ):
            require("private_keys", allowed=self._allowed.private_keys)
            record = checks.sealed(request.wallet.sealed_record, Kind.WALLET)
            bound = (request_id, identity.address, recipient.hex())
            rpc = "ExportPrivateKey"
            keys = self._keys(request.sealed_password, rpc, bound, record, call, stack)
            pair = KeyPair(stack.enter_context(self._custody.pool.page()))
            record.open_wallet(keys.wallet, identity, pair)
            sealed = _box(pair.secret, recipient)
        return pb.ExportPrivateKeyResponse(sealed_private_key=sealed)

    def _keys(
        self,
        sealed_password: bytes,
        rpc: str,
        bound: tuple[str, ...],
        record: SealedRecord,
        call: Call,
        stack: ExitStack,
    ) -> RecordKeys:
        with self._custody.password(sealed_password, rpc, *bound) as password:
            return stack.enter_context(self._custody.unlocked(password, record.group, call))


def require(kind: str, *, allowed: bool) -> None:
    """Raise EXPORT_DISABLED unless the configuration allows this kind of export."""
    if not allowed:
        raise Refusal(
            reasons.ERROR_REASON_EXPORT_DISABLED, f"export.{kind} is off in the configuration"
        )


def _box(secret: memoryview, recipient: bytes) -> bytes:
    try:
        return sealed_box(secret, recipient)
    except ValueError as error:
        raise invalid("recipient_public_key", str(error)) from None
