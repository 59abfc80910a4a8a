"""A signer for the gateway's tests: real sealed boxes and bindings, made-up records and keys.

It opens what it is sent with a real X25519 key and refuses whatever is not bound as the protos say,
so a gateway that seals wrongly fails here as it would there.
"""

# ruff: noqa: N802, D102  gRPC calls the methods by these names, and the protos document them

import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox
from solders.pubkey import Pubkey

from solward.signer.v1 import errors_pb2, records_pb2
from solward.signer.v1 import signer_service_pb2 as pb
from solward.signer.v1 import signer_service_pb2_grpc as pb_grpc
from solward_client.sealing import Purpose, binding
from tests.gateway.fake_groups import FakeGroups

CHUNK = 1_000
Context = grpc.aio.ServicerContext[Any, Any]


def address_of(fingerprint: str, index: int) -> str:
    """The address that the fake derives: no key behind it, but always the same."""
    return str(Pubkey.from_bytes(hashlib.sha256(f"{fingerprint}/{index}".encode()).digest()))


class FakeSigner(FakeGroups, pb_grpc.SignerServiceServicer):
    """SignerService from memory."""

    def __init__(self) -> None:
        super().__init__()
        self.box_key = PrivateKey.generate()
        self.boot_id = b"1" * 16
        self.passwords: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.derived: list[tuple[int, int]] = []
        self.sign_requests: list[pb.SignTransactionsRequest] = []
        self.scopes: list[str] = []
        # Refuse the next calls so: (code, reason).
        self.refuse: tuple[grpc.StatusCode, str] | None = None
        # After how many chunks a derivation breaks off.
        self.chunks_until_failure: int | None = None
        self._groups = 0

    def _open(
        self, sealed: bytes, purpose: Purpose, rpc: str, fields: Sequence[str | int]
    ) -> bytes | None:
        """The secret, None if it is not bound to this call of this start."""
        try:
            body = SealedBox(self.box_key).decrypt(sealed)
        except CryptoError:
            return None
        expiry, bound, secret = int.from_bytes(body[16:24], "big"), body[24:56], body[56:]
        in_time = time.time() <= expiry <= time.time() + 300
        return secret if in_time and bound == binding(self.boot_id, purpose, rpc, fields) else None

    async def _secret(
        self,
        context: Context,
        sealed: bytes,
        purpose: Purpose,
        rpc: str,
        fields: Sequence[str | int],
    ) -> bytes:
        secret = self._open(sealed, purpose, rpc, fields)
        if secret is None:
            await abort(context, grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_REJECTED")
        assert secret is not None
        return secret

    async def _start(self, context: Context, name: str) -> None:
        self.calls.append(name)
        if self.refuse is not None:
            code, reason = self.refuse
            await abort(context, code, reason)

    async def _check(self, context: Context, key_group: str, password: bytes) -> None:
        if self.passwords.get(key_group) != password:
            await abort(context, grpc.StatusCode.PERMISSION_DENIED, "RECORD_REJECTED")

    def _group(self, password: bytes) -> str:
        self._groups += 1
        key_group = f"group{self._groups}"
        self.passwords[key_group] = password
        return key_group

    async def GetSignerInfo(
        self, _request: pb.GetSignerInfoRequest, context: Context
    ) -> pb.GetSignerInfoResponse:
        await self._start(context, "GetSignerInfo")
        return pb.GetSignerInfoResponse(
            box_public_key=bytes(self.box_key.public_key), boot_id=self.boot_id, version="0"
        )

    async def CreateMasterWallet(
        self, request: pb.CreateMasterWalletRequest, context: Context
    ) -> pb.CreateMasterWalletResponse:
        await self._start(context, "CreateMasterWallet")
        fields = (request.request_id, request.word_count)
        password = await self._secret(
            context, request.sealed_password, "password", "CreateMasterWallet", fields
        )
        key_group = self._group(password)
        fingerprint = hashlib.sha256(key_group.encode()).hexdigest()[:32]
        return pb.CreateMasterWalletResponse(
            master=records_pb2.MasterRecord(
                master_fingerprint=fingerprint, sealed_record=f"mnemonic-{key_group}"
            ),
            key_group=key_group,
        )

    async def DeriveWallets(
        self, request: pb.DeriveWalletsRequest, context: Context
    ) -> AsyncIterator[pb.DeriveWalletsResponse]:
        await self._start(context, "DeriveWallets")
        fingerprint = request.master.master_fingerprint
        key_group = request.master.sealed_record.removeprefix("mnemonic-")
        fields = (fingerprint, request.first_index, request.count)
        password = await self._secret(
            context, request.sealed_password, "password", "DeriveWallets", fields
        )
        await self._check(context, key_group, password)
        self.derived.append((request.first_index, request.count))
        for number, start in enumerate(range(0, request.count, CHUNK)):
            if number == self.chunks_until_failure:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "socket closed")
            indices = range(start, min(start + CHUNK, request.count))
            first = request.first_index + start
            yield pb.DeriveWalletsResponse(
                first_index=first,
                addresses=[address_of(fingerprint, request.first_index + i) for i in indices],
                sealed_records=[f"key-{key_group}-{request.first_index + i}" for i in indices],
                ownership_tags=[f"tag-{request.first_index + i}" for i in indices],
                key_group=key_group,
            )

    async def SealPrivateKey(
        self, request: pb.SealPrivateKeyRequest, context: Context
    ) -> pb.SealPrivateKeyResponse:
        await self._start(context, "SealPrivateKey")
        fields = (request.request_id, request.address)
        await self._secret(
            context, request.sealed_private_key, "private_key", "SealPrivateKey", fields
        )
        password = await self._secret(
            context, request.sealed_password, "password", "SealPrivateKey", fields
        )
        key_group = self._group(password)
        wallet = records_pb2.WalletRecord(
            address=request.address,
            derivation_index=-1,
            sealed_record=f"key-{key_group}",
            ownership_tag="tag",
        )
        return pb.SealPrivateKeyResponse(wallet=wallet, key_group=key_group)

    async def RotateRecords(
        self, request: pb.RotateRecordsRequest, context: Context
    ) -> pb.RotateRecordsResponse:
        await self._start(context, "RotateRecords")
        key_group = _key_group(request)
        old = await self._secret(
            context, request.sealed_password, "password", "RotateRecords", [key_group]
        )
        await self._check(context, key_group, old)
        new = await self._secret(
            context, request.sealed_new_password, "new_password", "RotateRecords", [key_group]
        )
        fresh = self._group(new)
        return pb.RotateRecordsResponse(
            sealed_master_records=[f"mnemonic-{fresh}" for _ in request.masters],
            sealed_wallet_records=[f"key-{fresh}-{w.derivation_index}" for w in request.wallets],
            ownership_tags=[f"{wallet.ownership_tag}+" for wallet in request.wallets],
            key_group=fresh,
        )

    async def OpenSession(
        self, request: pb.OpenSessionRequest, context: Context
    ) -> pb.OpenSessionResponse:
        await self._start(context, "OpenSession")
        groups = sorted(wallet.sealed_record.split("-")[1] for wallet in request.wallets)
        purpose = pb.OpenSessionRequest.Purpose.Name(request.purpose)
        given = request.scope
        spelling = (
            f"{given.index_first},{given.index_last},{given.sign_transactions:d},"
            f"{given.sign_messages:d},{given.lamports_max},{given.idle_ttl_seconds}"
        )
        scope = [spelling] if request.HasField("scope") else []
        self.scopes += scope
        fields: tuple[str | int, ...] = (purpose, request.ttl_seconds, *scope, *groups)
        password = await self._secret(
            context, request.sealed_password, "password", "OpenSession", fields
        )
        for group in groups:
            await self._check(context, group, password)
        token = b"" if purpose == "PURPOSE_VERIFY" else b"t" * 32
        return pb.OpenSessionResponse(
            session_token=token, expire_time_ms=1_800_000_000_000, key_groups=groups
        )

    async def CloseSession(
        self, _request: pb.CloseSessionRequest, context: Context
    ) -> pb.CloseSessionResponse:
        await self._start(context, "CloseSession")
        return pb.CloseSessionResponse()

    async def SignTransactions(
        self, request: pb.SignTransactionsRequest, context: Context
    ) -> pb.SignTransactionsResponse:
        await self._start(context, "SignTransactions")
        self.sign_requests.append(request)
        results = [_result(place, item) for place, item in enumerate(request.items)]
        return pb.SignTransactionsResponse(results=results)

    async def SignMessage(
        self, request: pb.SignMessageRequest, context: Context
    ) -> pb.SignMessageResponse:
        await self._start(context, "SignMessage")
        return pb.SignMessageResponse(signature=hashlib.sha512(request.message).digest())

    async def CheckPolicy(
        self, request: pb.CheckPolicyRequest, context: Context
    ) -> pb.CheckPolicyResponse:
        await self._start(context, "CheckPolicy")
        verdicts, *others = (
            [
                pb.PolicyVerdict(address=wallet.address, allowed=True, group="desk", rule="desk")
                for wallet in item.wallets
            ]
            for item in (request.item, *request.items)
        )
        results = [pb.ItemVerdict(allowed=True, verdicts=found) for found in others]
        return pb.CheckPolicyResponse(
            allowed=True, verdicts=verdicts, effects=["memo"], results=results
        )

    async def StreamAuditRecords(
        self, _request: pb.StreamAuditRecordsRequest, context: Context
    ) -> AsyncIterator[pb.StreamAuditRecordsResponse]:
        await self._start(context, "StreamAuditRecords")
        yield pb.StreamAuditRecordsResponse()


