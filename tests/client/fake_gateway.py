"""A gateway without anything behind it: answers from memory, opens sealed secrets with its own key.

It stands in for gateway and signer where a test is about the client: what it sends, how it decodes.
"""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import grpc
from nacl.public import PrivateKey, SealedBox

from solward.gateway.v1 import balance_service_pb2 as balance_pb
from solward.gateway.v1 import distribution_service_pb2 as distribution_pb
from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from solward.gateway.v1 import signing_service_pb2 as signing_pb
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from tests.client.fake_distributions import fake_distributions
from tests.client.fake_server import BOOT_ID, refuse, service

MASTER = master_pb.MasterWallet(
    id="0b6f1f0e-50b1-4e66-9d1c-94a3d0d8a001",
    fingerprint="ab" * 16,
    key_group="group-of-the-master",
    derived_count=3,
)
TOKEN = bytes(range(32))


def wallet(index: int) -> wallet_pb.Wallet:
    """Return the made-up wallet of an index."""
    return wallet_pb.Wallet(
        id=f"0b6f1f0e-50b1-4e66-9d1c-{index:012d}",
        address=f"Wallet{index:04d}",
        derivation_index=index,
        master_wallet_id=MASTER.id,
        key_group=f"group-{index % 2}",
        volume_lamports=2**64 - 1 - index,
    )


class FakeGateway:
    """Serves on a Unix socket of its own until the block ends.

    `secrets` holds every secret as it was opened, with its binding; `calls` the names of the calls;
    `fail` maps a call's name to the statuses that its next calls end with; `orders` holds the
    requests to plan something.
    """

    def __init__(self) -> None:
        self.box_key = PrivateKey.generate()
        self.secrets: list[tuple[bytes, bytes]] = []
        self.calls: list[str] = []
        self.fail: dict[str, list[tuple[grpc.StatusCode, str]]] = {}
        self.orders: list[Any] = []
        self.deny: dict[str, Any] | None = None
        self.on_call: Callable[[], None] = lambda: None
        self._directory = tempfile.TemporaryDirectory(prefix="fake-gateway-")
        self.target = f"unix:{Path(self._directory.name) / 'g.sock'}"
        self._server = grpc.server(ThreadPoolExecutor(4))
        for module, handlers in (
            (master_pb, _Masters(self)),
            (wallet_pb, _Wallets(self)),
            (signing_pb, _Signing(self)),
            (balance_pb, _Balances(self)),
            (distribution_pb, fake_distributions(self, wallet(0).id)),
        ):
            self._server.add_generic_rpc_handlers((service(module, handlers),))
        self._server.add_insecure_port(self.target)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.stop(None).wait()
        self._directory.cleanup()

    def called(self, name: str, context: grpc.ServicerContext) -> None:
        """Note a call, and fail it if the test asked for that."""
        self.calls.append(name)
        self.on_call()
        failures = self.fail.get(name)
        if failures:
            code, message = failures.pop(0)
            context.abort(code, message)
        if self.deny is not None:
            refuse(context, **self.deny)

    def open(self, sealed: bytes) -> None:
        """Open a sealed secret and keep it with its binding."""
        body = SealedBox(self.box_key).decrypt(sealed)
        self.secrets.append((body[56:], body[24:56]))


class _Masters:
    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    def create_master_wallet(
        self, request: master_pb.CreateMasterWalletRequest, context: Any
    ) -> master_pb.CreateMasterWalletResponse:
        self._gateway.called("CreateMasterWallet", context)
        self._gateway.open(request.credential.sealed_password)
        return master_pb.CreateMasterWalletResponse(master_wallet=MASTER)

    def get_master_wallet(
        self, _request: master_pb.GetMasterWalletRequest, context: Any
    ) -> master_pb.GetMasterWalletResponse:
        self._gateway.called("GetMasterWallet", context)
        return master_pb.GetMasterWalletResponse(master_wallet=MASTER)

    def list_master_wallets(
        self, _request: master_pb.ListMasterWalletsRequest, context: Any
    ) -> master_pb.ListMasterWalletsResponse:
        self._gateway.called("ListMasterWallets", context)
        return master_pb.ListMasterWalletsResponse(master_wallets=[MASTER])


