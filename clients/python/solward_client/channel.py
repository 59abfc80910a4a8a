"""Where a server is and how to reach it: a Unix socket, or TCP with mutual TLS."""

from dataclasses import dataclass
from pathlib import Path

import grpc

_OPTIONS = (
    # A Unix socket has no host name; without this gRPC sends the escaped path as :authority.
    ("grpc.default_authority", "localhost"),
    # Retries are decided per call (see calls.py), not by the transport.
    ("grpc.enable_retries", 0),
)


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of mutual TLS: the server's authority, our certificate and its key."""

    ca_file: Path
    certificate_file: Path
    key_file: Path


def is_unix(target: str) -> bool:
    """Return whether a target names a Unix socket ("unix:/path")."""
    return target.startswith("unix:")


def open_channel(target: str, tls: Tls | None = None) -> grpc.Channel:
    """Open a channel to "unix:/path/to.sock", or to "host:port" with `tls`.

    Connects lazily. Raises ValueError for TCP without TLS, which would show a session's token to
    the network, and OSError where a PEM file cannot be read.
    """
    if is_unix(target):
        return grpc.insecure_channel(target, options=_OPTIONS)
    if tls is None:
        raise ValueError(f"{target}: TCP needs TLS (a CA, a certificate and a key)")
    credentials = grpc.ssl_channel_credentials(
        root_certificates=tls.ca_file.read_bytes(),
        private_key=tls.key_file.read_bytes(),
        certificate_chain=tls.certificate_file.read_bytes(),
    )
    return grpc.secure_channel(target, credentials)
