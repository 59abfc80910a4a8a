"""Directories by descriptor: the signer reaches its own, whoever it has become.

A path is walked with the rights of the moment. Somewhere above the state directory there may be one
that only root may enter, so each directory is opened while we still are who started us, and used as
/proc/self/fd/N from then on. Nobody can swap it for another one under that name either.
"""

import os
import stat
from pathlib import Path

from signer_daemon.sandbox.identity import Identity
from signer_daemon.sandbox.kernel import HardeningError

_names: dict[str, str] = {}  # what each descriptor stands for, for messages


def hold(directory: Path) -> Path:
    """Open `directory` for the life of the process; return the path by descriptor, or OSError."""
    return _held(os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), directory)


def told(message: str) -> str:
    """Return `message` with the names that people know the directories by."""
    for held, name in _names.items():
        message = message.replace(f"{held}/", f"{name}/")
    return message


def own_directory(path: Path, mode: int, owner: Identity, group: int | None = None) -> Path:
    """Create `path` with `mode` for `owner`, or check that no other may write to it; hold it.

    With `group`, that group is given the directory, and by its set-group-id bit all that is created
    in it. Root hands over what it owns. Raises HardeningError, OSError.
    """
    old = os.umask(0o777 & ~mode)
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    finally:
        os.umask(old)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if os.geteuid() == 0 and owner.uid != 0:
        _hand_over(fd, owner)
    if group is not None:
        _give_to_group(fd, path, group)
    found = os.fstat(fd)
    if found.st_uid != owner.uid:
        raise HardeningError(f"{path}: owned by uid {found.st_uid}, not by {owner.uid}")
    if found.st_mode & 0o777 & ~mode:
        raise HardeningError(f"{path}: mode is {found.st_mode & 0o777:o}, at most {mode:o} allowed")
    return _held(fd, path)


def _give_to_group(fd: int, path: Path, group: int) -> None:
    try:
        os.fchown(fd, -1, group)
        os.fchmod(fd, stat.S_IMODE(os.fstat(fd).st_mode) | stat.S_ISGID)
    except PermissionError:
        raise HardeningError(f"{path}: only a member can give it to group {group}") from None


def _hand_over(directory: int, owner: Identity) -> None:
    """Give a directory and its files, as far as they are root's, to `owner`."""
    if os.fstat(directory).st_uid == 0:
        os.fchown(directory, owner.uid, owner.gid)
    for name in os.listdir(directory):
        # Whoever owns the directory may have put a link here to a file of root's elsewhere.
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
        except OSError:
            continue  # a symbolic link or a stale socket
        try:
            found = os.fstat(fd)
            if stat.S_ISREG(found.st_mode) and found.st_uid == 0 and found.st_nlink == 1:
                os.fchown(fd, owner.uid, owner.gid)
        finally:
            os.close(fd)


def _held(fd: int, directory: Path) -> Path:
    held = f"/proc/self/fd/{fd}"
    _names[held] = str(directory)
    return Path(held)