class _Wallets:
    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    def derive_wallets(
        self, request: wallet_pb.DeriveWalletsRequest, context: Any
    ) -> Iterator[wallet_pb.DeriveWalletsResponse]:
        self._gateway.called("DeriveWallets", context)
        self._gateway.open(request.credential.sealed_password)
        for done in range(2, request.count + 1, 2):
            yield wallet_pb.DeriveWalletsResponse(derived_count=done, total_count=request.count)
        yield wallet_pb.DeriveWalletsResponse(
            derived_count=request.count,
            total_count=request.count,
            done=True,
            created_count=request.count,
            first_index=request.first_index,
        )

    def import_wallet(
        self, request: wallet_pb.ImportWalletRequest, context: Any
    ) -> wallet_pb.ImportWalletResponse:
        self._gateway.called("ImportWallet", context)
        self._gateway.open(request.sealed_private_key)
        self._gateway.open(request.credential.sealed_password)
        stored = wallet_pb.Wallet(id=wallet(0).id, address=request.address, derivation_index=-1)
        return wallet_pb.ImportWalletResponse(wallet=stored)

    def get_wallet(
        self, request: wallet_pb.GetWalletRequest, context: Any
    ) -> wallet_pb.GetWalletResponse:
        self._gateway.called("GetWallet", context)
        return wallet_pb.GetWalletResponse(wallet=wallet(int(request.wallet_id[-12:])))

    def get_wallet_by_address(
        self, request: wallet_pb.GetWalletByAddressRequest, context: Any
    ) -> wallet_pb.GetWalletByAddressResponse:
        self._gateway.called("GetWalletByAddress", context)
        return wallet_pb.GetWalletByAddressResponse(wallet=wallet(int(request.address[-4:])))

    def list_wallets(
        self, request: wallet_pb.ListWalletsRequest, context: Any
    ) -> wallet_pb.ListWalletsResponse:
        self._gateway.called("ListWallets", context)
        first = int(request.page_token or request.index_min)
        after = min(first + request.page_size, 5)
        return wallet_pb.ListWalletsResponse(
            wallets=[wallet(index) for index in range(first, after)],
            next_page_token=str(after) if after < 5 else "",
        )

    def delete_wallet(
        self, request: wallet_pb.DeleteWalletRequest, context: Any
    ) -> wallet_pb.DeleteWalletResponse:
        self._gateway.called("DeleteWallet", context)
        self._gateway.open(request.credential.sealed_password)
        return wallet_pb.DeleteWalletResponse()


class _Signing:
    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    def get_public_key(
        self, _request: signing_pb.GetPublicKeyRequest, _context: Any
    ) -> signing_pb.GetPublicKeyResponse:
        return signing_pb.GetPublicKeyResponse(
            public_key=bytes(self._gateway.box_key.public_key), boot_id=BOOT_ID
        )

    def open_session(
        self, request: signing_pb.OpenSessionRequest, context: Any
    ) -> signing_pb.OpenSessionResponse:
        self._gateway.called("OpenSession", context)
        self._gateway.open(request.credential.sealed_password)
        return signing_pb.OpenSessionResponse(session_token=TOKEN)

    def close_session(
        self, _request: signing_pb.CloseSessionRequest, _context: Any
    ) -> signing_pb.CloseSessionResponse:
        self._gateway.calls.append("CloseSession")
        return signing_pb.CloseSessionResponse()

    def sign_transaction(
        self, request: signing_pb.SignTransactionRequest, context: Any
    ) -> signing_pb.SignTransactionResponse:
        self._gateway.called("SignTransaction", context)
        signed = signing_pb.SignedTransaction(
            transaction=request.transaction.transaction, is_complete=True
        )
        return signing_pb.SignTransactionResponse(signed=signed)

    def sign_transactions(
        self, request: signing_pb.SignTransactionsRequest, context: Any
    ) -> signing_pb.SignTransactionsResponse:
        self._gateway.called("SignTransactions", context)
        results = [
            signing_pb.SignTransactionResult(
                reference=item.reference,
                signed=signing_pb.SignedTransaction(transaction=item.transaction),
            )
            for item in request.transactions[:-1]
        ]
        denied = signing_pb.SigningError(
            reason="RATE_LIMITED",
            domain="signer.solward",
            code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0],
            message="no signature left",
            retry_delay_ms=1500,
        )
        results.append(signing_pb.SignTransactionResult(error=denied))
        return signing_pb.SignTransactionsResponse(results=results)

    def sign_message(
        self, _request: signing_pb.SignMessageRequest, context: Any
    ) -> signing_pb.SignMessageResponse:
        self._gateway.called("SignMessage", context)
        return signing_pb.SignMessageResponse(signature=bytes(64), address="Wallet0000")

    def check_policy(
        self, _request: signing_pb.CheckPolicyRequest, context: Any
    ) -> signing_pb.CheckPolicyResponse:
        self._gateway.called("CheckPolicy", context)
        verdict = signing_pb.PolicyVerdict(group="desk", rule="desk/destinations: vault")
        return signing_pb.CheckPolicyResponse(
            verdicts=[verdict], effects=["pays 5 lamports to Foreign"]
        )


class _Balances:
    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    def batch_get_balances(
        self, request: balance_pb.BatchGetBalancesRequest, context: Any
    ) -> balance_pb.BatchGetBalancesResponse:
        self._gateway.called("BatchGetBalances", context)
        balances = [
            balance_pb.WalletBalance(address=address, balance_lamports=7)
            for address in request.addresses.addresses
        ]
        return balance_pb.BatchGetBalancesResponse(
            balances=balances, total_lamports=7 * len(balances)
        )
