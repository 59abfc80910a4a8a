"""Sockets and lock files: who may connect, and that there is only one of us.

grpc's local credentials do not check the peer's uid (grpc/grpc#28755) and Python has no way to ask,
so the file system decides: one socket for each role, in a directory of its own, created under a
umask (a chmod after bind would leave a window). The gateway does it in lines of its own: nothing
that it shares with us could change without an audit.
"""

import fcntl
import os
import stat
from pathlib import Path

import grpc


class SocketError(Exception):
    """A socket or lock cannot be had; the message is safe to print."""


def claim(path: Path) -> int:
    """Lock `path` against a second instance for the life of the process; return the descriptor.

    grpc would silently take over a socket that another process serves, so the lock comes first. The
    kernel drops it however we die: nothing stale can stop the next start.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise SocketError(f"{path}: another signer holds it") from None
    return fd


def bind(server: grpc.Server, path: Path, mode: int) -> None:
    """Bind `server` to a fresh socket at `path` with exactly `mode`. The caller holds its lock."""
    path.unlink(missing_ok=True)
    old = os.umask(0o777 & ~mode)
    try:
        server.add_insecure_port(f"unix:{path}")
    except RuntimeError as error:
        raise SocketError(f"{path}: cannot be bound") from error
    finally:
        os.umask(old)
    found = path.stat()
    if not stat.S_ISSOCK(found.st_mode) or stat.S_IMODE(found.st_mode) != mode:
        raise SocketError(f"{path}: is not a socket of mode {mode:o}")
