"""Races, restarts, floods and vandalism: limits and the log hold, and service comes back."""

import contextlib
import json
import resource
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from signer_daemon.ledger import LimitExceededError, Meters
from signer_daemon.policy.model import Charge
from solward.signer.v1 import signer_service_pb2 as pb
from tests.hostile.conftest import PASSWORD, POLICY
from tests.signer.client import Client, connected, payment, sign_message
from tests.signer.process import SignerProcess, StartRefused, signer_process
from tests.signer.refusals import refusal_of

THREADS = 64
PAYMENT_LAMPORTS = 1_000
OUTFLOW_LAMPORTS = PAYMENT_LAMPORTS + 5_000  # with its fee
CAP_LAMPORTS = 40 * OUTFLOW_LAMPORTS + 1
RULES = POLICY.replace(
    'destinations = "vault"\n',
    f'destinations = "vault"\ngroup_lamports_per_day_max = {CAP_LAMPORTS}\n',
).replace("signatures_per_minute = 1_000_000", "signatures_per_minute = 25")


@pytest.fixture
def signer() -> Iterator[SignerProcess]:
    """A signer with a daily cap for 40 payments of the group, and 25 signatures a minute."""
    with signer_process() as process:
        process.policy.write_text(RULES)
        process.start()
        yield process


def released(results: list[pb.TransactionResult | None]) -> int:
    """How many signatures were released."""
    return sum(result is not None and result.HasField("signed") for result in results)


def race(
    client: Client,
    token: bytes,
    items: list[pb.TransactionItem],
    killer: threading.Timer | None = None,
) -> list[pb.TransactionResult | None]:
    """Have every item signed from its own thread at once; None where the call was lost."""
    start = threading.Barrier(len(items))

    def attempt(item: pb.TransactionItem) -> pb.TransactionResult | None:
        start.wait()
        try:
            return client.sign(token, [item])[0]
        except grpc.RpcError:
            if killer is None:
                raise
            return None

    with ThreadPoolExecutor(len(items)) as threads:
        if killer is not None:
            killer.start()
        return list(threads.map(attempt, items))


def test_64_threads_and_kill_9_never_release_more_than_the_cap(signer: SignerProcess) -> None:
    """64 threads race a cap of 40 payments, the signer dies in the middle, they race again: no more
    than 40 signatures are ever released, and the cap can be reached.
    """
    with connected(signer) as client:
        master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
        wallets = client.wallets(master, PASSWORD, 8)
        token = client.session(wallets[0], PASSWORD)
        items = [
            payment(wallets[at % 4], wallets[4 + at % 4], PAYMENT_LAMPORTS) for at in range(THREADS)
        ]
        first = race(client, token, items, threading.Timer(0.01, signer.kill))
    signer.start()
    with connected(signer) as client:
        token = client.session(wallets[0], PASSWORD)
        second = race(client, token, items)
    total = released(first) + released(second)
    # What the log says was allowed, released or lost with the process, counts in full.
    records = [json.loads(line[:-65]) for line in signer.audit_log.read_text().splitlines()]
    allowed = [r for r in records if (r["event"], r["outcome"]) == ("sign_transaction", "ok")]
    assert total <= len(allowed)
    assert 40 == len(allowed)
    rules = {result.error.rule for result in second if result is not None} - {""}
    assert f"desk/group_lamports_per_day_max: {CAP_LAMPORTS}" in rules


def test_rate_limit_holds_in_every_60_seconds_across_kill_9(signer: SignerProcess) -> None:
    """25 signatures a minute: batch, single calls, 16 threads and a restart change nothing, and the
    refusal says when to come back.
    """
    with connected(signer) as client:
        master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
        wallets = client.wallets(master, PASSWORD, 2)
        token = client.session(wallets[0], PASSWORD)
        batch = [payment(wallets[0], wallets[1], 1) for _ in range(10)]
        assert 10 == released(list(client.sign(token, batch)))
        assert 15 == released(race(client, token, [batch[0]] * 16))
    signer.kill()
    signer.start()
    with connected(signer) as client:
        token = client.session(wallets[0], PASSWORD)
        (result,) = client.sign(token, batch[:1])
        assert "desk/signatures_per_minute: 25" == result.error.rule
        assert 0 < result.error.retry_delay_ms <= 61_000
        message = sign_message(token, wallets[0], b"hello")
        refused = refusal_of(lambda: client.signer.SignMessage(message))
        assert ("RATE_LIMITED", True) == (refused.reason, refused.retry_delay_ms > 0)
        # The other wallet has a window of its own.
        assert 1 == released(list(client.sign(token, [payment(wallets[1], wallets[0], 1)])))


