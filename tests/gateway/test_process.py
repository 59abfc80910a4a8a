"""The real gateway on the real signer: signatures, rotation, a distribution, secrets."""

from collections.abc import Callable
from typing import Any

import asyncpg
import grpc
import pytest
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import Transaction

from solward.gateway.v1 import credentials_pb2
from solward.gateway.v1 import distribution_service_pb2 as distribution_pb
from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from solward.gateway.v1 import signing_service_pb2 as signing_pb
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from tests.gateway.processes import CANARY, Client, code_of, sign_request, transaction
from tests.gateway.support import in_clear, new_id
from tests.support.databases import run
from tests.support.fixtures import MakeGateway, MakeSvmRpc
from tests.support.processes import GatewayProcess
from tests.support.svm_rpc import SvmRpc


def test_derive_open_and_sign(client: Client) -> None:
    """Wallets derived by the real signer sign a transfer to their sibling, and it verifies."""
    master = client.create_master()
    *_, last = client.derive(master, 3)
    assert (True, 3) == (last.done, last.created_count)
    one, two, _ = client.first_wallets(3)
    box = client.signing.GetPublicKey(signing_pb.GetPublicKeyRequest(signer_box_key=True))
    assert len(box.key_id) == 8
    assert {box.key_id} == {master.key_id, one.key_id, two.key_id}
    assert code_of(lambda: client.session(master, "wrong wrong wrong")) is (
        grpc.StatusCode.PERMISSION_DENIED
    )
    assert code_of(lambda: client.session(master, "eleven char")) is (
        grpc.StatusCode.INVALID_ARGUMENT
    )
    token = client.session(master)
    wire = transaction(one.address, two.address)
    signed = client.signing.SignTransaction(sign_request(token, one, wire)).signed
    parsed = Transaction.from_bytes(signed.transaction)
    parsed.verify()
    assert signed.is_complete
    assert Signature.from_bytes(signed.signatures[0]) == parsed.signatures[0]
    assert str(parsed.signatures[0]) == signed.transaction_signature
    client.signing.CloseSession(signing_pb.CloseSessionRequest(session_token=token))
    assert (
        code_of(lambda: client.signing.SignTransaction(sign_request(token, one, wire)))
        is grpc.StatusCode.UNAUTHENTICATED
    )


def test_rotation_with_the_real_signer(client: Client) -> None:
    """After a rotation only the new password opens a session, and the wallets still sign."""
    master = client.create_master()
    list(client.derive(master, 5))
    request = signing_pb.RotatePasswordRequest(
        master_wallet_id=master.id,
        credential=in_clear(CANARY),
        new_credential=in_clear("quite another password"),
    )
    assert client.signing.RotatePassword(request).rotated_wallet_count == 5
    assert code_of(lambda: client.session(master)) is grpc.StatusCode.PERMISSION_DENIED
    token = client.session(master, "quite another password")
    one, two = client.first_wallets(2)
    wire = transaction(one.address, two.address)
    assert client.signing.SignTransaction(sign_request(token, one, wire)).signed.is_complete


async def dump(url: str) -> str:
    """Every row of every table, as text."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
        rows = [
            await connection.fetch(f'SELECT t::text FROM "{table["table_name"]}" t')
            for table in tables
        ]
    finally:
        await connection.close()
    return "\n".join(row[0] for table_rows in rows for row in table_rows)


def test_a_password_is_in_no_log_no_row_and_no_error(
    gateway_process: GatewayProcess, client: Client, database_url: str
) -> None:
    """A canary sent through every call that takes a secret is nowhere afterwards."""
    key_hex = "c0ffee" * 10 + "c0ff"
    master = client.create_master()
    list(client.derive(master, 2))
    token = client.session(master)
    errors = []
    calls: list[Callable[[], Any]] = [
        lambda: client.session(master, CANARY + "x"),
        lambda: client.create_master(CANARY[:5]),
        lambda: client.wallets.ImportWallet(
            wallet_pb.ImportWalletRequest(
                request_id=new_id(),
                address=client.first_wallets(1)[0].address[::-1],
                plaintext_private_key=bytes.fromhex(key_hex),
                credential=in_clear(CANARY),
            )
        ),
        lambda: client.wallets.DeleteWallet(
            wallet_pb.DeleteWalletRequest(
                wallet_id=client.first_wallets(1)[0].id, credential=in_clear(CANARY + "y")
            )
        ),
        lambda: client.signing.RotatePassword(
            signing_pb.RotatePasswordRequest(
                master_wallet_id=master.id,
                credential=in_clear(CANARY + "z"),
                new_credential=in_clear(CANARY + "w"),
            )
        ),
        lambda: client.masters.CreateMasterWallet(
            master_pb.CreateMasterWalletRequest(
                request_id=CANARY,
                credential=credentials_pb2.Credential(sealed_password=CANARY.encode()),
            )
        ),
    ]
    for call in calls:
        with pytest.raises(grpc.RpcError) as caught:
            call()
        errors.append(repr(caught.value))
    everything = "\n".join([*errors, gateway_process.log_text(), run(dump(database_url))])
    for secret in (CANARY, CANARY.encode().hex(), key_hex, token.hex(), repr(token)[2:-1]):
        assert secret not in everything
    assert master.fingerprint in everything  # the positive control: rows are in there


def test_a_distribution_end_to_end(make_gateway: MakeGateway, make_svm_rpc: MakeSvmRpc) -> None:
    """Planned, approved, executed, watched to its end: the recipients get exactly the total."""
    node: SvmRpc = make_svm_rpc(block_time_s=0.05)
    gateway = make_gateway(rpc_url=node.url)
    with grpc.insecure_channel(gateway.target) as channel:
        client = Client(channel)
        master = client.create_master()
        list(client.derive(master, 31))
        source, *recipients = client.first_wallets(31)
        node.chain.fund(Pubkey.from_string(source.address), 10**9)
        planned = client.distributions.CreateDistribution(
            distribution_pb.CreateDistributionRequest(
                request_id=new_id(),
                source_wallet_id=source.id,
                recipients=distribution_pb.Recipients(
                    range=distribution_pb.RecipientRange(
                        master_wallet_id=master.id, first_index=1, count=30
                    )
                ),
                total_lamports=100_000_007,
                split=distribution_pb.Split(random=distribution_pb.RandomSplit()),
            )
        ).distribution
        assert planned.state == distribution_pb.Distribution.STATE_PLANNED
        client.distributions.ExecuteDistribution(
            distribution_pb.ExecuteDistributionRequest(
                distribution_id=planned.id,
                etag=planned.etag,
                session_token=client.session(master),
            )
        )
        watch = distribution_pb.WatchDistributionRequest(distribution_id=planned.id)
        *_, last = client.distributions.WatchDistribution(watch)
        assert last.state == distribution_pb.Distribution.STATE_COMPLETED, last.last_error
        transfers = client.distributions.ListTransfers(
            distribution_pb.ListTransfersRequest(distribution_id=planned.id)
        ).transfers
        received = sum(node.chain.balance(Pubkey.from_string(w.address)) for w in recipients)
    assert (100_000_007, 100_000_007) == (last.finalized_lamports, received)
    assert 100_000_007 == sum(item.amount_lamports for item in transfers)
    assert {distribution_pb.Transfer.STATE_FINALIZED} == {item.state for item in transfers}
