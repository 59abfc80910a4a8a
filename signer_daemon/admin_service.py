"""admin.sock: the operator's calls. Secrets come in sealed to us, go out sealed to the caller."""

from collections.abc import Iterator
from contextlib import ExitStack

import grpc

from signer_daemon import checks, policy
from signer_daemon.archives import Archives
from signer_daemon.config import Config
from signer_daemon.custody import Custody
from signer_daemon.errors import invalid
from signer_daemon.exports import Exports
from signer_daemon.freezes import ALL, PREFIX
from signer_daemon.hardening import Hardening
from signer_daemon.ledger import Clock
from signer_daemon.pipeline import Pipeline
from signer_daemon.policy import PolicyError
from signer_daemon.trail import Trail
from signer_daemon.vault.errors import MnemonicInvalid
from signer_daemon.vault.mnemonic import PASSPHRASE_BYTES_MAX
from signer_daemon.vault.primitives import sealed_box
from signer_daemon.vault.text import nfkd
from solward.signer.v1 import admin_service_pb2 as pb
from solward.signer.v1.admin_service_pb2_grpc import AdminServiceServicer

POLICY_VERSION = "policy_version"  # what stands in the audit log under this name
WORDS_OF_BITS = {128: 12, 256: 24}


class AdminService(AdminServiceServicer):
    """Implements solward.signer.v1.AdminService."""

    def __init__(
        self,
        custody: Custody,
        pipeline: Pipeline,
        trail: Trail,
        clock: Clock,
        *,
        config: Config,
        hardening: Hardening,
        version: str,
    ) -> None:
        """Take what the calls need; the uptime counts from here."""
        self._custody = custody
        self._pipeline = pipeline
        self._trail = trail
        self._clock = clock
        self._hardening = hardening
        self._version = version
        self._exports = Exports(custody, config.export)
        self._archives = Archives(custody, config.export)
        self._policy_files = {False: config.policy_file, True: config.shadow_policy_file}
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
            with checks.naming("sealed_mnemonic"):
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
            with checks.naming("sealed_mnemonic"):
                words = envelopes.open(request.sealed_mnemonic, page, "mnemonic", rpc, request_id)
                language, count = self._custody.words.validate(words, scratch)
            passphrase = norm.take(0)
            if request.sealed_passphrase:
                with checks.naming("sealed_passphrase"):
                    given = envelopes.open(
                        request.sealed_passphrase, raw, "passphrase", rpc, request_id
                    )
                    passphrase = nfkd(given, norm, bytes_max=PASSPHRASE_BYTES_MAX)
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
        admission = self._pipeline.admission
        return pb.GetStatusResponse(
            version=self._version,
            uptime_ms=self._clock.uptime_ms() - self._started_ms,
            session_count=len(self._custody.sessions),
            kdf_run_count=self._custody.keyring.kdf_run_count,
            signature_count=self._pipeline.signature_count,
            audit_sequence=head.count - 1,
            audit_head=head.mac.decode(),
            policy_digest=admission.policy.digest,
            policy_version=admission.policy.version,
            shadow_policy_digest=admission.shadow.digest if admission.shadow else "",
            freezes=admission.freezes.frozen,
            secret_memory=self._custody.pool.backing,
            resident_bytes=self._hardening.resident_bytes(),
            key_id=self._custody.keyring.key_id,
            insecure_dev=self._hardening.insecure_dev,
            measures=[
                pb.HardeningMeasure(
                    name=measure.name, in_force=measure.in_force, detail=measure.detail
                )
                for measure in self._hardening.measures()
            ],
        )

    def ExportMnemonic(
        self, request: pb.ExportMnemonicRequest, context: grpc.ServicerContext
    ) -> pb.ExportMnemonicResponse:
        """Seal a mnemonic to the caller's key."""
        return self._exports.export_mnemonic(request, self._trail)

    def ExportPrivateKey(
        self, request: pb.ExportPrivateKeyRequest, context: grpc.ServicerContext
    ) -> pb.ExportPrivateKeyResponse:
        """Seal a key pair to the caller's key."""
        return self._exports.export_private_key(request, self._trail)

    def ExportVault(
        self, request: pb.ExportVaultRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.ExportVaultResponse]:
        """Stream an archive."""
        return self._archives.export_vault(request, self._trail)

    def ImportVault(
        self, request: pb.ImportVaultRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.ImportVaultResponse]:
        """Stream what an archive holds, sealed for this signer."""
        return self._archives.import_vault(request, self._trail)

    def ReloadPolicy(
        self, request: pb.ReloadPolicyRequest, context: grpc.ServicerContext
    ) -> pb.ReloadPolicyResponse:
        """Put the file in force, if its version rises; or watch what a shadow would deny."""
        request_id = checks.request_id(request.request_id)
        admission = self._pipeline.admission
        event = "load_shadow_policy" if request.shadow else "reload_policy"
        with self._trail.call(event, request_id) as call:
            file = self._policy_files[request.shadow]
            if file is None:
                raise PolicyError("shadow_policy_file is not configured")
            loaded = policy.load(file)
            in_force = admission.policy.version
            if loaded.version <= in_force:
                raise PolicyError(f"version is {loaded.version}; it must rise above {in_force}")
            call.note(policy=loaded.digest, version=loaded.version)
            if not request.shadow:
                call.note(standing={POLICY_VERSION: str(loaded.version)})
            call.commit()
            if request.shadow:
                admission.shadow = loaded
            else:
                admission.policy, admission.shadow = loaded, None
        return pb.ReloadPolicyResponse(policy_digest=loaded.digest, policy_version=loaded.version)

    def Freeze(self, request: pb.FreezeRequest, context: grpc.ServicerContext) -> pb.FreezeResponse:
        """Stop signing for a target."""
        self._change_freeze(request, frozen=True)
        return pb.FreezeResponse()

    def Unfreeze(
        self, request: pb.UnfreezeRequest, context: grpc.ServicerContext
    ) -> pb.UnfreezeResponse:
        """End a freeze."""
        self._change_freeze(request, frozen=False)
        return pb.UnfreezeResponse()

    def _change_freeze(
        self, request: pb.FreezeRequest | pb.UnfreezeRequest, *, frozen: bool
    ) -> None:
        request_id = checks.request_id(request.request_id)
        kind = request.WhichOneof("target")
        if kind is None or (kind == "all" and not request.all):
            raise invalid("target", "must name what to freeze")
        name = {"address": request.address, "group": request.group, "all": ""}[kind]
        if kind == "address":
            checks.address(kind, name)
        if len(name) > 64:
            raise invalid(kind, "must be at most 64 characters")
        groups = self._pipeline.admission.policy.groups
        if kind == "group" and frozen and name not in {group.name for group in groups}:
            # A kill switch that holds nothing must not say that it holds.
            raise invalid(kind, "is not a group of the policy")
        target = ALL if kind == "all" else f"{'wallet' if kind == 'address' else kind}/{name}"
        freezes = self._pipeline.admission.freezes
        if frozen:
            # In force before it is written: a log that cannot be written must not keep us signing.
            freezes.change(target, frozen=True)
        event = "freeze" if frozen else "unfreeze"
        standing = {PREFIX + target: "1" if frozen else None}
        with self._trail.call(event, request_id, target=target, standing=standing):
            pass
        freezes.change(target, frozen=frozen)

    def RevokeSessions(
        self, request: pb.RevokeSessionsRequest, context: grpc.ServicerContext
    ) -> pb.RevokeSessionsResponse:
        """Wipe every session's keys, then say so in the log."""
        request_id = checks.request_id(request.request_id)
        count = self._custody.sessions.revoke_all()
        with self._trail.call("revoke_sessions", request_id, sessions=count):
            return pb.RevokeSessionsResponse(revoked_count=count)
