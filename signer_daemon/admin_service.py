"""admin.sock: the calls of the operator. Secrets come in sealed to us, go out sealed to the caller."""

from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import grpc

from signer_daemon import checks, hardening
from signer_daemon.custody import Custody
from signer_daemon.errors import Refusal, invalid
from signer_daemon.ledger import Clock
from signer_daemon.pipeline import Pipeline
from signer_daemon.trail import Trail
from signer_daemon.vault.errors import MnemonicInvalid, TextInvalid
from signer_daemon.vault.mnemonic import PASSPHRASE_BYTES_MAX
from signer_daemon.vault.primitives import sealed_box
from signer_daemon.vault.text import nfkd
from solward.signer.v1 import admin_service_pb2 as pb
from solward.signer.v1 import errors_pb2 as reasons
from solward.signer.v1.admin_service_pb2_grpc import AdminServiceServicer

WORDS_OF_BITS = {128: 12, 256: 24}


class AdminService(AdminServiceServicer):
    """Implements solward.signer.v1.AdminService."""

    def __init__(
        self, custody: Custody, pipeline: Pipeline, trail: Trail, clock: Clock, *, version: str
    ) -> None:
        """Take what the calls need; the uptime counts from here."""
        self._custody = custody
        self._pipeline = pipeline
        self._trail = trail
        self._clock = clock
        self._version = version
        self._started_ms = clock.uptime_ms()

    def GenerateMnemonic(
        self, request: pb.GenerateMnemonicRequest, context: grpc.ServicerContext
    ) -> pb.GenerateMnemonicResponse:
        """Generate a mnemonic and seal it to the caller's key."""
        request_id = checks.request_id(request.request_id)
        bits = checks.one_of("entropy_bits", request.entropy_bits, tuple(WORDS_OF_BITS))
        recipient = checks.public_key("recipient_public_key", request.recipient_public_key)
        with (
            self._trail.call("generate_mnemonic", request_id, entropy_bits=bits),
            self._custody.pool.page() as page,
        ):
            words = self._custody.words.generate(WORDS_OF_BITS[bits], page)
            try:
                sealed = sealed_box(words, recipient)
            except ValueError as error:
                raise invalid("recipient_public_key", str(error)) from None
        return pb.GenerateMnemonicResponse(sealed_mnemonic=sealed)

    def ValidateMnemonic(
        self, request: pb.ValidateMnemonicRequest, context: grpc.ServicerContext
    ) -> pb.ValidateMnemonicResponse:
        """Check words, count and checksum."""
        request_id = checks.request_id(request.request_id)
        pool = self._custody.pool
        with (
            self._trail.call("validate_mnemonic", request_id) as call,
            pool.page() as page,
            pool.page() as scratch,
        ):
            words = self._custody.envelopes.open(
                request.sealed_mnemonic, page, "mnemonic", "ValidateMnemonic", request_id
            )
            try:
                language, count = self._custody.words.validate(words, scratch)
            except MnemonicInvalid:
                call.note(valid="no")
                return pb.ValidateMnemonicResponse(valid=False)
        return pb.ValidateMnemonicResponse(valid=True, language=language, word_count=count)

    def ImportMasterWallet(
        self, request: pb.ImportMasterWalletRequest, context: grpc.ServicerContext
    ) -> pb.ImportMasterWalletResponse:
        """Seal a mnemonic that was made elsewhere, with its passphrase."""
        request_id = checks.request_id(request.request_id)
        rpc = "ImportMasterWallet"
        envelopes, pool = self._custody.envelopes, self._custody.pool
        with self._trail.call("import_master", request_id) as call, ExitStack() as stack:
            password = stack.enter_context(
                self._custody.password(request.sealed_password, rpc, request_id)
            )
            page, raw, norm, scratch = (stack.enter_context(pool.page()) for _ in range(4))
            words = envelopes.open(request.sealed_mnemonic, page, "mnemonic", rpc, request_id)
            language, count = self._custody.words.validate(words, scratch)
            passphrase = norm.take(0)
            if request.sealed_passphrase:
                given = envelopes.open(
                    request.sealed_passphrase, raw, "passphrase", rpc, request_id
                )
                try:
                    passphrase = nfkd(given, norm, bytes_max=PASSPHRASE_BYTES_MAX)
                except TextInvalid as error:
                    raise invalid("sealed_passphrase", str(error)) from None
            record, key_group = self._custody.seal_master(words, passphrase, password, stack)
            call.note(fingerprint=record.master_fingerprint, key_group=key_group)
        return pb.ImportMasterWalletResponse(
            master=record, key_group=key_group, language=language, word_count=count
        )

    def GetStatus(
        self, request: pb.GetStatusRequest, context: grpc.ServicerContext
    ) -> pb.GetStatusResponse:
        """Return what is in force and how much was done."""
        head = self._trail.log.head
        policy = self._pipeline.policy
        return pb.GetStatusResponse(
            version=self._version,
            uptime_ms=self._clock.uptime_ms() - self._started_ms,
            session_count=len(self._custody.sessions),
            kdf_run_count=self._custody.keyring.kdf_run_count,
            signature_count=self._pipeline.signature_count,
            audit_sequence=head.count - 1,
            audit_head=head.mac.decode(),
            policy_digest=policy.digest,
            policy_version=policy.version,
            secret_memory=self._custody.pool.backing,
            resident_bytes=_resident_bytes(),
            key_id=self._custody.keyring.key_id,
            measures=[
                pb.HardeningMeasure(
                    name=measure.name, in_force=measure.in_force, detail=measure.detail
                )
                for measure in hardening.measures()
            ],
        )

    def ExportMnemonic(
        self, request: pb.ExportMnemonicRequest, context: grpc.ServicerContext
    ) -> NoReturn:
        """Refuse: not implemented."""
        raise _missing("ExportMnemonic")

    def ExportPrivateKey(
        self, request: pb.ExportPrivateKeyRequest, context: grpc.ServicerContext
    ) -> NoReturn:
        """Refuse: not implemented."""
        raise _missing("ExportPrivateKey")

    def ExportVault(
        self, request: pb.ExportVaultRequest, context: grpc.ServicerContext
    ) -> NoReturn:
        """Refuse: not implemented."""
        raise _missing("ExportVault")

    def ImportVault(
        self, request: pb.ImportVaultRequest, context: grpc.ServicerContext
    ) -> NoReturn:
        """Refuse: not implemented."""
        raise _missing("ImportVault")

    def ReloadPolicy(
        self, request: pb.ReloadPolicyRequest, context: grpc.ServicerContext
    ) -> NoReturn:
        """Refuse: not implemented."""
        raise _missing("ReloadPolicy")

    def Freeze(self, request: pb.FreezeRequest, context: grpc.ServicerContext) -> NoReturn:
        """Refuse: not implemented."""
        raise _missing("Freeze")

    def Unfreeze(self, request: pb.UnfreezeRequest, context: grpc.ServicerContext) -> NoReturn:
        """Refuse: not implemented."""
        raise _missing("Unfreeze")

    def RevokeSessions(
        self, request: pb.RevokeSessionsRequest, context: grpc.ServicerContext
    ) -> NoReturn:
        """Refuse: not implemented."""
        raise _missing("RevokeSessions")


def _missing(rpc: str) -> Refusal:
    return Refusal(reasons.ERROR_REASON_NOT_IMPLEMENTED, f"{rpc}: this signer cannot do that yet")


def _resident_bytes() -> int:
    """Return the process's resident memory; a file of /proc that is opened at each call."""
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * 4096
