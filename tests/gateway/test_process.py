"""The real gateway and the real signer as processes: work, crashes, a second instance, secrets."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import asyncpg
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from solders.hash import Hash
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction

from solward.gateway.v1 import credentials_pb2, distribution_service_pb2_grpc
from solward.gateway.v1 import distribution_service_pb2 as distribution_pb
from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from solward.gateway.v1 import master_wallet_service_pb2_grpc as master_grpc
from solward.gateway.v1 import signing_service_pb2 as signing_pb
from solward.gateway.v1 import signing_service_pb2_grpc as signing_grpc
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from solward.gateway.v1 import wallet_service_pb2_grpc as wallet_grpc
from solward_client.devstack.process import Process, Program
from solward_client.devstack.servers import base_environment
from tests.gateway.support import in_clear, new_id
from tests.support.databases import run
from tests.support.fixtures import MakeGateway, MakeSvmRpc
from tests.support.processes import GatewayProcess, SignerProcess
from tests.support.svm_rpc import SvmRpc

CANARY = "canary-password-2f9c1e77"


class Client:
    """Stubs of a running gateway."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.masters = master_grpc.MasterWalletServiceStub(channel)
        self.wallets = wallet_grpc.WalletServiceStub(channel)
        self.signing = signing_grpc.SigningServiceStub(channel)
        self.distributions = distribution_service_pb2_grpc.DistributionServiceStub(channel)

    def create_master(self, password: str = CANARY) -> master_pb.MasterWallet:
        """Makes a master wallet."""
        request = master_pb.CreateMasterWalletRequest(
            request_id=new_id(), word_count=24, credential=in_clear(password)
        )
        return self.masters.CreateMasterWallet(request).master_wallet

    def derive(self, master: master_pb.MasterWallet, count: int) -> Iterator[Any]:
        """Derives from index 0 with the canary password."""
        request = wallet_pb.DeriveWalletsRequest(
            request_id=new_id(),
            master_wallet_id=master.id,
            first_index=0,
            count=count,
            credential=in_clear(CANARY),
        )
        return self.wallets.DeriveWallets(request)

    def first_wallets(self, count: int) -> list[wallet_pb.Wallet]:
        """The first stored wallets."""
        page = self.wallets.ListWallets(wallet_pb.ListWalletsRequest(page_size=count))
        return list(page.wallets)

    def session(self, master: master_pb.MasterWallet, password: str = CANARY) -> bytes:
        """Opens a session for a master."""
        request = signing_pb.OpenSessionRequest(
            master_wallet_id=master.id, credential=in_clear(password)
        )
        return self.signing.OpenSession(request).session_token


@pytest.fixture
def client(gateway_process: GatewayProcess) -> Iterator[Client]:
    """A client of the test's gateway."""
    with grpc.insecure_channel(gateway_process.target) as channel:
        yield Client(channel)


def transaction(source: str, destination: str, lamports: int = 1) -> bytes:
    """An unsigned transfer."""
    payer = Pubkey.from_string(source)
    instruction = transfer(
        TransferParams(
            from_pubkey=payer, to_pubkey=Pubkey.from_string(destination), lamports=lamports
        )
    )
    message = Message.new_with_blockhash([instruction], payer, Hash.default())
    return bytes(Transaction.new_unsigned(message))


def sign_request(
    token: bytes, wallet: wallet_pb.Wallet, wire: bytes
) -> signing_pb.SignTransactionRequest:
    """A request to sign by one wallet."""
    item = signing_pb.TransactionToSign(transaction=wire, wallet_ids=[wallet.id])
    return signing_pb.SignTransactionRequest(
        request_id=new_id(), session_token=token, transaction=item
    )


