"""What every command shares: options, where the servers are, passwords, sessions."""

import argparse
import base64
import binascii
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from solward.gateway.v1.master_wallet_service_pb2 import MasterWallet
from solward.gateway.v1.wallet_service_pb2 import Wallet
from solward_client.admin import Admin
from solward_client.channel import Tls
from solward_client.cli.inputs import UsageError, is_uuid, secret
from solward_client.cli.output import Output
from solward_client.client import Solward
from solward_client.errors import SolwardError
from solward_client.signing import Session

TARGET = "SOLWARD_TARGET"
SIGNER_KEY = "SOLWARD_SIGNER_KEY"
ADMIN_SOCKET = "SOLWARD_ADMIN_SOCKET"
SIGNER_SOCKET = "SOLWARD_SIGNER_SOCKET"


@dataclass(frozen=True, slots=True)
class Context:
    """One run of a command: its parsed options and where its result goes."""

    options: argparse.Namespace
    output: Output

    def client(self) -> Solward:
        """Connect to the gateway that --target or SOLWARD_TARGET names. Raises UsageError."""
        target = self._setting("target", TARGET, "which gateway")
        try:
            return Solward.connect(target, tls=self._tls(), signer_key=self._signer_key())
        except (ValueError, OSError) as error:
            raise UsageError(str(error)) from None

    def admin(self) -> Admin:
        """Connect to the signer's own sockets. Raises UsageError."""
        admin_socket = self._setting("admin_socket", ADMIN_SOCKET, "where admin.sock is")
        signer_socket = self._setting("signer_socket", SIGNER_SOCKET, "where signer.sock is")
        return Admin.connect(f"unix:{admin_socket}", f"unix:{signer_socket}")

    def password(self, *, confirm: bool = False) -> str:
        """Return the password, from --password-file or a prompt."""
        return secret(self.options.password_file, "Password", confirm=confirm)

    def wallet(self, solward: Solward, name: str) -> Wallet:
        """Return the wallet that an id or an address names."""
        if is_uuid(name):
            return solward.wallets.get(name)
        return solward.wallets.get_by_address(name)

    @contextmanager
    def session(
        self, solward: Solward, scope: MasterWallet | Sequence[Wallet]
    ) -> Iterator[Session]:
        """Use the session in --session, or open one by password for the length of the block."""
        if self.options.session is not None:
            yield solward.signing.resume(read_token(self.options.session))
            return
        with solward.signing.session(scope, self.password()) as session:
            yield session

    @contextmanager
    def request_id(self) -> Iterator[str]:
        """Give the block --request-id, or an id that is drawn here, and name it if the block fails.

        The answer to a call that created something may be lost; only its id finds the same again.
        """
        request_id = self.options.request_id or str(uuid4())
        try:
            yield request_id
        except (SolwardError, KeyboardInterrupt):
            self.output.repeat(request_id)
            raise

    def _setting(self, option: str, variable: str, what: str) -> str:
        value: str | None = getattr(self.options, option) or os.environ.get(variable)
        if not value:
            raise UsageError(f"{what}? Give --{option.replace('_', '-')} or set {variable}")
        return value

    def _tls(self) -> Tls | None:
        files = (self.options.tls_ca, self.options.tls_cert, self.options.tls_key)
        if not any(files):
            return None
        if not all(files):
            raise UsageError("--tls-ca, --tls-cert and --tls-key go together")
        return Tls(*map(Path, files))

    def _signer_key(self) -> bytes | None:
        text = self.options.signer_key or os.environ.get(SIGNER_KEY)
        if not text:
            return None
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise UsageError("the signer key is 64 hex characters (see `solward admin signer-key`)")
        return key


def read_token(path: str) -> bytes:
    """Return the token in a session file. Raises UsageError."""
    try:
        return base64.b64decode(Path(path).read_text(encoding="ascii").strip(), validate=True)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, binascii.Error):
        raise UsageError(f"{path}: not a session file") from None


def write_private(path: str, text: str) -> None:
    """Write a secret to a new file that only its owner can read. Raises UsageError if it exists."""
    with private_file(path) as file:
        file.write(text.encode())


@contextmanager
def private_file(path: str) -> Iterator[BinaryIO]:
    """Make a new file that only its owner can read; none is left if the block fails.

    Raises UsageError if it exists.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise
