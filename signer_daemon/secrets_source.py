"""Where ENCRYPTION_KEY and MASTER_PASSWORD come from, and how they leave no copy behind.

Each has exactly one source: a file named in the configuration, a systemd credential
($CREDENTIALS_DIRECTORY/NAME), a file named by NAME_FILE, or NAME in the environment. Two sources
are refused: guessing which one the operator meant could seal records under the wrong key.
"""

import binascii
import ctypes
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from signer_daemon.config import ConfigError, SecretFiles
from signer_daemon.vault.keyring import Secrets
from signer_daemon.vault.memory import Page, PagePool
from signer_daemon.vault.primitives import wipe

ENCRYPTION_KEY = "ENCRYPTION_KEY"
MASTER_PASSWORD = "MASTER_PASSWORD"  # noqa: S105 - the variable's name, not its value
_SECRET_BYTES_MAX = 1024

_libc = ctypes.CDLL(None)
_libc.getenv.restype = ctypes.c_void_p
_libc.getenv.argtypes = [ctypes.c_char_p]


@contextmanager
def open_secrets(
    files: SecretFiles, environ: "os._Environ[str]", pool: PagePool
) -> Iterator[tuple[Secrets, Secrets | None]]:
    """Yield (current, previous) pairs of views on locked pages, wiped on the way out.

    `previous` is None unless the configuration names both of its files. Raises ConfigError.
    """
    with ExitStack() as stack:

        def read(name: str, file: Path | None) -> memoryview:
            return _read(name, file, environ, stack.enter_context(pool.page()))

        current = (
            _key(read(ENCRYPTION_KEY, files.encryption_key_file)),
            read(MASTER_PASSWORD, files.master_password_file),
        )
        old_key, old_password = (
            files.previous_encryption_key_file,
            files.previous_master_password_file,
        )
        if (old_key is None) != (old_password is None):
            raise ConfigError("secrets.previous_*: give both files or neither")
        previous = None
        if old_key is not None and old_password is not None:
            key_page, password_page = (stack.enter_context(pool.page()) for _ in range(2))
            previous = (
                _key(_from_file(old_key, key_page)),
                _from_file(old_password, password_page),
            )
        yield current, previous


def _read(name: str, file: Path | None, environ: "os._Environ[str]", page: Page) -> memoryview:
    sources: list[Path | None] = [] if file is None else [file]
    if directory := environ.get("CREDENTIALS_DIRECTORY"):
        credential = Path(directory) / name
        sources += [credential] if credential.exists() else []
    if named := environ.get(f"{name}_FILE"):
        sources.append(Path(named))
    if name.encode() in os.environb:  # not `environ`: to look there makes a copy of the value
        sources.append(None)
    if len(sources) != 1:
        found = "no source" if not sources else "more than one source"
        raise ConfigError(f"{name}: {found}; give one file, systemd credential or variable")
    source = sources[0]
    return _from_environment(name, environ, page) if source is None else _from_file(source, page)


def _from_file(path: Path, page: Page) -> memoryview:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) & 0o037:
            raise ConfigError(f"{path}: must be a file that others can neither read nor write")
        room = page.take(_SECRET_BYTES_MAX + 2)
        size = os.readv(fd, [room])  # straight into the page: `read` would return a copy
    finally:
        os.close(fd)
    return _trimmed(room[:size], path.name)


def _from_environment(name: str, environ: "os._Environ[str]", page: Page) -> memoryview:
    address = _libc.getenv(name.encode())
    size = len(os.environb[name.encode()])
    room = page.take(_SECRET_BYTES_MAX + 2)
    if size <= len(room) and address:
        ctypes.memmove((ctypes.c_char * len(room)).from_buffer(room), address, size)
    # The C environment (what /proc/PID/environ shows), then Python's own copy of it.
    if address:
        ctypes.memset(address, 0, size)
    wipe(os.environb[name.encode()])
    del environ[name]
    if size > len(room) or not address:
        raise ConfigError(f"{name}: longer than {_SECRET_BYTES_MAX} bytes")
    return _trimmed(room[:size], name)


def _trimmed(secret: memoryview, name: str) -> memoryview:
    """Cut one line end, unless the secret is a raw key of 32 bytes that happens to end so."""
    if len(secret) > 32 and secret[len(secret) - 1] == 0x0A:
        secret = secret[:-1]
        if secret and secret[len(secret) - 1] == 0x0D:
            secret = secret[:-1]
    if not 0 < len(secret) <= _SECRET_BYTES_MAX:
        raise ConfigError(f"{name}: must hold 1 to {_SECRET_BYTES_MAX} bytes")
    return secret


def _key(text: memoryview) -> memoryview:
    """Return ENCRYPTION_KEY's 32 bytes; 64 hex characters are decoded in place."""
    if len(text) == 32:
        return text
    if len(text) != 64:
        raise ConfigError(f"{ENCRYPTION_KEY}: must be 32 bytes, or 64 hex characters")
    try:
        raw = binascii.a2b_hex(text)
    except binascii.Error:
        raise ConfigError(f"{ENCRYPTION_KEY}: must be 32 bytes, or 64 hex characters") from None
    text[:32] = raw
    wipe(raw)
    wipe(text[32:])
    return text[:32]