def code_of(call: Callable[[], Any]) -> grpc.StatusCode:
    """How a call that must fail fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return status_code(caught.value)


def status_code(error: grpc.RpcError) -> grpc.StatusCode:
    """The code of a failed call, which its type does not say it has."""
    code: grpc.StatusCode = cast(Any, error).code()
    return code


def test_derive_open_and_sign(client: Client) -> None:
    """Wallets derived by the real signer sign a transfer to their sibling, and it verifies."""
    master = client.create_master()
    *_, last = client.derive(master, 3)
    assert (True, 3) == (last.done, last.created_count)
    one, two, _ = client.first_wallets(3)
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


def test_killed_midway_nothing_is_half_written(
    gateway_process: GatewayProcess, client: Client
) -> None:
    """SIGKILL in a derivation: the next start works on the same socket; nothing is stored."""
    master = client.create_master()
    reports = client.derive(master, 10_000)
    assert next(reports).derived_count > 0
    gateway_process.kill()
    assert code_of(lambda: list(reports)) is grpc.StatusCode.UNAVAILABLE
    gateway_process.start()
    with grpc.insecure_channel(gateway_process.target) as channel:
        again = Client(channel)
        request = master_pb.GetMasterWalletRequest(master_wallet_id=master.id)
        assert again.masters.GetMasterWallet(request).master_wallet.derived_count == 0
        assert [] == again.first_wallets(1)
        *_, last = again.derive(master, 10_000)
        assert last.created_count == 10_000


def test_a_restarted_signer_is_found_again(
    signer_process: SignerProcess, gateway_process: GatewayProcess, client: Client
) -> None:
    """A killed signer makes calls UNAVAILABLE; after its restart the gateway goes on by itself."""
    assert gateway_process.pid > 0
    master = client.create_master()
    signer_process.kill()
    assert code_of(client.create_master) is grpc.StatusCode.UNAVAILABLE
    signer_process.start()
    deadline_s = time.monotonic() + 10
    created_count = 0
    while not created_count and time.monotonic() < deadline_s:
        try:
            *_, last = client.derive(master, 2)
            created_count = last.created_count
        except grpc.RpcError as error:
            if status_code(error) is not grpc.StatusCode.UNAVAILABLE:
                raise
    assert created_count == 2


def test_sigterm_lets_work_finish(gateway_process: GatewayProcess, client: Client) -> None:
    """A derivation under way is finished and stored before the process ends with code 0."""
    master = client.create_master()
    reports = client.derive(master, 10_000)
    assert next(reports).derived_count > 0
    codes: list[int] = []
    stopper = threading.Thread(target=lambda: codes.append(gateway_process.stop()))
    stopper.start()
    *_, last = reports
    stopper.join()
    assert (True, 10_000, [0]) == (last.done, last.created_count, codes)
    assert not Path(gateway_process.target.removeprefix("unix:")).exists()


def gateway_command(gateway: GatewayProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the gateway's command to its end."""
    command = [sys.executable, "-m", "gateway", "--config", str(gateway.files.config), *arguments]
    return subprocess.run(
        command, env=base_environment(), capture_output=True, text=True, timeout=60, check=False
    )


def test_a_second_instance_ends_with_one_clear_line(gateway_process: GatewayProcess) -> None:
    """It names the socket, and the first goes on serving."""
    second = gateway_command(gateway_process)
    assert (1, "") == (second.returncode, second.stdout)
    (line,) = second.stderr.splitlines()
    assert "another gateway holds" in json.loads(line)["event"]
    with grpc.insecure_channel(gateway_process.target) as channel:
        assert [] == Client(channel).first_wallets(1)


def test_migrating_again_changes_nothing(gateway_process: GatewayProcess) -> None:
    """The command says what it applied: nothing, the second time."""
    done = gateway_command(gateway_process, "migrate")
    assert (0, {"migrated": []}) == (done.returncode, json.loads(done.stdout))


def test_an_unknown_key_is_fatal(gateway_process: GatewayProcess, tmp_path: Path) -> None:
    """One line that names the key, and exit code 2."""
    config = tmp_path / "bad.toml"
    config.write_text("surprise = 1\n" + gateway_process.files.config.read_text())
    command = [sys.executable, "-m", "gateway", "--config", str(config)]
    done = subprocess.run(
        command, env=base_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert json.loads(done.stderr)["event"] == "surprise: unknown key"


def test_it_starts_with_nothing_to_work_on(tmp_path: Path, short_dir: Path) -> None:
    """No database, no signer, no node: it says where it listens, and answers NOT_SERVING."""
    config = tmp_path / "gateway.toml"
    config.write_text(
        f'[signer]\nsocket = "{short_dir}/none.sock"\n'
        '[listen]\ntcp = "127.0.0.1:0"\nallow_insecure_loopback = true\n'
        f'[postgres]\nurl = "postgresql://u@/db?host={short_dir}"\n'
        '[solana]\nrpc_url = "http://127.0.0.1:1"\n'
    )
    command = [sys.executable, "-m", "gateway", "--config", str(config)]
    log = tmp_path / "log"
    program = Program("gateway", command, log, base_environment(), capture_stdout=True)
    process = Process(program)
    try:
        ready = json.loads(process.read_line(30))
        with grpc.insecure_channel(ready["tcp"]) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            reply = health.Check(health_pb2.HealthCheckRequest())
            assert reply.status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert code_of(lambda: Client(channel).first_wallets(1)) is (
                grpc.StatusCode.UNAVAILABLE
            )
        assert process.stop() == 0
    finally:
        process.kill()
    not_usable = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"database", "signer", "rpc"} == {
        line["what"] for line in not_usable if line["event"] == "not usable"
    }


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
