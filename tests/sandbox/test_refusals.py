"""What the real signer cannot do once it serves, each with the proof that the probe works."""

import errno
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from solward_client.devstack.servers import SIGNER_UID
from tests.sandbox.probes import PROBES
from tests.sandbox.process import MARK, SIGSYS_EXIT, probed, try_probe
from tests.signer.process import SignerProcess

# Landlock's answer, or seccomp's to what libraries may try in good faith.
DENIED = {"read", "write", "create", "append", "unlink", "list", "peek", "new_code", "dumpable"}
# What works for an ordinary process. The others are system calls with arguments that make no sense,
# so without a filter the kernel says that, and with one it never looks at them.
WORKING = DENIED | {"inet", "inet6", "tcp", "unix", "netlink", "fork", "spawn", "kill", "ptrace"}
KILLED = ["inet", "inet6", "unix", "fork", "spawn", "exec", "kill", "ptrace", "process_vm_readv"]
NO_SANDBOX = {"without": ["become", "landlock", "seccomp"]}
ALL = sorted(PROBES.keys() - {"exec"})


@contextmanager
def serving(*flags: str, **changes: object) -> Iterator[SignerProcess]:
    """A signer with probes in it, whose home anybody may enter."""
    with probed(*flags, **changes) as signer:
        signer.home.chmod(0o711)
        signer.start()
        yield signer


@pytest.fixture(scope="module")
def confined() -> Iterator[SignerProcess]:
    """The whole sandbox, but seccomp answers with a mark where it would kill."""
    with serving(errno=MARK) as signer:
        yield signer


@pytest.fixture(scope="module")
def free() -> Iterator[SignerProcess]:
    """The same program with no sandbox."""
    with serving("--insecure-dev", **NO_SANDBOX) as signer:
        yield signer


@pytest.fixture(scope="module")
def victim() -> Iterator[int]:
    """Another process of the signer's own user."""
    user = SIGNER_UID if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "600"], user=user) as process:
        yield process.pid
        process.kill()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A TCP port of this host that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def file() -> Iterator[Path]:
    """A file that everybody may read, write and remove, in a directory that everybody may enter."""
    with tempfile.TemporaryDirectory() as home:
        path = Path(home, "file")
        path.write_text("kept")
        path.chmod(0o666)
        path.parent.chmod(0o777)
        yield path


@pytest.fixture
def argument(request: pytest.FixtureRequest, victim: int, port: int, file: Path) -> str:
    """What the probe named by the test's parameter takes."""
    name = request.getfixturevalue("name")
    if name in {"kill", "ptrace", "peek"}:
        return str(victim)
    others = {"read": "/etc/passwd", "list": "/", "tcp": str(port), "create": f"{file}.new"}
    others |= {"spawn": "/bin/true", "exec": "/bin/true"}
    return others.get(name, str(file))


@pytest.mark.parametrize("name", ALL)
def test_it_is_refused(confined: SignerProcess, name: str, argument: str) -> None:
    """EACCES, or the mark that stands for death."""
    expected = errno.EACCES if name in DENIED else MARK
    assert expected == try_probe(confined, name, argument)


@pytest.mark.parametrize("name", ALL)
def test_without_the_sandbox_it_is_not(free: SignerProcess, name: str, argument: str) -> None:
    """The positive control: the same probe in the same program does what it says."""
    found = try_probe(free, name, argument)
    assert found == 0 if name in WORKING else found not in {0, MARK}


@pytest.mark.parametrize("name", KILLED)
def test_the_signer_dies_of_it(name: str, argument: str) -> None:
    """With nothing changed, the kernel ends the process (SIGSYS) before the call does anything."""
    with serving() as signer:
        with pytest.raises(grpc.RpcError):
            try_probe(signer, name, argument)
        assert SIGSYS_EXIT == signer.wait()


def test_without_the_sandbox_it_becomes_another_program() -> None:
    """The control for exec: the signer is gone, and what it became ended well."""
    with serving("--insecure-dev", **NO_SANDBOX) as signer:
        with pytest.raises(grpc.RpcError):
            try_probe(signer, "exec", "/bin/true")
        assert 0 == signer.wait()


@pytest.mark.parametrize("name", ["read", "write", "create", "append", "unlink", "list", "tcp"])
def test_landlock_alone_refuses_it(name: str, argument: str) -> None:
    """Were there a hole in the list of system calls, files and TCP would still be out of reach."""
    with serving("--insecure-dev", without=["seccomp"]) as signer:
        assert errno.EACCES == try_probe(signer, name, argument)


@pytest.mark.parametrize("name", ["write", "create", "append"])
def test_seccomp_alone_refuses_it(name: str, argument: str) -> None:
    """Were there a hole in Landlock, no file could be opened for writing all the same."""
    with serving("--insecure-dev", without=["landlock"]) as signer:
        assert errno.EACCES == try_probe(signer, name, argument)


def test_its_own_log_is_not_to_be_removed_or_cut(confined: SignerProcess) -> None:
    """The signer writes its audit log, but can neither unlink it nor open it a second time."""
    log = confined.audit_log
    size = log.stat().st_size
    for name in ("unlink", "write", "append", "read"):
        assert errno.EACCES == try_probe(confined, name, str(log))
    assert size == log.stat().st_size


def test_its_secrets_cannot_be_read_again(confined: SignerProcess) -> None:
    """The files that the secrets came from are closed to it."""
    for path in (confined.key_file, confined.password_file):
        assert errno.EACCES == try_probe(confined, "read", str(path))
