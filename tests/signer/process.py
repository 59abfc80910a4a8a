"""The real signer process, as the tests start, watch and end it."""

import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from solward_client.devstack.servers import (
    ALLOCATOR_RECIPE,
    SIGNER_UID,
    base_environment,
    begin_audit_log,
    let_signer_read,
    to_toml,
)
from solward_client.devstack.stack import POLICY as DEVELOPMENT_POLICY

WITHOUT_MEMFD_SECRET = (str(Path(__file__).with_name("without_memfd_secret.py")), sys.executable)
KEEP_EVERYTHING = (str(Path(__file__).with_name("keep_everything.py")),)
START_S = 20

# Wide enough for what the tests of other rules do; the default rate is what `rate` is about.
POLICY = """version = 7
[[group]]
name = "desk"
master_fingerprints = ["*"]
index_last = 9999
signatures_per_minute = {rate}
programs = ["system", "compute-budget", "memo"]
lamports_per_transaction_max = 5_000_000
destinations = "vault"
message_signing = "raw"

[[group]]
name = "guests"
master_fingerprints = ["imported"]
signatures_per_minute = {rate}
programs = ["system"]
lamports_per_transaction_max = 5_000_000
destinations = "any"
message_signing = "off-chain"
"""


class StartRefused(Exception):
    """The signer ended instead of serving. Holds its exit code and all it wrote."""

    def __init__(self, code: int, output: str, errors: str) -> None:
        super().__init__(f"exit code {code}: {errors or output}")
        self.code = code
        self.output = output
        self.errors = errors


