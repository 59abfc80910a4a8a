"""Four processes as one: PostgreSQL, chain, signer, gateway; stopped in reverse order."""

import os
import selectors
import shutil
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from solward_client.devstack.errors import StartupError
from solward_client.devstack.node import REPOSITORY
from solward_client.devstack.postgres import EmbeddedPostgres, PostgresPaths
from solward_client.devstack.process import Process
from solward_client.devstack.servers import (
    GatewayFiles,
    GatewayServer,
    SignerFiles,
    SignerServer,
)
from solward_client.devstack.state import ENCRYPTION_KEY, MASTER_PASSWORD, StateDir
from solward_client.devstack.surfpool import ChainOptions, Surfpool

DATABASE_URL = "DATABASE_URL"
SOLANA_RPC_URL = "SOLANA_RPC_URL"
POLICY = REPOSITORY / "deploy" / "policy.dev.toml"


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What may be chosen about a stack. `environment` is read for the four variables only."""

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    # Copied to the state directory on its first use; None: deploy/policy.dev.toml.
    policy: Path | None = None
    # "127.0.0.1:PORT" to listen on loopback TCP as well, in plain text; port 0 is any free one.
    tcp: str | None = None
    chain: ChainOptions = field(default_factory=ChainOptions)
    # False: the database may lose its data in a power cut. For tests.
    durable: bool = True
    signer_limits: Mapping[str, int] = field(default_factory=dict)
    # True: the signer starts on a kernel that lacks Landlock or seccomp, without them.
    insecure_dev: bool = False
    # "": the gateway's own default, the newest format that the chain runs.
    transaction_version: str = ""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where to reach a running stack. URLs that came from the environment are not repeated here."""

    gateway: str
    gateway_tcp: str | None
    signer_socket: Path
    admin_socket: Path
    database_url: str | None
    solana_rpc_url: str | None
    solana_websocket_url: str | None
    audit_log: Path


class DevStack:
    """A stack in a state directory. Enter it to start, leave it to stop; it restarts where it was.

    Start it from a thread that outlives it: the kernel ends the processes with that thread.
    """

    def __init__(self, state_dir: Path, options: StackOptions | None = None) -> None:
        """Choose a directory. Nothing is created before the stack starts."""
        self._state_dir = state_dir
        self._options = options or StackOptions()
        self._exit = ExitStack()
        self.processes: list[Process] = []
        self.endpoints: Endpoints
        self.chain: Surfpool | None = None

    def __enter__(self) -> Self:
        """Start everything. Raises DevStackError; what had started by then is stopped again."""
        try:
            self._start()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Stop everything, the last first."""
        self._exit.close()

    def wait(self) -> None:
        """Block until a process of the stack ends by itself; raise StartupError that names it."""
        with ExitStack() as stack, selectors.DefaultSelector() as selector:
            for process in self.processes:
                descriptor = os.pidfd_open(process.pid)
                stack.callback(os.close, descriptor)
                selector.register(descriptor, selectors.EVENT_READ, process)
            for key, _ in selector.select():
                ended: Process = key.data
                why = f"ended with exit code {ended.returncode}"
                raise StartupError(ended.name, why, ended.program.log)

    def _start(self) -> None:
        environment = self._options.environment
        state = self._exit.enter_context(closing(StateDir(self._state_dir)))
        given_database = environment.get(DATABASE_URL)
        given_chain = environment.get(SOLANA_RPC_URL)
        database_url = given_database or self._start_postgres(state)
        rpc_url = given_chain or self._start_chain(state)
        signer = self._start_signer(state)
        gateway = self._start_gateway(state, signer.socket, database_url, rpc_url)
        self.endpoints = Endpoints(
            gateway=gateway.target,
            gateway_tcp=gateway.listening.get("tcp") if self._options.tcp else None,
            signer_socket=signer.socket,
            admin_socket=signer.admin_socket,
            database_url=None if given_database else database_url,
            solana_rpc_url=None if given_chain else rpc_url,
            solana_websocket_url=self.chain.websocket_url if self.chain else None,
            audit_log=signer.files.state_dir / "audit.log",
        )

    def _start_postgres(self, state: StateDir) -> str:
        paths = PostgresPaths(state.root / "postgres", state.run / "pg", state.log("postgres"))
        server = EmbeddedPostgres(paths, durable=self._options.durable)
        self._exit.callback(server.stop)
        self.processes.append(server.process)
        return server.url()

    def _start_chain(self, state: StateDir) -> str:
        self.chain = Surfpool(state.log("surfpool"), self._options.chain)
        self._exit.callback(self.chain.stop)
        self.processes.append(self.chain.process)
        return self.chain.rpc_url

    def _start_signer(self, state: StateDir) -> SignerServer:
        environment = self._options.environment
        policy = state.config("policy.toml")
        if not policy.exists():
            shutil.copyfile(self._options.policy or POLICY, policy)
        given = {
            name: secret
            for name in (ENCRYPTION_KEY, MASTER_PASSWORD)
            if (secret := environment.get(name))
        }
        signer = SignerServer(
            SignerFiles(
                config=state.config("signer.toml"),
                log=state.log("signer"),
                state_dir=state.root / "signer",
                socket_dir=state.run / "signer",
                admin_socket_dir=state.run / "admin",
                policy_file=policy,
                secrets=state.secret_files(omit=given),
                variables=given,
                limits=self._options.signer_limits,
                insecure_dev=self._options.insecure_dev,
            )
        )
        self._exit.callback(signer.stop)
        self.processes.append(signer.process)
        return signer

    def _start_gateway(
        self, state: StateDir, signer_socket: Path, database_url: str, rpc_url: str
    ) -> GatewayServer:
        listen: dict[str, str | bool] = {"unix": str(state.run / "gateway" / "gateway.sock")}
        if self._options.tcp:
            listen |= {"tcp": self._options.tcp, "allow_insecure_loopback": True}
        version = self._options.transaction_version
        distribution = {"transaction_version": version} if version else {}
        gateway = GatewayServer(
            GatewayFiles(
                config=state.config("gateway.toml"),
                log=state.log("gateway"),
                settings={
                    "signer": {"socket": str(signer_socket)},
                    "listen": listen,
                    "postgres": {"url": database_url},
                    "solana": {"rpc_url": rpc_url},
                    "distribution": distribution,
                    "sealing": {"seal_plaintext_secrets": True},
                },
            )
        )
        self._exit.callback(gateway.stop)
        self.processes.append(gateway.process)
        return gateway
