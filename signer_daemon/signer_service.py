"""signer.sock: the calls that the gateway may make. Each hands over to custody or pipeline."""

import json
import threading
from collections.abc import Iterator

import grpc

from signer_daemon import checks, grouping, unlocking
from signer_daemon.custody import Custody
from signer_daemon.errors import Refusal
from signer_daemon.forecast import Forecast
from signer_daemon.ledger import Clock
from signer_daemon.pipeline import Pipeline
from signer_daemon.trail import Trail
from solward.signer.v1 import errors_pb2 as reasons
from solward.signer.v1 import signer_service_pb2 as pb
from solward.signer.v1.signer_service_pb2_grpc import SignerServiceServicer

AUDIT_CHUNK_RECORDS = 500
FOLLOWERS_MAX = 2  # each holds a thread that could sign
_FOLLOW_POLL_S = 1.0  # how long a follower that hung up may hold its thread


class SignerService(SignerServiceServicer):
    """Implements solward.signer.v1.SignerService."""

    def __init__(
        self,
        custody: Custody,
        pipeline: Pipeline,
        trail: Trail,
        clock: Clock,
        *,
        boot_id: bytes,
        version: str,
        stopping: threading.Event,
    ) -> None:
        """Take what the calls need; `stopping` ends the streams that would never end."""
        self._custody = custody
        self._pipeline = pipeline
        self._trail = trail
        self._clock = clock
        self._boot_id = boot_id
        self._version = version
        self._stopping = stopping
        self._followers = threading.BoundedSemaphore(FOLLOWERS_MAX)

    def GetSignerInfo(
        self, request: pb.GetSignerInfoRequest, context: grpc.ServicerContext
    ) -> pb.GetSignerInfoResponse:
        """Return the signer's public facts."""
        keyring = self._custody.keyring
        return pb.GetSignerInfoResponse(
            box_public_key=keyring.box_public_key,
            boot_id=self._boot_id,
            key_id=keyring.key_id,
            policy_digest=self._pipeline.admission.policy.digest,
            version=self._version,
            time_ms=self._clock.wall_ms(),
        )

    def CreateMasterWallet(
        self, request: pb.CreateMasterWalletRequest, context: grpc.ServicerContext
    ) -> pb.CreateMasterWalletResponse:
        """Generate and seal a mnemonic."""
        return self._custody.create_master(request, self._trail)

    def DeriveWallets(
        self, request: pb.DeriveWalletsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.DeriveWalletsResponse]:
        """Stream a range of sealed wallets."""
        return self._custody.derive(request, self._trail)

    def SealPrivateKey(
        self, request: pb.SealPrivateKeyRequest, context: grpc.ServicerContext
    ) -> pb.SealPrivateKeyResponse:
        """Seal a foreign key."""
        return self._custody.seal_private_key(request, self._trail)

    def RotateRecords(
        self, request: pb.RotateRecordsRequest, context: grpc.ServicerContext
    ) -> pb.RotateRecordsResponse:
        """Seal records under a new password."""
        return unlocking.rotate(self._custody, request, self._trail)

    def OpenSession(
        self, request: pb.OpenSessionRequest, context: grpc.ServicerContext
    ) -> pb.OpenSessionResponse:
        """Prove a password; keep the keys for a time."""
        return unlocking.open_session(self._custody, request, self._trail, self._clock.wall_ms())

    def CloseSession(
        self, request: pb.CloseSessionRequest, context: grpc.ServicerContext
    ) -> pb.CloseSessionResponse:
        """Wipe a session's keys first, then say so in the log."""
        self._custody.sessions.close(request.session_token)
        with self._trail.call("close_session", ""):
            return pb.CloseSessionResponse()

    def SignTransactions(
        self, request: pb.SignTransactionsRequest, context: grpc.ServicerContext
    ) -> pb.SignTransactionsResponse:
        """Sign a batch."""
        return self._pipeline.sign_transactions(request, self._trail)

    def SignMessage(
        self, request: pb.SignMessageRequest, context: grpc.ServicerContext
    ) -> pb.SignMessageResponse:
        """Sign one message."""
        return self._pipeline.sign_message(request, self._trail)

    def CheckPolicy(
        self, request: pb.CheckPolicyRequest, context: grpc.ServicerContext
    ) -> pb.CheckPolicyResponse:
        """Say what the policy would answer."""
        return Forecast(self._pipeline.admission).check(request)

    def ResolvePolicyGroups(
        self, request: pb.ResolvePolicyGroupsRequest, context: grpc.ServicerContext
    ) -> pb.ResolvePolicyGroupsResponse:
        """Say which group each wallet falls into."""
        return grouping.resolve(request, self._pipeline.admission.policy, self._custody.keyring)

    def StreamAuditRecords(
        self, request: pb.StreamAuditRecordsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.StreamAuditRecordsResponse]:
        """Stream what the log holds from a record on, and follow it if asked."""
        at = checks.in_range("first_sequence", request.first_sequence, 0, 2**53)
        if not self._followers.acquire(blocking=False):
            raise Refusal(
                reasons.ERROR_REASON_STREAM_LIMIT, f"{FOLLOWERS_MAX} streams read the log already"
            )
        try:
            yield from self._records(at, context, follow=request.follow)
        finally:
            self._followers.release()

    def _records(
        self, at: int, context: grpc.ServicerContext, *, follow: bool
    ) -> Iterator[pb.StreamAuditRecordsResponse]:
        log = self._trail.log
        while context.is_active() and not (follow and self._stopping.is_set()):
            if records := log.read(at, AUDIT_CHUNK_RECORDS):
                at = json.loads(records[0].partition("\t")[0])["seq"]  # older ones may be archived
                yield pb.StreamAuditRecordsResponse(records=records, first_sequence=at)
                at += len(records)
            elif not follow:
                return
            else:
                log.wait_beyond(at, _FOLLOW_POLL_S)
