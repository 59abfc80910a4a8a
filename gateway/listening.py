"""Where the gateway listens: a Unix socket, TCP with mutual TLS, or both."""

from dataclasses import dataclass
from pathlib import Path

import grpc

from gateway import sockets
from gateway.config import Listen, TlsFiles


class StartError(Exception):
    """The gateway cannot listen. The message is safe to print."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the gateway listens; "" where it does not."""

    tcp: str
    unix: str
    metrics: str = ""


def bind(server: grpc.aio.Server, listen: Listen) -> Bound:
    """Binds the addresses; the caller holds the Unix socket's lock. Raises StartError."""
    tcp = ""
    try:
        if listen.unix is not None:
            with sockets.socket_umask():
                server.add_insecure_port(f"unix:{listen.unix}")
        if listen.tcp:
            port = (
                server.add_insecure_port(listen.tcp)
                if listen.tls is None
                else server.add_secure_port(listen.tcp, _credentials(listen.tls))
            )
            tcp = f"{listen.tcp.rpartition(':')[0]}:{port}"
    except RuntimeError as error:
        what = listen.tcp if listen.unix is None or listen.unix.is_socket() else listen.unix
        raise StartError(f"listen: {what} cannot be bound") from error
    return Bound(tcp=tcp, unix="" if listen.unix is None else str(listen.unix))


def _credentials(tls: TlsFiles) -> grpc.ServerCredentials:
    try:
        pair = (tls.key.read_bytes(), tls.cert.read_bytes())
        return grpc.ssl_server_credentials(
            [pair], root_certificates=tls.client_ca.read_bytes(), require_client_auth=True
        )
    except OSError as error:
        raise StartError(f"listen: {error.strerror}: {error.filename}") from error


def claim(path: Path) -> int:
    """Locks a Unix socket against a second gateway; returns the lock. Raises StartError."""
    try:
        return sockets.claim(path)
    except sockets.SocketError as error:
        raise StartError(str(error)) from error