def test_log_that_was_deleted_stops_signing_and_starting(signer: SignerProcess) -> None:
    """Whoever removes the log, to be rid of limits or traces, gets no signature more: not from the
    running signer, and none from a new one: not with every file gone that lay beside the log, nor
    with a shorter one, while the head says what is missing.
    """
    with connected(signer) as client:
        master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
        wallets = client.wallets(master, PASSWORD, 2)
        token = client.session(wallets[0], PASSWORD)
        item = payment(wallets[0], wallets[1], 1)
        assert 1 == released(list(client.sign(token, [item])))
        text = signer.audit_log.read_bytes()
        signer.audit_log.unlink()
        refused = refusal_of(lambda: client.sign(token, [item]))
        assert "AUDIT_UNAVAILABLE" == refused.reason
    signer.kill()
    beside = {path: path.read_bytes() for path in signer.state.iterdir()}
    for path in beside:
        path.unlink()
    with pytest.raises(StartRefused, match=r"audit\.log is not there"):
        signer.start()
    for path, content in beside.items():
        path.write_bytes(content)
    with pytest.raises(StartRefused, match=r"audit\.log is not there"):
        signer.start()
    lines = text.splitlines(keepends=True)
    signer.audit_log.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(StartRefused, match=f"audit record {len(lines) - 1}: removed"):
        signer.start()


def test_oversize_requests_are_refused_and_the_next_one_works(signer: SignerProcess) -> None:
    """A request above the limit, or with too much in it, ends there; the signer goes on."""
    with connected(signer) as client:
        master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
        wallets = client.wallets(master, PASSWORD, 2)
        token = client.session(wallets[0], PASSWORD)
        flood = pb.TransactionItem(transaction=bytes(9 << 20))
        with pytest.raises(grpc.RpcError, match="larger than max"):
            client.sign(token, [flood])
        item = payment(wallets[0], wallets[1], 1)
        refused = refusal_of(lambda: client.sign(token, [item] * 501))
        assert ("INVALID_FIELD", "items") == (refused.reason, refused.field)
        assert 1 == released(list(client.sign(token, [item])))


def connect(peer: socket.socket, signer: SignerProcess, attempts: int = 50) -> bool:
    """Connect, again while the queue of those who wait to be accepted is full."""
    peer.settimeout(10)
    for _ in range(attempts):
        try:
            peer.connect(str(signer.socket))
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def test_slow_and_silent_connections_do_not_keep_others_out(signer: SignerProcess) -> None:
    """200 peers that connect and say nothing, or half a preface, are cut off; meanwhile and
    afterwards an honest one is served.
    """
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(200)]
        for at, peer in enumerate(peers):
            assert connect(peer, signer)
            if at % 2:
                peer.send(b"PRI * HTTP/2.0\r\n")
        with connected(signer) as client:
            assert 22 == len(client.signer.CreateMasterWallet(request_master(client)).key_group)
            # Cut off within the handshake timeout: every half-open peer reads the end.
            for peer in peers:
                while peer.recv(4096):
                    pass
            assert 16 == len(client.signer.GetSignerInfo(pb.GetSignerInfoRequest()).boot_id)


def request_master(client: Client) -> pb.CreateMasterWalletRequest:
    """Ask for a master."""
    return client.create_master(PASSWORD)


def test_more_peers_than_descriptors_starve_nobody_for_good(signer: SignerProcess) -> None:
    """With every descriptor taken by idle peers, the signer leaks none of them: when they are gone
    it serves again.
    """
    signer.stop()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        signer.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(400)]
        taken = [connect(peer, signer, attempts=3) for peer in peers]
        assert sum(taken) > 128
    with grpc.insecure_channel(f"unix:{signer.socket}") as channel:
        grpc.channel_ready_future(channel).result(timeout=20)
    with connected(signer) as client:
        assert 22 == len(client.signer.CreateMasterWallet(request_master(client)).key_group)


def test_clock_that_jumps_gives_nothing_back() -> None:
    """A wall clock set a day forward, or two back, frees no signature: limits follow the uptime.
    (The clocks are injected: the real ones are not ours to set.)
    """

    class Clocks:
        wall, uptime = 1_000_000_000_000, 1_000_000

        def wall_ms(self) -> int:
            return self.wall

        def uptime_ms(self) -> int:
            return self.uptime

    clocks = Clocks()
    meters = Meters(clocks)
    charge = Charge("signatures/wallet", 1, 1, "desk/signatures_per_minute: 1")
    with meters.reserve([charge]) as reservation:
        reservation.keep()
    for step_ms in (86_400_000, -2 * 86_400_000):
        clocks.wall += step_ms
        with pytest.raises(LimitExceededError):
            meters.reserve([charge])
    clocks.uptime += 61_000
    meters.reserve([charge]).close()
