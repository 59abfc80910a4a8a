"""What an intruder in the signer would try. Each raises OSError if the kernel refuses."""

import ctypes
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

# Numbers on x86-64 and on aarch64.
_SYSCALLS = {
    "bpf": (321, 280),
    "connect": (42, 203),
    "execveat": (322, 281),
    "init_module": (175, 105),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "listen": (50, 201),
    "memfd_create": (319, 279),
    "mount": (165, 40),
    "open_by_handle_at": (304, 265),
    "openat2": (437, 437),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "rt_sigqueueinfo": (129, 138),
    "seccomp": (317, 277),
    "setns": (308, 268),
    "setuid": (105, 146),
    "shmget": (29, 194),
    "tgkill_another": (234, 131),
    "tkill": (200, 130),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
_PTRACE_SEIZE = 0x4206
_PROT_EXEC_READ = 5
_MAP_PRIVATE_ANONYMOUS = 0x22
_PR_SET_DUMPABLE = 4
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = _libc.ptrace.restype = _libc.mmap.restype = ctypes.c_long


def _checked(result: int) -> None:
    if result == -1:
        raise OSError(ctypes.get_errno(), "refused")


def _connect(port: str) -> None:
    with socket.socket(socket.AF_INET) as client:
        client.connect(("127.0.0.1", int(port)))


def _open(flags: int) -> Callable[[str], None]:
    def probe(path: str) -> None:
        os.close(os.open(path, flags, 0o600))

    return probe


def _socket(family: int, kind: int = socket.SOCK_STREAM) -> Callable[[str], None]:
    def probe(_: str) -> None:
        socket.socket(family, kind).close()

    return probe


def _list(path: str) -> None:
    list(Path(path).iterdir())


def _fork(_: str) -> None:
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _spawn(program: str) -> None:
    os.waitpid(os.posix_spawn(program, [program], {}), 0)


def _exec(program: str) -> None:
    os.execv(program, [program])


def _kill(pid: str) -> None:
    os.kill(int(pid), signal.SIGWINCH)


def _ptrace(pid: str) -> None:
    _checked(_libc.ptrace(_PTRACE_SEIZE, int(pid), None, None))


def _peek(pid: str) -> None:
    Path(f"/proc/{pid}/mem").open("rb").close()


def _new_code(_: str) -> None:
    size = ctypes.c_size_t(4096)
    _checked(_libc.mmap(None, size, _PROT_EXEC_READ, _MAP_PRIVATE_ANONYMOUS, -1, 0))


def _dumpable(_: str) -> None:
    _checked(_libc.prctl(_PR_SET_DUMPABLE, *map(ctypes.c_ulong, (1, 0, 0, 0))))


def _raw(name: str) -> Callable[[str], None]:
    number = _SYSCALLS[name][os.uname().machine == "aarch64"]

    def probe(_: str) -> None:
        # No call takes -1 for anything: where it is let through, the kernel says what is wrong.
        _checked(_libc.syscall(number, *[ctypes.c_long(-1)] * 6))

    return probe


PROBES: dict[str, Callable[[str], None]] = {
    "read": _open(os.O_RDONLY),
    "write": _open(os.O_WRONLY),
    "create": _open(os.O_WRONLY | os.O_CREAT),
    "append": _open(os.O_RDWR | os.O_APPEND),
    "unlink": os.unlink,
    "list": _list,
    "inet": _socket(socket.AF_INET),
    "inet6": _socket(socket.AF_INET6),
    "unix": _socket(socket.AF_UNIX),
    "tcp": _connect,
    "netlink": _socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "fork": _fork,
    "spawn": _spawn,
    "exec": _exec,
    "kill": _kill,
    "ptrace": _ptrace,
    "peek": _peek,
    "new_code": _new_code,
    "dumpable": _dumpable,
    **{name: _raw(name) for name in _SYSCALLS},
}
