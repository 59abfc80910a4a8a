"""SigningService."""

from typing import Final

from solders.signature import Signature

from gateway import errors
from gateway.api import fields
from gateway.api.interceptor import CallRefusedError
from gateway.domain.addresses import decode_base58
from gateway.domain.custody import (
    ItemRefusal,
    SessionScope,
    SignedTransaction,
    Signer,
    SignOutcome,
)
from gateway.domain.errors import GatewayError, InvalidArgumentError
from gateway.domain.requests import require_uuid
from gateway.domain.wallets import DERIVATION_INDEX_MAX
from gateway.workflows.sessions import WALLETS_MAX, SessionTerms, SessionWorkflows
from gateway.workflows.signing import SigningWorkflows, SignOrder
from gateway.workflows.wallets import WalletWorkflows
from solward.gateway.v1 import signing_service_pb2 as pb
from solward.gateway.v1 import signing_service_pb2_grpc as pb_grpc

ITEMS_MAX: Final = 500
SIGNERS_MAX: Final = 12
REFERENCE_CHARACTERS_MAX: Final = 64
TRANSACTION_BYTES_MAX: Final = 4_096
MESSAGE_BYTES_MAX: Final = 65_535


class SigningService(pb_grpc.SigningServiceServicer):
    """Opens sessions and forwards sign requests to the signer, which alone decides."""

    def __init__(
        self,
        sessions: SessionWorkflows,
        signing: SigningWorkflows,
        wallets: WalletWorkflows,
        signer: Signer,
    ) -> None:
        self._sessions = sessions
        self._signing = signing
        self._wallets = wallets
        self._signer = signer

    async def OpenSession(
        self, request: pb.OpenSessionRequest, _context: object
    ) -> pb.OpenSessionResponse:
        password = fields.credential(request.credential)
        terms = _terms(request)
        scope = request.WhichOneof("scope")
        if scope == "master_wallet_id":
            master_id = require_uuid(request.master_wallet_id, scope)
            session = await self._sessions.open_for_master(master_id, terms, password)
        elif scope == "wallet_ids":
            ids = fields.uuids(request.wallet_ids.ids, "wallet_ids.ids", WALLETS_MAX)
            session = await self._sessions.open_for_wallets(ids, terms, password)
        else:
            raise fields.one_of_missing("master_wallet_id", "wallet_ids")
        response = pb.OpenSessionResponse(session_token=session.token)
        response.expire_time.FromMilliseconds(session.expire_time_ms)
        return response

    async def CloseSession(
        self, request: pb.CloseSessionRequest, _context: object
    ) -> pb.CloseSessionResponse:
        await self._sessions.close(fields.session_token(request.session_token))
        return pb.CloseSessionResponse()

    async def RotatePassword(
        self, request: pb.RotatePasswordRequest, _context: object
    ) -> pb.RotatePasswordResponse:
        old = fields.credential(request.credential)
        new = fields.credential(request.new_credential, "new_credential")
        scope = request.WhichOneof("scope")
        if scope == "master_wallet_id":
            master_id = require_uuid(request.master_wallet_id, scope)
            count, key_group = await self._sessions.rotate_master(master_id, old, new)
        elif scope == "wallet_id":
            wallet_id = require_uuid(request.wallet_id, scope)
            count, key_group = await self._sessions.rotate_wallet(wallet_id, old, new)
        else:
            raise fields.one_of_missing("master_wallet_id", "wallet_id")
        return pb.RotatePasswordResponse(rotated_wallet_count=count, key_group=key_group)

    async def SignTransaction(
        self, request: pb.SignTransactionRequest, _context: object
    ) -> pb.SignTransactionResponse:
        request_id = fields.request_id(request.request_id)
        token = fields.session_token(request.session_token)
        order = _order(request.transaction, "transaction")
        (outcome,) = await self._signing.sign(request_id, token, [order])
        if isinstance(outcome, GatewayError):
            raise outcome
        if isinstance(outcome, ItemRefusal):
            raise CallRefusedError(errors.item_to_status(outcome))
        return pb.SignTransactionResponse(signed=_signed(outcome))

    async def SignTransactions(
        self, request: pb.SignTransactionsRequest, _context: object
    ) -> pb.SignTransactionsResponse:
        request_id = fields.request_id(request.request_id)
        token = fields.session_token(request.session_token)
        fields.require_count(len(request.transactions), "transactions", ITEMS_MAX)
        orders = [
            _order(item, f"transactions[{place}]")
            for place, item in enumerate(request.transactions)
        ]
        outcomes = await self._signing.sign(request_id, token, orders)
        return pb.SignTransactionsResponse(
            results=[
                _result(order, outcome) for order, outcome in zip(orders, outcomes, strict=True)
            ]
        )

    async def SignMessage(
        self, request: pb.SignMessageRequest, _context: object
    ) -> pb.SignMessageResponse:
        request_id = fields.request_id(request.request_id)
        token = fields.session_token(request.session_token)
        wallet_id = require_uuid(request.wallet_id, "wallet_id")
        if not 1 <= len(request.message) <= MESSAGE_BYTES_MAX:
            raise InvalidArgumentError(
                f"message must be 1 to {MESSAGE_BYTES_MAX} bytes", field="message"
            )
        signature, address = await self._signing.sign_message(
            request_id, token, wallet_id, request.message
        )
        return pb.SignMessageResponse(signature=signature, address=address)

    async def GetPublicKey(
        self, request: pb.GetPublicKeyRequest, _context: object
    ) -> pb.GetPublicKeyResponse:
        kind = request.WhichOneof("key")
        if kind == "wallet_id":
            wallet = await self._wallets.get(require_uuid(request.wallet_id, kind))
            return pb.GetPublicKeyResponse(
                public_key=decode_base58(wallet.address), address=wallet.address
            )
        if kind != "signer_box_key":
            raise fields.one_of_missing("wallet_id", "signer_box_key")
        if not request.signer_box_key:
            raise InvalidArgumentError("signer_box_key must be true", field=kind)
        info = await self._signer.info()
        return pb.GetPublicKeyResponse(
            public_key=info.box_public_key, boot_id=info.boot_id, key_id=info.key_id
        )

    async def CheckPolicy(
        self, request: pb.CheckPolicyRequest, _context: object
    ) -> pb.CheckPolicyResponse:
        order = _order(request.transaction, "transaction")
        answer, wallets = await self._signing.check_policy(order)
        ids = {wallet.address: str(wallet.id) for wallet in wallets}
        verdicts = [
            pb.PolicyVerdict(
                wallet_id=ids.get(verdict.address, ""),
                allowed=verdict.allowed,
                group=verdict.group,
                rule=verdict.rule,
                detail=verdict.detail,
                outflow_lamports_max=verdict.outflow_lamports_max,
                signatures_available=verdict.signatures_available,
                caps=[
                    pb.CapState(rule=cap.rule, needed=cap.needed, available=cap.available)
                    for cap in verdict.caps
                ],
            )
            for verdict in answer.verdicts
        ]
        return pb.CheckPolicyResponse(
            allowed=answer.allowed, verdicts=verdicts, effects=answer.effects
        )


