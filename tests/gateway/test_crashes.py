"""Kills, restarts, a second instance, a start with nothing: the gateway as a process."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from solward_client.devstack.process import Process, Program
from solward_client.devstack.servers import base_environment
from tests.gateway.processes import Client, code_of, status_code
from tests.support.fixtures import MakeGateway
from tests.support.processes import GatewayProcess, SignerProcess


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


def test_sigterm_does_not_wait_for_watches(gateway_process: GatewayProcess) -> None:
    """A stream that nobody ends is told UNAVAILABLE, and the process ends at once with code 0."""
    with grpc.insecure_channel(gateway_process.target) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        started_s = time.monotonic()
        assert gateway_process.stop() == 0
        assert time.monotonic() - started_s < 5
        assert code_of(lambda: list(watch)) is grpc.StatusCode.UNAVAILABLE


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


def test_a_taken_port_is_named(make_gateway: MakeGateway, tmp_path: Path) -> None:
    """Two gateways never share a port in silence: the second ends and names it."""
    listen = {"tcp": "127.0.0.1:0", "allow_insecure_loopback": True}
    first = make_gateway(settings={"listen": listen})
    assert first.server is not None
    taken = first.server.listening["tcp"]
    text = first.files.config.read_text().replace("127.0.0.1:0", taken)
    config = tmp_path / "second.toml"
    config.write_text(text.replace("gateway.sock", "second.sock"))
    command = [sys.executable, "-m", "gateway", "--config", str(config)]
    done = subprocess.run(
        command, env=base_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert f"{taken} cannot be bound" in done.stderr.splitlines()[-1]


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
