"""What the process gives up before it serves, in order; then whether the kernel agrees.

Any step that fails stops the start. With `--insecure-dev` it is printed and audited instead, and
GetStatus says so for as long as the signer runs.
"""

import ctypes
import logging
import os
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc

from signer_daemon.config import Config
from signer_daemon.sandbox import identity, landlock, seccomp
from signer_daemon.sandbox.kernel import HardeningError, prctl

_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
_PR_GET_KEEPCAPS = 7
_PR_SET_NO_NEW_PRIVS = 38
_STATUS_BYTES_MAX = 1 << 16
# Code may still be read: a module that Python has not needed yet, a library that it brings.
_LIBRARIES = (
    Path(os.__file__).parent,
    Path(grpc.__file__).parents[1],
    Path(__file__).parent,
    *map(Path, ("/usr/lib", "/usr/lib64", "/lib", "/lib64")),
)
log = logging.getLogger("solward.signer")


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure, as the kernel reports it."""

    name: str
    in_force: bool
    detail: str


class Hardening:
    """The steps, each called once and in this order: begin, become, confine, seal."""

    def __init__(self, *, insecure_dev: bool) -> None:
        """With `insecure_dev`, a step that fails is noted in `missing` and the start goes on."""
        self.insecure_dev = insecure_dev
        self.missing: list[str] = []
        if insecure_dev:
            log.warning("INSECURE: started with --insecure-dev, for development only")
        # Kept open: after `confine` no file of /proc can be opened.
        self._status_fd = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close what `measures` reads."""
        os.close(self._status_fd)

    def begin(self) -> None:
        """No core dump, no ptrace or /proc/PID/mem by our own uid, no privileges gained by exec."""
        os.umask(0o077)
        with self._step("no_core_dumps"):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with self._step("not_dumpable"):
            prctl(_PR_SET_DUMPABLE, 0)
        with self._step("no_new_privs"):
            prctl(_PR_SET_NO_NEW_PRIVS, 1)
        with suppress(OSError):
            # glibc loads it when a thread is ended from outside, and aborts if it cannot by then.
            ctypes.CDLL("libgcc_s.so.1")

    def become(self, who: identity.Identity) -> None:
        """Change to an unprivileged uid and drop all capabilities."""
        with self._step("own_uid"):
            identity.become(who)
            prctl(_PR_SET_DUMPABLE, 0)  # a change of uid may have set it again

    def confine(self, config: Config) -> None:
        """Leave the sockets' directories, the policy and libraries. Before any thread starts.

        No file can be opened for writing any more: the log has those open that it writes.
        """
        policies = [file.parent for file in (config.policy_file, config.shadow_policy_file) if file]
        rules = [
            *((path, landlock.SOCKETS) for path in (config.socket_dir, config.admin_socket_dir)),
            *((path, landlock.READ_FILE) for path in policies),
            *((path, landlock.READ) for path in _reachable(_LIBRARIES)),
            (Path("/dev/urandom"), landlock.READ_FILE),  # gRPC aborts without it
        ]
        with self._step("landlock"):
            landlock.restrict(rules)

    def seal(self) -> None:
        """Leave only the system calls of a signer that serves, in all threads; then check all."""
        with self._step("seccomp"):
            seccomp.restrict()
        for measure in self.measures():
            if not measure.in_force:
                with self._step(measure.name):
                    raise HardeningError(f"the kernel says {measure.detail}")

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        try:
            yield
        except (OSError, HardeningError) as error:
            if not self.insecure_dev:
                raise HardeningError(f"{name} cannot be put in force: {error}") from error
            log.warning("INSECURE: %s is not in force: %s", name, error)
            self.missing = list(dict.fromkeys([*self.missing, name]))

    def measures(self) -> list[Measure]:
        """Ask the kernel, not our memory of what was asked of it."""
        status = self._status()
        # Groups are dropped when root starts us; another user's stay, but may not be root's.
        who = {name: status[name].split() for name in ("Uid", "Gid", "Groups")}
        is_root = any("0" in ids for ids in who.values())
        own = ", ".join(
            f"{name} {' '.join(dict.fromkeys(ids))}" for name, ids in who.items() if ids
        )
        held = {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")}
        core = resource.getrlimit(resource.RLIMIT_CORE)
        dumpable = prctl(_PR_GET_DUMPABLE)
        return [
            Measure("own_uid", not is_root, own),
            Measure("no_capabilities", {0} == {int(bits, 16) for bits in held}, _caps(status)),
            Measure("not_dumpable", dumpable == 0, f"PR_GET_DUMPABLE is {dumpable}"),
            Measure("no_core_dumps", core == (0, 0), f"RLIMIT_CORE is {core[0]}, {core[1]}"),
            Measure(
                "no_new_privs", status["NoNewPrivs"] == "1", f"NoNewPrivs {status['NoNewPrivs']}"
            ),
            Measure("private_umask", status["Umask"] == "0077", f"Umask {status['Umask']}"),
            _tried("landlock", "listing /", _list_root),
            # Every container has some filter: ours is known by what no other refuses.
            _tried("seccomp", f"mode {status['Seccomp']}, PR_GET_KEEPCAPS", _ask_keepcaps),
        ]

    def resident_bytes(self) -> int:
        """Return the process's resident memory."""
        return int(self._status()["VmRSS"].split()[0]) * 1024

    def _status(self) -> dict[str, str]:
        text = os.pread(self._status_fd, _STATUS_BYTES_MAX, 0).decode()
        pairs = (line.partition(":") for line in text.splitlines())
        return {key: value.strip() for key, _, value in pairs}


def _caps(status: dict[str, str]) -> str:
    return f"effective {status['CapEff']}, bounding {status['CapBnd']}"


def _tried(name: str, what: str, attempt: Callable[[], object]) -> Measure:
    """Try what is harmless and allowed to everybody, unless the measure is in the way."""
    try:
        attempt()
    except PermissionError:
        return Measure(name, in_force=True, detail=f"{what} is refused")
    return Measure(name, in_force=False, detail=f"{what} is allowed")


def _list_root() -> None:
    os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def _ask_keepcaps() -> None:
    prctl(_PR_GET_KEEPCAPS)


def _reachable(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        # What is not there, or closed to who we are, needs no permission.
        with suppress(OSError):
            path.stat()
            yield path