def _key_group(request: pb.RotateRecordsRequest) -> str:
    record = (request.masters[0] if request.masters else request.wallets[0]).sealed_record
    return record.split("-")[1]


def _result(place: int, item: pb.TransactionItem) -> pb.TransactionResult:
    if item.transaction.startswith(b"refuse"):
        error = pb.ItemError(
            reason=errors_pb2.ERROR_REASON_POLICY_DENIED,
            code=grpc.StatusCode.PERMISSION_DENIED.value[0],
            message="the policy denies",
            rule="desk/destinations: vault",
            field=f"items[{place}].transaction",
            signed="no",
        )
        return pb.TransactionResult(reference=item.reference, error=error)
    signed = pb.SignedTransaction(
        transaction=item.transaction,
        transaction_signature=b"s" * 64,
        is_complete=True,
        signatures=[b"s" * 64 for _ in item.wallets],
    )
    return pb.TransactionResult(reference=item.reference, signed=signed)


async def abort(context: Context, code: grpc.StatusCode, reason: str) -> None:
    """Ends a call as the signer does."""
    detail = any_pb2.Any()
    detail.Pack(
        error_details_pb2.ErrorInfo(
            reason=reason, domain="signer.solward", metadata={"signed": "no", "rule": "r"}
        )
    )
    status = status_pb2.Status(code=code.value[0], message=f"refused: {reason}", details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await context.abort(code, status.message)


async def start(signer: FakeSigner, socket: Path) -> grpc.aio.Server:
    """Serves it on a Unix socket."""
    server = grpc.aio.server()
    pb_grpc.add_SignerServiceServicer_to_server(signer, server)
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    return server