def _terms(request: pb.OpenSessionRequest) -> SessionTerms:
    if request.ttl_seconds < 0:
        raise InvalidArgumentError("ttl_seconds must not be negative", field="ttl_seconds")
    if not request.HasField("session_scope"):
        return SessionTerms(request.ttl_seconds)
    given = request.session_scope
    if not 0 <= given.index_first <= given.index_last <= DERIVATION_INDEX_MAX:
        raise InvalidArgumentError(
            f"session_scope needs 0 <= index_first <= index_last <= {DERIVATION_INDEX_MAX}",
            field="session_scope.index_first",
        )
    if given.idle_ttl_seconds < 0:
        field = "session_scope.idle_ttl_seconds"
        raise InvalidArgumentError(f"{field} must not be negative", field=field)
    scope = SessionScope(
        index_first=given.index_first,
        index_last=given.index_last,
        sign_transactions=given.sign_transactions,
        sign_messages=given.sign_messages,
        lamports_max=given.lamports_max,
        idle_ttl_seconds=given.idle_ttl_seconds,
    )
    return SessionTerms(request.ttl_seconds, scope)


def _order(item: pb.TransactionToSign, field: str) -> SignOrder:
    if len(item.reference) > REFERENCE_CHARACTERS_MAX:
        raise InvalidArgumentError(
            f"{field}.reference is longer than {REFERENCE_CHARACTERS_MAX} characters",
            field=f"{field}.reference",
        )
    if not 1 <= len(item.transaction) <= TRANSACTION_BYTES_MAX:
        raise InvalidArgumentError(
            f"{field}.transaction must be 1 to {TRANSACTION_BYTES_MAX} bytes",
            field=f"{field}.transaction",
            reason="TRANSACTION_INVALID",
        )
    ids = fields.uuids(item.wallet_ids, f"{field}.wallet_ids", SIGNERS_MAX)
    if len(set(ids)) != len(ids):
        raise InvalidArgumentError(
            f"{field}.wallet_ids names a wallet twice", field=f"{field}.wallet_ids"
        )
    return SignOrder(item.reference, item.transaction, tuple(ids), field)


def _signed(signed: SignedTransaction) -> pb.SignedTransaction:
    first = signed.transaction_signature
    return pb.SignedTransaction(
        transaction=signed.transaction,
        transaction_signature=str(Signature.from_bytes(first)) if any(first) else "",
        is_complete=signed.is_complete,
        signatures=signed.signatures,
    )


def _result(order: SignOrder, outcome: SignOutcome | GatewayError) -> pb.SignTransactionResult:
    if isinstance(outcome, SignedTransaction):
        return pb.SignTransactionResult(reference=order.reference, signed=_signed(outcome))
    refusal = errors.refused_item(outcome) if isinstance(outcome, GatewayError) else outcome
    return pb.SignTransactionResult(
        reference=order.reference,
        error=pb.SigningError(
            reason=refusal.reason,
            domain=refusal.domain,
            code=refusal.code,
            message=refusal.message,
            rule=refusal.rule,
            field=refusal.field,
            retry_delay_ms=refusal.retry_delay_ms,
            signed=refusal.signed,
        ),
    )
