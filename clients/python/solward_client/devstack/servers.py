"""Signer and gateway as child processes: their configuration files, environment and readiness."""

import importlib.util
import json
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from solward_client.channel import open_channel
from solward_client.devstack.errors import DevStackError, StartupError
from solward_client.devstack.process import Process, Program
from solward_client.devstack.state import write_once, write_private

# glibc overwrites what is freed. Read once, before main, so it has to be there before exec.
ALLOCATOR_RECIPE = {
    "PYTHONMALLOC": "malloc",
    "GLIBC_TUNABLES": "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0",
}
READY_TIMEOUT_S = 30
_MIGRATE_TIMEOUT_S = 60
# Whom a signer that root starts becomes: nobody else, not even PostgreSQL's `nobody`.
SIGNER_UID = 65533

Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SignerFiles:
    """Where a signer keeps things. `secrets` are files by configuration key, or in `variables`."""

    config: Path
    log: Path
    state_dir: Path
    socket_dir: Path
    admin_socket_dir: Path
    policy_file: Path
    secrets: Mapping[str, Path] = field(default_factory=dict)
    # Secrets that come by environment: given to the signer alone, never written to a file.
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Mapping[str, int] = field(default_factory=dict)
    # True: the signer starts without the measures that this kernel lacks. For development only.
    insecure_dev: bool = False


def let_signer_read(policy: Path) -> None:
    """Open a policy of root's to the signer's group: the signer reads it as SIGNER_UID."""
    for path, by_others, by_group in ((policy.parent, 0o001, 0o010), (policy, 0o004, 0o040)):
        mode = stat.S_IMODE(path.stat().st_mode)
        if not mode & by_others:
            os.chown(path, -1, SIGNER_UID)
            path.chmod(mode | by_group)


def begin_audit_log(state_dir: Path) -> None:
    """Make a signer's state directory with an empty audit log in it, unless the directory is there.

    The signer never begins a log by itself: one that vanished would be a reset of every limit.
    """
    if not state_dir.exists():
        state_dir.mkdir(mode=0o700, parents=True)
        write_once(state_dir / "audit.log", "")


class SignerServer:
    """A running signer."""

    def __init__(self, files: SignerFiles) -> None:
        """Write the configuration, start the signer, wait until both sockets serve.

        Raises StartupError, with the end of the log, if it does not come up.
        """
        self.files = files
        self.socket = files.socket_dir / "signer.sock"
        self.admin_socket = files.admin_socket_dir / "admin.sock"
        settings: dict[str, Any] = {
            "state_dir": str(files.state_dir),
            "socket_dir": str(files.socket_dir),
            "admin_socket_dir": str(files.admin_socket_dir),
            "policy_file": str(files.policy_file),
            "secrets": {key: str(path) for key, path in files.secrets.items()},
            "limits": dict(files.limits),
        }
        if os.geteuid() == 0:
            settings["user"] = SIGNER_UID
            let_signer_read(files.policy_file)
        write_private(files.config, to_toml(settings))
        begin_audit_log(files.state_dir)
        environment = {**base_environment(), **ALLOCATOR_RECIPE, **files.variables}
        flags = ["--insecure-dev"] if files.insecure_dev else []
        command = ["signer_daemon", *flags]
        self.process = _start("signer", command, files.config, files.log, environment)
        try:
            _wait_ready(self.process)
            for path in (self.socket, self.admin_socket):
                check_health(self.process, f"unix:{path}")
        except BaseException:
            self.process.kill()
            raise

    def stop(self) -> int:
        """Stop the signer in order; return its exit code."""
        return self.process.stop()


@dataclass(frozen=True, slots=True)
class GatewayFiles:
    """Where a gateway keeps things, and its settings by configuration section."""

    config: Path
    log: Path
    settings: Mapping[str, Settings] = field(repr=False)


