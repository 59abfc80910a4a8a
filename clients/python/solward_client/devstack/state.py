"""A stack's state directory: where each thing lies, who may read it, and that one stack uses it.

STATE/                0700
  lock                held while a stack runs
  secrets/            encryption_key, master_password (0600), made on the first run
  config/             signer.toml, gateway.toml (0600, written at every start), policy.toml
  postgres/           the database
  signer/             the audit log
  logs/
  run/                sockets; elsewhere if STATE is too long a path for a socket
"""

import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Container
from pathlib import Path

from solward_client.devstack.errors import DevStackError, StateInUseError

ENCRYPTION_KEY = "ENCRYPTION_KEY"
MASTER_PASSWORD = "MASTER_PASSWORD"  # noqa: S105  the variable's name, not its value

# sun_path holds 108 bytes with its final zero; the longest name below a run directory is gateway's.
_SOCKET_PATH_BYTES_MAX = 107
_LONGEST_SOCKET = "gateway/gateway.sock.lock"


class StateDir:
    """A state directory, locked. Close it to let another stack have it."""

    def __init__(self, root: Path) -> None:
        """Create what is missing and take the lock.

        Raises StateInUseError if a stack runs here, DevStackError if others could write here.
        """
        self.root = root.absolute()
        _own(self.root)
        self._lock = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StateInUseError(f"another stack is running in {self.root}") from None
        self.run = self._run_directory()
        for name in ("secrets", "config", "logs"):
            _own(self.root / name)

    def close(self) -> None:
        """Remove the run directory and release the lock."""
        shutil.rmtree(self.run, ignore_errors=True)
        os.close(self._lock)

    def log(self, name: str) -> Path:
        """Return where a program's log goes."""
        return self.root / "logs" / f"{name}.log"

    def config(self, name: str) -> Path:
        """Return where a configuration file goes."""
        return self.root / "config" / name

    def secret_files(self, omit: Container[str] = ()) -> dict[str, Path]:
        """Return the secrets' files by the signer's configuration key, without those in `omit`.

        Makes those that are not there yet; what is there is never overwritten.
        """
        directory = self.root / "secrets"
        fresh = {ENCRYPTION_KEY: secrets.token_hex(32), MASTER_PASSWORD: secrets.token_urlsafe(36)}
        files = {}
        for name, secret in fresh.items():
            if name not in omit:
                path = directory / name.lower()
                write_once(path, secret)
                files[f"{name.lower()}_file"] = path
        return files

    def _run_directory(self) -> Path:
        run = self.root / "run"
        if len(os.fsencode(run / _LONGEST_SOCKET)) > _SOCKET_PATH_BYTES_MAX:
            digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
            run = Path(tempfile.gettempdir()) / f"solward-{os.geteuid()}-{digest}"
        # We hold the lock, so whatever a killed stack left in it serves nobody.
        if run.exists():
            shutil.rmtree(run)
        _own(run)
        return run


def write_once(path: Path, text: str) -> None:
    """Write a new file of mode 0600; leave one that exists alone."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 anew."""
    path.unlink(missing_ok=True)
    write_once(path, text)


def _own(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise DevStackError(f"{path}: must be a directory of your own")
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise DevStackError(f"{path}: others may write to it (mode {found.st_mode & 0o777:o})")
    path.chmod(0o700)
