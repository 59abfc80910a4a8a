"""How the signer begins and ends: what it leaves behind, and what it lets nobody else do."""

import os
import stat
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from solward.signer.v1 import signer_service_pb2 as pb
from tests.signer.client import Client, connected, sign_message
from tests.signer.house import House
from tests.signer.process import SignerProcess, StartRefused, signer_process
from tests.signer.refusals import refusal_of

WALLETS = 10_000
PASSWORD = "a password of the house"
RESTART_S = 2


@pytest.fixture
def signer() -> Iterator[SignerProcess]:
    """A signer of the test's own, serving."""
    with signer_process() as process:
        process.start()
        yield process


def assert_usable(signer: SignerProcess) -> None:
    """A whole household can be made."""
    with connected(signer) as client:
        house = House.built(client)
        client.signer.SignMessage(sign_message(house.token, house.wallets[0], b"usable"))


def test_kill_9_leaves_nothing_in_the_way(signer: SignerProcess) -> None:
    """Killed in the middle of a derivation: its sockets and locks do not stop the next start, which
    serves on the same paths and opens what was sealed before.
    """
    with connected(signer) as client:
        master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
        next(client.signer.DeriveWallets(client.derive(master, PASSWORD, WALLETS)))
        signer.kill()
    assert stat.S_ISSOCK(signer.socket.stat().st_mode)
    signer.start()
    with connected(signer) as client:
        assert 3 == len(client.wallets(master, PASSWORD, 3))
    assert "Traceback" not in signer.errors


def test_a_derivation_that_is_hung_up_gives_its_pages_back(signer: SignerProcess) -> None:
    """Callers who hang up in mid-stream, more often than there are locked pages, use nothing up."""
    with connected(signer) as client:
        master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
        for _ in range(30):  # a derivation holds three pages, of 80
            stream = client.signer.DeriveWallets(client.derive(master, PASSWORD, 2000))
            next(stream)
            stream.cancel()
    assert_usable(signer)


@pytest.mark.parametrize("shared", ["all", "state", "signer socket", "admin socket"])
def test_a_second_signer_is_refused(signer: SignerProcess, shared: str) -> None:
    """On the same state directory or either socket a second one gives one clear line and leaves the
    first one alone, sockets and all.
    """
    with signer_process() as other:
        mine = {"state", "signer socket", "admin socket"} if shared == "all" else {shared}
        other.configure(
            state_dir=(signer if "state" in mine else other).state,
            socket_dir=(signer if "signer socket" in mine else other).socket.parent,
            admin_socket_dir=(signer if "admin socket" in mine else other).admin_socket.parent,
        )
        with pytest.raises(StartRefused) as refused:
            other.start()
    assert 1 == refused.value.code
    assert refused.value.errors.startswith("signer: cannot run: ")
    assert refused.value.errors.endswith("another signer holds it\n")
    assert_usable(signer)


def test_sigterm_drains_and_tidies_up(signer: SignerProcess) -> None:
    """A derivation that is under way is finished and delivered; then the process ends with 0, and
    its sockets are gone.
    """
    with connected(signer) as client:
        master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
        stream = client.signer.DeriveWallets(client.derive(master, PASSWORD, WALLETS))
        count = len(next(stream).addresses)
        signer.terminate()
        count += sum(len(part.addresses) for part in stream)
    assert WALLETS == count
    assert 0 == signer.wait()
    assert not signer.socket.exists()
    assert not signer.admin_socket.exists()


def test_while_it_drains_a_new_call_is_told_so(signer: SignerProcess) -> None:
    """SHUTTING_DOWN, with nothing signed and a time to try again, until what is under way has been
    delivered; then the process ends with 0. Whoever asks for its health is no call that it waits
    for, and is answered.
    """
    with connected(signer) as client, grpc.insecure_channel(f"unix:{signer.socket}") as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert health_pb2.HealthCheckResponse.SERVING == next(watch).status
        master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
        stream = client.signer.DeriveWallets(client.derive(master, PASSWORD, WALLETS))
        count = len(next(stream).addresses)
        signer.terminate()
        assert health_pb2.HealthCheckResponse.NOT_SERVING == next(watch).status
        refusal = refusal_of(lambda: call_until_refused(client))
        count += sum(len(part.addresses) for part in stream)
    assert (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN", "no") == (
        refusal.code,
        refusal.reason,
        refusal.signed,
    )
    assert refusal.retry_delay_ms > 0
    assert WALLETS == count
    assert 0 == signer.wait()


def call_until_refused(client: Client) -> None:
    """Ask for something simple until it is refused: the signal is on its way."""
    deadline_s = time.monotonic() + RESTART_S
    while time.monotonic() < deadline_s:
        client.signer.GetSignerInfo(pb.GetSignerInfoRequest())


def test_a_follower_of_the_log_does_not_hold_up_the_end(signer: SignerProcess) -> None:
    """A gateway that follows the audit log lets go when the signer stops, so that a restart takes
    a moment and not a grace period.
    """
    with connected(signer) as client:
        stream = client.signer.StreamAuditRecords(pb.StreamAuditRecordsRequest(follow=True))
        next(stream)
        began = time.monotonic()
        assert 0 == signer.stop()
        assert time.monotonic() - began < RESTART_S


def test_sockets_are_as_closed_as_their_roles(signer: SignerProcess) -> None:
    """signer.sock is for its group, admin.sock for its owner alone, and so are the directories."""
    modes = {
        path: stat.S_IMODE(path.stat().st_mode)
        for path in (
            *(signer.socket, signer.socket.parent, signer.admin_socket),
            *(signer.admin_socket.parent, signer.state, signer.audit_log),
        )
    }
    assert [0o660, 0o750, 0o600, 0o700, 0o700, 0o600] == list(modes.values())
    assert 1 == len({path.stat().st_uid for path in modes})
    if os.geteuid() == 0:
        assert 0 != signer.socket.stat().st_uid


def test_healthy_means_usable(signer: SignerProcess) -> None:
    """Both sockets say SERVING once the signer says that it is ready."""
    for path in (signer.socket, signer.admin_socket):
        with grpc.insecure_channel(f"unix:{path}") as channel:
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                health_pb2.HealthCheckRequest.SerializeToString,
                health_pb2.HealthCheckResponse.FromString,
            )
            assert (
                health_pb2.HealthCheckResponse.SERVING
                == check(health_pb2.HealthCheckRequest()).status
            )


@pytest.mark.parametrize(
    ("socket", "method"),
    [
        ("signer", "/solward.signer.v1.AdminService/GetStatus"),
        ("signer", "/solward.signer.v1.AdminService/ExportMnemonic"),
        ("admin", "/solward.signer.v1.SignerService/SignMessage"),
        ("signer", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"),
    ],
)
def test_a_socket_has_no_calls_but_its_own(signer: SignerProcess, socket: str, method: str) -> None:
    """The gateway's socket has none of the operator's calls, nor the other way; no reflection."""
    path = signer.socket if socket == "signer" else signer.admin_socket
    with grpc.insecure_channel(f"unix:{path}") as channel:
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(method, bytes, bytes)(b"")
        assert "UNIMPLEMENTED" in str(refused.value)
