"""Sessions, signatures and what the policy says."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import grpc

from solward.gateway.v1 import signing_service_pb2 as pb
from solward.gateway.v1.master_wallet_service_pb2 import MasterWallet
from solward.gateway.v1.signing_service_pb2_grpc import SigningServiceStub
from solward.gateway.v1.wallet_service_pb2 import Wallet
from solward_client.calls import LONG_TIMEOUT_S, Caller
from solward_client.credentials import Sealer
from solward_client.errors import SolwardError, from_batch_item
from solward_client.sealing import SignerKey


@dataclass(frozen=True, slots=True)
class Transaction:
    """Wire bytes of a transaction (legacy, v0, v1) and the UUIDs of the wallets to sign it."""

    wire: bytes
    wallet_ids: Sequence[str]
    reference: str = ""

    def message(self) -> pb.TransactionToSign:
        """Return it as the gateway takes it."""
        return pb.TransactionToSign(
            reference=self.reference, transaction=self.wire, wallet_ids=self.wallet_ids
        )


def fetch_signer_key(channel: grpc.Channel, caller: Caller) -> SignerKey:
    """Ask the gateway for the key that secrets are sealed to."""
    request = pb.GetPublicKeyRequest(signer_box_key=True)
    answer = caller.read(SigningServiceStub(channel).GetPublicKey, request)
    return SignerKey(answer.public_key, answer.boot_id)


class Session:
    """An open session: it signs without the password until it expires.

    Every method raises SolwardError.
    """

    def __init__(
        self, stub: SigningServiceStub, caller: Caller, token: bytes, expire_time: datetime | None
    ) -> None:
        """Take the token (32 bytes, a bearer secret) and when it ends, where that is known."""
        self._stub = stub
        self._caller = caller
        self.token = token
        self.expire_time = expire_time

    def __repr__(self) -> str:
        """Tell when it ends, never the token."""
        return f"Session(expire_time={self.expire_time})"

    def sign(self, transaction: Transaction) -> pb.SignedTransaction:
        """Sign one transaction. Does not send it."""
        request = pb.SignTransactionRequest(
            request_id=str(uuid4()), session_token=self.token, transaction=transaction.message()
        )
        return self._caller.write(self._stub.SignTransaction, request).signed

    def sign_batch(
        self, transactions: Sequence[Transaction]
    ) -> list[pb.SignedTransaction | SolwardError]:
        """Sign up to 500 transactions in order; each gets a signature or, as a value, a refusal."""
        request = pb.SignTransactionsRequest(
            request_id=str(uuid4()),
            session_token=self.token,
            transactions=[transaction.message() for transaction in transactions],
        )
        answer = self._caller.write(self._stub.SignTransactions, request, LONG_TIMEOUT_S)
        return [
            result.signed if result.HasField("signed") else from_batch_item(result.error)
            for result in answer.results
        ]

    def sign_message(self, wallet_id: str, message: bytes) -> pb.SignMessageResponse:
        """Sign a message (1 to 65,535 bytes) that is not a transaction."""
        request = pb.SignMessageRequest(
            request_id=str(uuid4()),
            session_token=self.token,
            wallet_id=wallet_id,
            message=message,
        )
        return self._caller.write(self._stub.SignMessage, request)

    def close(self) -> None:
        """Have the signer wipe the session's keys."""
        request = pb.CloseSessionRequest(session_token=self.token)
        self._caller.write(self._stub.CloseSession, request)


class Signing:
    """Opens sessions and asks the policy. Every method raises SolwardError."""

    def __init__(self, channel: grpc.Channel, caller: Caller, sealer: Sealer) -> None:
        """Take the channel to the gateway."""
        self._stub = SigningServiceStub(channel)
        self._caller = caller
        self._sealer = sealer

    def open_session(
        self,
        wallets: MasterWallet | Sequence[Wallet],
        password: str,
        *,
        ttl_seconds: int = 0,
        scope: pb.SessionScope | None = None,
    ) -> Session:
        """Open a session for a master's wallets or for single ones.

        `ttl_seconds` 0 is the signer's limit; `scope` narrows what the session may do.
        """
        request = pb.OpenSessionRequest(ttl_seconds=ttl_seconds, session_scope=scope)
        if isinstance(wallets, MasterWallet):
            request.master_wallet_id = wallets.id
            groups = [wallets.key_group]
        else:
            request.wallet_ids.ids.extend(wallet.id for wallet in wallets)
            groups = sorted({wallet.key_group for wallet in wallets})
        narrowed = [] if scope is None else [_spell(scope)]
        fields: list[str | int] = ["PURPOSE_SIGN", ttl_seconds, *narrowed, *groups]
        request.credential.CopyFrom(self._sealer.credential(password, "OpenSession", fields))
        answer = self._caller.write(self._stub.OpenSession, request)
        return Session(
            self._stub,
            self._caller,
            answer.session_token,
            answer.expire_time.ToDatetime(tzinfo=UTC),
        )

    @contextmanager
    def session(
        self,
        wallets: MasterWallet | Sequence[Wallet],
        password: str,
        *,
        ttl_seconds: int = 0,
        scope: pb.SessionScope | None = None,
    ) -> Iterator[Session]:
        """Open a session and close it at the end of the block."""
        opened = self.open_session(wallets, password, ttl_seconds=ttl_seconds, scope=scope)
        try:
            yield opened
        finally:
            opened.close()

    def resume(self, token: bytes) -> Session:
        """Return the session of a token that was kept."""
        return Session(self._stub, self._caller, token, None)

    def rotate_password(
        self, scope: MasterWallet | Wallet, password: str, new_password: str
    ) -> pb.RotatePasswordResponse:
        """Seal a master with all its wallets, or one imported wallet, under a new password."""
        fields, rpc = (scope.key_group,), "RotateRecords"
        request = pb.RotatePasswordRequest(
            credential=self._sealer.credential(password, rpc, fields),
            new_credential=self._sealer.credential(new_password, rpc, fields, "new_password"),
        )
        if isinstance(scope, MasterWallet):
            request.master_wallet_id = scope.id
        else:
            request.wallet_id = scope.id
        return self._caller.write(self._stub.RotatePassword, request, LONG_TIMEOUT_S)

    def signer_key_id(self) -> str:
        """Return the id of the keys that the signer seals under now."""
        request = pb.GetPublicKeyRequest(signer_box_key=True)
        return self._caller.read(self._stub.GetPublicKey, request).key_id

    def check_policy(self, transaction: Transaction) -> pb.CheckPolicyResponse:
        """Ask what the policy would answer, and by which rule; nothing is signed or counted."""
        request = pb.CheckPolicyRequest(transaction=transaction.message())
        return self._caller.read(self._stub.CheckPolicy, request)

    def public_key(self, wallet_id: str) -> bytes:
        """Return a wallet's 32-byte ed25519 public key."""
        request = pb.GetPublicKeyRequest(wallet_id=wallet_id)
        return self._caller.read(self._stub.GetPublicKey, request).public_key


def _spell(scope: pb.SessionScope) -> str:
    """Spell a scope as a sealed password is bound to it."""
    parts = (
        scope.index_first,
        scope.index_last,
        scope.sign_transactions,
        scope.sign_messages,
        scope.lamports_max,
        scope.idle_ttl_seconds,
    )
    return ",".join(str(int(part)) for part in parts)