class GatewayServer:
    """A running gateway, its database migrated first."""

    def __init__(self, files: GatewayFiles, *, migrate: bool = True) -> None:
        """Write the configuration, apply migrations, start the gateway, wait until it serves.

        Raises StartupError, with the end of the log, if it does not come up.
        """
        self.files = files
        write_private(files.config, to_toml(files.settings))
        if migrate:
            _migrate(files)
        self.process = _start("gateway", ["gateway"], files.config, files.log, base_environment())
        try:
            # Where it listens; a configured TCP port of 0 appears here as the port that it got.
            self.listening = _wait_ready(self.process)
            if unix := files.settings["listen"].get("unix"):
                check_health(self.process, f"unix:{unix}")
        except BaseException:
            self.process.kill()
            raise

    @property
    def target(self) -> str:
        """The gRPC target of the Unix socket."""
        return f"unix:{self.files.settings['listen']['unix']}"

    def stop(self) -> int:
        """Stop the gateway in order; return its exit code."""
        return self.process.stop()


def base_environment() -> dict[str, str]:
    """Return an environment built from nothing: what is in ours is nobody else's business.

    A variable that a child should have is added by name, so no secret is passed on by oversight.
    """
    return {
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONPATH": os.pathsep.join(_import_roots()),
        "PYTHONUNBUFFERED": "1",
    }


def check_health(process: Process, target: str, timeout_s: float = READY_TIMEOUT_S) -> None:
    """Ask a server's health service. Raises StartupError unless it says SERVING."""
    request = health_pb2.HealthCheckRequest()
    with open_channel(target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its stubs package omits the methods
        try:
            reply = stub.Check(request, timeout=timeout_s, wait_for_ready=True)
        except grpc.RpcError as error:
            raise StartupError(
                process.name, f"is not healthy: {error}", process.program.log
            ) from error
    if reply.status != health_pb2.HealthCheckResponse.SERVING:
        raise StartupError(process.name, "is not serving", process.program.log)


def to_toml(settings: Settings) -> str:
    """Write settings as TOML: strings, numbers, booleans, and tables one level down."""
    plain = {key: value for key, value in settings.items() if not isinstance(value, Mapping)}
    lines = [f"{key} = {_toml_value(value)}" for key, value in plain.items()]
    for name, table in settings.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{name}]"]
            lines += [f"{key} = {_toml_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    if not isinstance(value, str | int | bool):
        raise TypeError(f"no TOML for {type(value).__name__}")
    # A JSON string, number or boolean is a TOML one; DEL is the one character that TOML escapes.
    return json.dumps(value).replace("\x7f", "\\u007f")


def _start(
    name: str, module: Sequence[str], config: Path, log: Path, environment: dict[str, str]
) -> Process:
    command = [sys.executable, "-m", *module, "--config", str(config)]
    return Process(Program(name, command, log, environment, capture_stdout=True))


def _wait_ready(process: Process) -> dict[str, Any]:
    line = process.read_line(READY_TIMEOUT_S)
    try:
        ready = json.loads(line)
    except ValueError as error:
        raise StartupError(process.name, f"said {line!r}", process.program.log) from error
    if not isinstance(ready, dict) or ready.get("ready") is not True:
        raise StartupError(process.name, f"said {line!r}", process.program.log)
    return ready


def _migrate(files: GatewayFiles) -> None:
    command = [sys.executable, "-m", "gateway", "--config", str(files.config), "migrate"]
    process = Process(Program("migrate", command, files.log, base_environment()))
    try:
        process.wait_until(lambda: process.returncode is not None, _MIGRATE_TIMEOUT_S)
    except BaseException:
        process.kill()
        raise
    if process.returncode != 0:
        raise StartupError("migrate", f"ended with exit code {process.returncode}", files.log)


def _import_roots() -> list[str]:
    roots = []
    for package in ("gateway", "signer_daemon", "solward"):
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise DevStackError(f"package {package} is not installed: run `make install`")
        roots.append(str(Path(spec.origin).parent.parent))
    return list(dict.fromkeys(roots))
