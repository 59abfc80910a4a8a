"""A signer in its sandbox does all that a signer does. A system call forgotten would kill it."""

import os
import signal
from collections.abc import Iterator

import pytest

from solward.signer.v1 import admin_service_pb2 as ap
from solward.signer.v1 import signer_service_pb2 as pb
from tests.sandbox.process import imports, probed
from tests.signer.client import connected, fresh_id
from tests.signer.errands import Errands
from tests.signer.process import SignerProcess

REQUESTS = 10_000
RECONNECTIONS = 100


@pytest.fixture
def signer() -> Iterator[SignerProcess]:
    """A signer that may export, with nothing taken out of its sandbox."""
    with probed() as process:
        process.configure(exports=True)
        process.start()
        yield process


def test_every_errand_is_run_and_nothing_more_is_imported(signer: SignerProcess) -> None:
    """All calls, refusals among them; Python's own files may be out of reach by then, and are."""
    with connected(signer) as client:
        Errands.of(signer, client).run()
    assert [] == imports(signer)
    assert 0 == signer.stop()
    assert [] == [line for line in signer.errors.splitlines() if " INFO audit head" not in line]
    assert {"signer.lock"} == {path.name for path in signer.socket.parent.iterdir()}
    assert {"admin.lock"} == {path.name for path in signer.admin_socket.parent.iterdir()}


def test_ten_thousand_requests_at_once_and_a_hundred_connections(signer: SignerProcess) -> None:
    """Threads, descriptors and memory come and go; none of it asks for another system call."""
    request = pb.GetSignerInfoRequest()
    with connected(signer) as client:
        answers = [client.signer.GetSignerInfo.future(request) for _ in range(REQUESTS)]
        assert {client.key.boot_id} == {answer.result().boot_id for answer in answers}
    for _ in range(RECONNECTIONS):
        with connected(signer) as client:
            client.admin.GetStatus(ap.GetStatusRequest())
    assert 0 == signer.stop()


def test_it_goes_on_after_being_stopped(signer: SignerProcess) -> None:
    """SIGSTOP and SIGCONT, as a debugger or a frozen cgroup do: waits are restarted by a call."""
    with connected(signer) as client:
        for _ in range(3):
            os.kill(signer.pid, signal.SIGSTOP)
            os.kill(signer.pid, signal.SIGCONT)
            client.signer.GetSignerInfo(pb.GetSignerInfoRequest())


def test_a_policy_put_in_place_of_the_old_is_loaded(signer: SignerProcess) -> None:
    """A new file under the same name, as editors and `mv` leave it, can be read."""
    new = signer.policy.with_name("new")
    new.write_text(signer.policy.read_text().replace("version = 7", "version = 8"))
    new.replace(signer.policy)
    with connected(signer) as client:
        reply = client.admin.ReloadPolicy(ap.ReloadPolicyRequest(request_id=fresh_id()))
    assert 8 == reply.policy_version
