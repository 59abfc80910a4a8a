"""Requests to sign and for balances with one mistake each, and how each is refused."""

from collections.abc import Callable, Sequence
from typing import Any

import grpc

from solward.gateway.v1 import balance_service_pb2 as balance_pb
from solward.gateway.v1 import signing_service_pb2 as signing_pb
from tests.gateway.bad_input import NOT_FOUND, TOKEN, UNKNOWN_ID, Case
from tests.gateway.support import in_clear, new_id


def sign(**options: Any) -> Callable[[], Any]:
    """A signature with something wrong with its transaction."""
    fields = {"reference": "r", "transaction": b"x", "wallet_ids": [UNKNOWN_ID], **options}
    item = signing_pb.TransactionToSign(**fields)
    return lambda: signing_pb.SignTransactionRequest(
        request_id=new_id(), session_token=TOKEN, transaction=item
    )


def batch(ids: Sequence[str]) -> Callable[[], Any]:
    """Balances of wallets by id."""
    selection = balance_pb.WalletIdList(ids=ids)
    return lambda: balance_pb.BatchGetBalancesRequest(wallet_ids=selection)


SIGNING = [
    Case(
        "signing.OpenSession",
        lambda: signing_pb.OpenSessionRequest(
            wallet_ids=signing_pb.WalletIds(ids=[new_id()] * 10_001), credential=in_clear()
        ),
        "wallet_ids.ids",
    ),
    Case(
        "signing.OpenSession",
        lambda: signing_pb.OpenSessionRequest(credential=in_clear()),
        "master_wallet_id",
    ),
    Case(
        "signing.OpenSession",
        lambda: signing_pb.OpenSessionRequest(
            master_wallet_id=UNKNOWN_ID, credential=in_clear(), ttl_seconds=-1
        ),
        "ttl_seconds",
    ),
    Case(
        "signing.OpenSession",
        lambda: signing_pb.OpenSessionRequest(
            wallet_ids=signing_pb.WalletIds(ids=[UNKNOWN_ID]), credential=in_clear()
        ),
        "wallet_ids.ids[0]",
        NOT_FOUND,
        "WALLET_NOT_FOUND",
    ),
    Case(
        "signing.OpenSession",
        lambda: signing_pb.OpenSessionRequest(
            wallet_ids=signing_pb.WalletIds(), credential=in_clear()
        ),
        "wallet_ids.ids",
    ),
    Case(
        "signing.CloseSession",
        lambda: signing_pb.CloseSessionRequest(session_token=b"short"),
        "session_token",
        grpc.StatusCode.UNAUTHENTICATED,
        "SESSION_INVALID",
    ),
    Case(
        "signing.RotatePassword",
        lambda: signing_pb.RotatePasswordRequest(
            master_wallet_id=UNKNOWN_ID, credential=in_clear()
        ),
        "new_credential",
    ),
    Case(
        "signing.SignTransaction",
        sign(transaction=b""),
        "transaction.transaction",
        reason="TRANSACTION_INVALID",
    ),
    Case(
        "signing.SignTransaction",
        sign(transaction=bytes(4_097)),
        "transaction.transaction",
        reason="TRANSACTION_INVALID",
    ),
    Case("signing.SignTransaction", sign(reference="r" * 65), "transaction.reference"),
    Case("signing.SignTransaction", sign(wallet_ids=[]), "transaction.wallet_ids"),
    Case("signing.SignTransaction", sign(wallet_ids=["7"]), "transaction.wallet_ids[0]"),
    Case("signing.SignTransaction", sign(wallet_ids=[UNKNOWN_ID] * 2), "transaction.wallet_ids"),
    Case(
        "signing.SignTransaction",
        sign(),
        "transaction.wallet_ids[0]",
        NOT_FOUND,
        "WALLET_NOT_FOUND",
    ),
    Case(
        "signing.SignTransactions",
        lambda: signing_pb.SignTransactionsRequest(request_id=new_id(), session_token=TOKEN),
        "transactions",
    ),
    Case(
        "signing.SignMessage",
        lambda: signing_pb.SignMessageRequest(
            request_id=new_id(), session_token=TOKEN, wallet_id=UNKNOWN_ID
        ),
        "message",
    ),
    Case("signing.GetPublicKey", signing_pb.GetPublicKeyRequest, "wallet_id"),
    Case(
        "signing.GetPublicKey",
        lambda: signing_pb.GetPublicKeyRequest(signer_box_key=False),
        "signer_box_key",
    ),
]
BALANCES = [
    Case("balances.GetBalance", balance_pb.GetBalanceRequest, "wallet_id"),
    Case(
        "balances.GetBalance",
        lambda: balance_pb.GetBalanceRequest(address="nonsense"),
        "address",
    ),
    Case(
        "balances.GetBalance",
        lambda: balance_pb.GetBalanceRequest(wallet_id=UNKNOWN_ID),
        "wallet_id",
        NOT_FOUND,
        "WALLET_NOT_FOUND",
    ),
    Case("balances.BatchGetBalances", balance_pb.BatchGetBalancesRequest, "wallet_ids"),
    Case("balances.BatchGetBalances", batch([]), "wallet_ids.ids"),
    Case("balances.BatchGetBalances", batch([UNKNOWN_ID] * 10_001), "wallet_ids.ids"),
    Case(
        "balances.BatchGetBalances",
        batch([UNKNOWN_ID]),
        "wallet_ids.ids[0]",
        NOT_FOUND,
        "WALLET_NOT_FOUND",
    ),
]
