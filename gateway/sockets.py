"""The gateway's Unix socket: one instance, the right mode from the first moment, nothing stale.

The signer has a dozen lines like these of its own (signer_daemon/sockets.py), on purpose: whoever
audits it reads nothing that the gateway may change.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SOCKET_MODE: Final = 0o660
DIRECTORY_MODE: Final = 0o750
# sun_path holds 108 bytes with its final zero; beyond it grpc fails without saying why.
_PATH_BYTES_MAX: Final = 107


class SocketError(Exception):
    """The socket cannot be had. The message is safe to print."""


def claim(path: Path) -> int:
    """Makes the socket's directory and locks `path` against a second instance.

    Returns a descriptor to keep open. The kernel drops the lock however the process ends, so a
    socket left by `kill -9` can be removed by whoever holds the lock: nobody serves it. (grpc by
    itself would take over a socket that another process serves.) Raises SocketError.
    """
    if len(os.fsencode(path)) > _PATH_BYTES_MAX:
        raise SocketError(f"listen.unix: longer than {_PATH_BYTES_MAX} bytes")
    try:
        with _umask(DIRECTORY_MODE):
            path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        lock = os.open(path.with_name(path.name + ".lock"), flags, 0o600)
    except OSError as error:
        raise SocketError(f"listen.unix: {error.strerror}: {error.filename}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists() and not path.is_socket():
            raise SocketError(f"listen.unix: {path} is there and is not a socket")
        path.unlink(missing_ok=True)
    except BlockingIOError:
        os.close(lock)
        raise SocketError(f"listen.unix: another gateway holds {path}") from None
    except OSError as error:
        os.close(lock)
        raise SocketError(f"listen.unix: {error.strerror}: {path}") from error
    except SocketError:
        os.close(lock)
        raise
    return lock


@contextmanager
def socket_umask() -> Iterator[None]:
    """Creates sockets with `SOCKET_MODE` while it lasts; a chmod afterwards leaves a window."""
    with _umask(SOCKET_MODE):
        yield


@contextmanager
def _umask(mode: int) -> Iterator[None]:
    old = os.umask(0o777 & ~mode)
    try:
        yield
    finally:
        os.umask(old)
