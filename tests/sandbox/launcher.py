"""Runs the real signer with probes in it, and with the failures that a test asks for.

    python -m tests.sandbox.launcher CHANGES --config FILE [--insecure-dev]

CHANGES is JSON, all of it optional:
{"uid": whom to become before the signer starts, "groups": [with which further groups],
"without": [steps that do nothing], "failing": [steps that the kernel refuses],
"errno": what seccomp answers instead of killing}
Everything else is `python -m signer_daemon`: the same start, the same process.
"""

import errno
import json
import os
import resource
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
from grpc_health.v1 import health

from signer_daemon import __main__ as program
from signer_daemon import server
from signer_daemon.hardening import Hardening
from signer_daemon.sandbox import identity, landlock, seccomp
from tests.sandbox.probes import PROBES

# What a test can take out, and where it is.
STEPS: dict[str, tuple[object, str]] = {
    "limits": (resource, "setrlimit"),
    "become": (identity, "become"),
    "landlock": (landlock, "restrict"),
    "seccomp": (seccomp, "restrict"),
}
_imported_since: list[str] = []


def _answer(request: bytes, _: grpc.ServicerContext) -> bytes:
    name, argument = json.loads(request)
    if name == "imports":
        return json.dumps(_imported_since).encode()
    try:
        PROBES[name](argument)
    except OSError as error:
        return json.dumps(error.errno).encode()
    return b"0"


class ProbedSigner(server.Signer):
    """The signer, and one RPC more on both of its sockets."""

    def _server(self, workers: int) -> tuple[grpc.Server, health.HealthServicer]:
        serving, status = super()._server(workers)
        probe: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_answer)
        serving.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("tests.Probe", {"Try": probe}),)
        )
        return serving, status


def _refused(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _nothing(*_: Any, **__: Any) -> None:
    pass


def _watch_imports() -> None:
    seal: Callable[[Hardening], None] = Hardening.seal

    def sealed(self: Hardening) -> None:
        seal(self)
        _imported_since.clear()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "import":
            _imported_since.append(str(arguments[0]))

    STEPS["seal"] = (Hardening, "seal")
    setattr(*STEPS["seal"], sealed)
    sys.addaudithook(hook)


def main() -> int:
    """Make the changes and become the signer."""
    changes = json.loads(sys.argv.pop(1))
    for name in changes.get("failing", []):
        setattr(*STEPS[name], _refused)
    for name in changes.get("without", []):
        setattr(*STEPS[name], _nothing)
    if "errno" in changes:
        answer = 0x00050000 | changes["errno"]
        seccomp.restrict = partial(seccomp.restrict, answer)
    if "uid" in changes:
        # The interpreter may lie where only root gets: what the start imports has to be here.
        server._release()
        os.setgroups(changes.get("groups", []))
        os.setresgid(*[changes["uid"]] * 3)
        os.setresuid(*[changes["uid"]] * 3)
    vars(program)["Signer"] = ProbedSigner
    _watch_imports()
    return program.main()


if __name__ == "__main__":
    sys.exit(main())
