"""The client of signer.sock."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Final

import grpc

from gateway.adapters.signer import messages
from gateway.adapters.signer.audit import SignerAuditFeed
from gateway.adapters.signer.calls import Stream, answer, parts
from gateway.adapters.signer.sealer import Sealer, Wanted
from gateway.adapters.signer.signatures import SignatureCalls
from gateway.domain.custody import (
    DerivedColumns,
    RotatedRecords,
    SealedKey,
    SealedMaster,
    Secret,
    SessionOrder,
    SignerInfo,
    SignerSession,
    SignItem,
    SignOutcome,
)
from gateway.domain.errors import SignerUnavailableError
from gateway.domain.ports import Clock
from gateway.domain.verdicts import PolicyAnswer, PolicyForecast, PolicyGroups
from gateway.domain.wallets import IndexRange, OwnershipProof, SigningWallet
from solward.signer.v1 import signer_service_pb2 as pb
from solward.signer.v1 import signer_service_pb2_grpc as pb_grpc

# How long an answer may take, seconds. The signer's own queue for key derivations is bounded.
_INFO_TIMEOUT_S: Final = 2.0
_CALL_TIMEOUT_S: Final = 30.0
_LONG_TIMEOUT_S: Final = 120.0
# A rotation of 10,000 records, or 500 transactions with their proofs, is past the default 4 MiB.
_MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
# A call that judges holds one of the signer's threads and no lock: short calls let others in.
_JUDGED_ITEMS_MAX: Final = 100
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", _MESSAGE_BYTES_MAX),
    # A signer restarts in under a second: be back as soon.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Whether to repeat a call is decided here, call by call.
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
)


class SignerClient:
    """gateway.domain.custody.Signer over a Unix socket. Connects when first used, and again."""

    def __init__(self, socket: Path, clock: Clock, *, seal_plaintext: bool) -> None:
        self._channel = grpc.aio.insecure_channel(f"unix:{socket}", options=_OPTIONS)
        self._stub: pb_grpc.SignerServiceAsyncStub = pb_grpc.SignerServiceStub(self._channel)
        self._signatures = SignatureCalls(self._channel)
        self._sealer = Sealer(self.info, clock, seal_plaintext=seal_plaintext)

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close()

    def audit_feed(self) -> SignerAuditFeed:
        """Returns the signer's audit log, on this connection."""
        return SignerAuditFeed(self._channel)

    async def info(self) -> SignerInfo:
        """Asks the signer for its public facts."""
        response = await answer(
            self._stub.GetSignerInfo(pb.GetSignerInfoRequest(), timeout=_INFO_TIMEOUT_S)
        )
        return SignerInfo(
            response.box_public_key, response.boot_id, response.key_id, response.version
        )

    async def create_master(
        self, request_id: str, word_count: int, password: Secret
    ) -> SealedMaster:
        """Makes a new master; see the port."""
        wanted = Wanted("password", "CreateMasterWallet", (request_id, word_count), password)

        async def call(sealed: Sequence[bytes]) -> pb.CreateMasterWalletResponse:
            request = pb.CreateMasterWalletRequest(
                request_id=request_id, word_count=word_count, sealed_password=sealed[0]
            )
            return await answer(self._stub.CreateMasterWallet(request, timeout=_CALL_TIMEOUT_S))

        response = await self._sealer.with_sealed([wanted], call)
        master = response.master
        return SealedMaster(master.master_fingerprint, master.sealed_record, response.key_group)

    async def derive(
        self, request_id: str, master: SealedMaster, indices: IndexRange, password: Secret
    ) -> AsyncGenerator[DerivedColumns, None]:
        """Derives a range; see the port."""
        fields = (master.fingerprint, indices.first, indices.count)
        wanted = Wanted("password", "DeriveWallets", fields, password)

        async def open_stream(sealed: Sequence[bytes]) -> Stream:
            request = pb.DeriveWalletsRequest(
                request_id=request_id,
                master=messages.master_record(master),
                first_index=indices.first,
                count=indices.count,
                sealed_password=sealed[0],
            )
            stream = Stream(self._stub.DeriveWallets(request, timeout=_LONG_TIMEOUT_S))
            await stream.advance()  # a refusal comes before the first chunk
            return stream

        stream = await self._sealer.with_sealed([wanted], open_stream)
        try:
            while stream.chunk is not None:
                yield messages.derived_columns(stream.chunk)
                await stream.advance()
        finally:
            stream.cancel()

    async def seal_private_key(
        self, request_id: str, address: str, private_key: Secret, password: Secret
    ) -> SealedKey:
        """Seals a key that was made elsewhere; see the port."""
        fields = (request_id, address)
        wanted = [
            Wanted("private_key", "SealPrivateKey", fields, private_key),
            Wanted("password", "SealPrivateKey", fields, password),
        ]

        async def call(sealed: Sequence[bytes]) -> pb.SealPrivateKeyResponse:
            request = pb.SealPrivateKeyRequest(
                request_id=request_id,
                address=address,
                sealed_private_key=sealed[0],
                sealed_password=sealed[1],
            )
            return await answer(self._stub.SealPrivateKey(request, timeout=_CALL_TIMEOUT_S))

        response = await self._sealer.with_sealed(wanted, call)
        wallet = response.wallet
        return SealedKey(
            wallet.address, wallet.sealed_record, wallet.ownership_tag, response.key_group
        )

    async def rotate(
        self,
        request_id: str,
        records: tuple[Sequence[SealedMaster], Sequence[SigningWallet]],
        key_group: str,
        password: Secret,
        new_password: Secret,
    ) -> RotatedRecords:
        """Seals records under a new password; see the port."""
        masters, wallets = records
        wanted = [
            Wanted("password", "RotateRecords", (key_group,), password),
            Wanted("new_password", "RotateRecords", (key_group,), new_password),
        ]

        async def call(sealed: Sequence[bytes]) -> pb.RotateRecordsResponse:
            request = pb.RotateRecordsRequest(
                request_id=request_id,
                masters=[messages.master_record(master) for master in masters],
                wallets=[messages.wallet_record(wallet) for wallet in wallets],
                sealed_password=sealed[0],
                sealed_new_password=sealed[1],
            )
            return await answer(self._stub.RotateRecords(request, timeout=_LONG_TIMEOUT_S))

        response = await self._sealer.with_sealed(wanted, call)
        rotated = RotatedRecords(
            list(response.sealed_master_records),
            list(response.sealed_wallet_records),
            list(response.ownership_tags),
            response.key_group,
        )
        counts = (len(rotated.masters), len(rotated.wallets), len(rotated.ownership_tags))
        if counts != (len(masters), len(wallets), len(wallets)):
            raise SignerUnavailableError("the signer's answer is not one record for each asked")
        return rotated

    async def open_session(
        self, request_id: str, order: SessionOrder, password: Secret
    ) -> SignerSession:
        """Proves a password, and for SIGN keeps keys open; see the port."""
        groups = sorted(order.wallets)
        scope = [] if order.scope is None else [order.scope.spelling()]
        fields = (order.purpose, order.ttl_seconds, *scope, *groups)
        wanted = Wanted("password", "OpenSession", fields, password)

        async def call(sealed: Sequence[bytes]) -> pb.OpenSessionResponse:
            request = pb.OpenSessionRequest(
                request_id=request_id,
                purpose=pb.OpenSessionRequest.Purpose.Value(order.purpose),
                wallets=[messages.wallet_record(order.wallets[group]) for group in groups],
                ttl_seconds=order.ttl_seconds,
                sealed_password=sealed[0],
                scope=messages.session_scope(order.scope),
            )
            return await answer(self._stub.OpenSession(request, timeout=_CALL_TIMEOUT_S))

        response = await self._sealer.with_sealed([wanted], call)
        return SignerSession(response.session_token, response.expire_time_ms)

    async def close_session(self, token: bytes) -> None:
        """Ends a session."""
        request = pb.CloseSessionRequest(session_token=token)
        await answer(self._stub.CloseSession(request, timeout=_CALL_TIMEOUT_S))

    async def sign_transactions(
        self, request_id: str, token: bytes, items: Sequence[SignItem]
    ) -> list[SignOutcome]:
        """Signs in order; see the port."""
        return await self._signatures.transactions(request_id, token, items)

    async def sign_message(
        self, request_id: str, token: bytes, wallet: SigningWallet, message: bytes
    ) -> bytes:
        """Signs one message."""
        return await self._signatures.message(request_id, token, wallet, message)

    async def check_policy(self, item: SignItem) -> PolicyAnswer:
        """Says what the policy would answer."""
        request = pb.CheckPolicyRequest(item=messages.judged_item(item))
        response = await answer(self._stub.CheckPolicy(request, timeout=_CALL_TIMEOUT_S))
        return messages.policy_answer(response)

    async def policy_groups(self, proofs: Sequence[OwnershipProof]) -> PolicyGroups:
        """Says which policy group each of up to 1,000 wallets falls into."""
        request = messages.groups_request(proofs)
        response = await answer(self._stub.ResolvePolicyGroups(request, timeout=_CALL_TIMEOUT_S))
        if len(response.groups) != len(proofs):
            raise SignerUnavailableError("the signer's answer is not one group for each wallet")
        return messages.policy_groups(response)

    async def forecast_policy(self, items: Sequence[SignItem]) -> PolicyForecast:
        """Says what the policy would answer to all of the items together; see the port."""
        forecast = PolicyForecast()
        for part in parts([messages.judged_item(item) for item in items], _JUDGED_ITEMS_MAX):
            request = pb.CheckPolicyRequest(items=part)
            call = self._stub.CheckPolicy(request, timeout=_CALL_TIMEOUT_S)
            response = await answer(call)
            if len(response.results) != len(part):
                raise SignerUnavailableError("the signer's answer is not one result for each item")
            forecast = forecast.followed_by(messages.policy_forecast(response))
        return forecast