class SignerProcess:
    """A signer in a home directory of its own, a short path of mode 0700: sockets lie below it. May
    be started again when it has ended.
    """

    def __init__(
        self,
        home: Path,
        *,
        encryption_key: bytes | None = None,
        master_password: str | None = None,
        policy: str | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        """Write configuration, policy and secrets. `policy` is TOML, by default development's; the
        secrets are its own unless they are given.
        """
        self.home = home
        self.encryption_key = os.urandom(32) if encryption_key is None else encryption_key
        self.master_password = os.urandom(24).hex() if master_password is None else master_password
        self.state = home / "state"
        self.socket = home / "s" / "signer.sock"
        self.admin_socket = home / "a" / "admin.sock"
        self.audit_log = self.state / "audit.log"
        self.policy = home / "p" / "policy.toml"
        self.policy.parent.mkdir()
        self.policy.write_text(DEVELOPMENT_POLICY.read_text() if policy is None else policy)
        self.key_file, self.password_file = home / "key", home / "password"
        self.config = home / "signer.toml"
        self.environment: dict[str, str] = dict(ALLOCATOR_RECIPE)
        for path, secret in (
            (self.key_file, self.encryption_key),
            (self.password_file, self.master_password.encode()),
        ):
            path.touch(0o600)
            path.write_bytes(secret)
        self.configure(limits=limits)
        self.launcher: Sequence[str] = ()
        self.program: Sequence[str] = ("-m", "signer_daemon")
        self._child: subprocess.Popen[bytes] | None = None
        self._output = b""

    def configure(
        self,
        *,
        limits: Mapping[str, int] | None = None,
        secrets: Mapping[str, object] | None = None,
        exports: bool = False,
        **top: object,
    ) -> None:
        """Write the configuration, with changes: a value of None leaves its key out."""
        keys: dict[str, object] = {
            "state_dir": self.state,
            "socket_dir": self.socket.parent,
            "admin_socket_dir": self.admin_socket.parent,
            "policy_file": self.policy,
            "user": SIGNER_UID if os.geteuid() == 0 else None,
            **top,
        }
        files: dict[str, object] = {
            "encryption_key_file": self.key_file,
            "master_password_file": self.password_file,
            **(secrets or {}),
        }
        tables = {"secrets": _given(files), "limits": limits or {}}
        if exports:
            tables["export"] = dict.fromkeys(("mnemonics", "private_keys", "vault"), True)
        self.config.write_text(to_toml({**_given(keys), **tables}))

    def start(self, *, user: int | None = None) -> "SignerProcess":
        """Start and wait until it serves. Raises StartRefused if it ends instead."""
        environment = {**base_environment(), **self.environment}
        if os.geteuid() == 0 and self.policy.exists():
            let_signer_read(self.policy)
        if not self.state.exists():
            begin_audit_log(self.state)
            owner = self.home.stat()
            for path in (self.state, self.audit_log):
                os.chown(path, owner.st_uid, owner.st_gid)
        command = [sys.executable, *self.launcher, *self.program, "--config", str(self.config)]
        with (self.home / "errors").open("ab") as errors:
            self._child = subprocess.Popen(
                command,
                cwd=self.home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                user=user,
                group=user,
                extra_groups=[] if user is not None else None,
            )
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        self._output += line
        if not line or json.loads(line)["ready"] is not True:
            code = self.wait()
            raise StartRefused(code, self.output, self.errors)
        return self

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The process of the last start, its return code up to date."""
        assert self._child is not None, "the signer has not been started"
        self._child.poll()
        return self._child

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def output(self) -> str:
        """All that it has written to its standard output, of all its starts."""
        return self._output.decode()

    @property
    def errors(self) -> str:
        """All that it has written to its standard error, of all its starts."""
        return (self.home / "errors").read_text()

    def status(self, field: str) -> int:
        """A number of /proc/PID/status, such as VmHWM in KiB."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))

    def cpu_seconds(self) -> float:
        """CPU time it has used, user and system, of all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def limit_files_to(self, size: int) -> None:
        """Let no file of it grow beyond `size` bytes: what a full disk does; -1 lifts it."""
        limit = (size, resource.RLIM_INFINITY)
        _as_owner_of(self.socket, lambda: resource.prlimit(self.pid, resource.RLIMIT_FSIZE, limit))

    def kill(self) -> None:
        """End it without a warning."""
        if self._child is not None:
            self._child.kill()
            self.wait()

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """Ask it to end and return its exit code; 0 if it never ran."""
        if self._child is None:
            return 0
        self.terminate()
        return self.wait()

    def wait(self) -> int:
        """Wait for its end, and return its exit code."""
        child = self.process
        assert child.stdout is not None
        if not child.stdout.closed:
            with child:
                self._output += child.stdout.read()
        return child.wait()

    def close(self) -> None:
        """Leave no process, whatever the test did."""
        self.kill()


@contextlib.contextmanager
def signer_home() -> Iterator[Path]:
    """A directory with a name short enough for a socket's path."""
    home = Path(tempfile.mkdtemp(prefix="signer-"))
    try:
        yield home
    finally:
        shutil.rmtree(home)


@contextlib.contextmanager
def signer_process(
    *,
    encryption_key: bytes | None = None,
    master_password: str | None = None,
    rate: int = 1_000_000,
) -> Iterator[SignerProcess]:
    """A signer, not yet started; killed at the end. `rate` is signatures a minute and wallet."""
    with signer_home() as home:
        signer = SignerProcess(
            home,
            encryption_key=encryption_key,
            master_password=master_password,
            policy=POLICY.format(rate=rate),
        )
        try:
            yield signer
        finally:
            signer.kill()


def _as_owner_of(path: Path, action: Callable[[], object]) -> None:
    """Do something as the user that a file belongs to: even root may not set another user's limits
    where it has no CAP_SYS_RESOURCE. To the kernel the user is a matter of each thread.
    """
    numbers = {"x86_64": (119, 117), "aarch64": (149, 147)}[os.uname().machine]
    owner = path.stat()

    def become_and_do() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        for number, who in zip(numbers, (owner.st_gid, owner.st_uid), strict=True):
            if libc.syscall(number, who, who, who):
                raise OSError(ctypes.get_errno(), "setresuid")
        action()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(become_and_do).result()


def _given(values: Mapping[str, object]) -> dict[str, object]:
    """What has a value, paths as text."""
    return {
        key: str(value) if isinstance(value, Path) else value
        for key, value in values.items()
        if value is not None
    }
