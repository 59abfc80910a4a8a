"""The launcher as a process, and its probes as calls."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from tests.signer.process import SignerProcess, signer_process

MARK = 1000  # an errno that no kernel has: only our filter can have answered it
SIGSYS_EXIT = -31
_TIMEOUT_S = 20


@contextmanager
def probed(*flags: str, **changes: object) -> Iterator[SignerProcess]:
    """A signer with probes in it, not yet started; `changes` as the launcher takes them."""
    with signer_process() as signer:
        signer.program = ("-m", "tests.sandbox.launcher", json.dumps(changes), *flags)
        yield signer


def try_probe(signer: SignerProcess, name: str, argument: str = "") -> int:
    """Have the signer try it; return the errno that it met, 0 if it was let. Raises RpcError."""
    found = _call(signer.socket, name, argument)
    assert isinstance(found, int)
    return found


def imports(signer: SignerProcess) -> list[str]:
    """Return the modules that the signer has looked for since it was sealed."""
    found = _call(signer.socket, "imports", "")
    assert isinstance(found, list)
    return found


def _call(path: Path, name: str, argument: str) -> object:
    with grpc.insecure_channel(f"unix:{path}", options=(("grpc.enable_retries", 0),)) as channel:
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/tests.Probe/Try")
        return json.loads(method(json.dumps([name, argument]).encode(), timeout=_TIMEOUT_S))


def waits_on(path: Path) -> bool:
    """Whether anybody accepts connections at a socket's path."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0
