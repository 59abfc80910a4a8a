"""The running signer: rooms put together, two servers, an orderly end."""

import logging
import os
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from signer_daemon import policy, secrets_source, sockets
from signer_daemon.admin_service import POLICY_VERSION, AdminService
from signer_daemon.admission import Admission
from signer_daemon.config import Config
from signer_daemon.custody import Custody
from signer_daemon.errors import Calls, RefusalInterceptor
from signer_daemon.freezes import Freezes
from signer_daemon.hardening import Hardening
from signer_daemon.ledger import Meters, SystemClock, open_log
from signer_daemon.pipeline import Pipeline
from signer_daemon.sandbox import identity
from signer_daemon.sandbox.places import hold, own_directory
from signer_daemon.signer_service import SignerService
from signer_daemon.trail import Trail
from signer_daemon.vault.envelope import EnvelopeOpener
from signer_daemon.vault.keyring import KeyRing
from signer_daemon.vault.memory import PagePool
from signer_daemon.vault.mnemonic import WordLists
from signer_daemon.vault.sessions import SessionTable
from solward.signer.v1 import admin_service_pb2_grpc, signer_service_pb2_grpc

SERVICE = "solward.signer.v1.SignerService"
REQUEST_BYTES_MAX = 8 << 20  # 10,000 records to rotate are 3.5 MB
# With grpc's defaults 10,000 concurrent calls lost some; with these none. A silent peer is cut off.
_OPTIONS = (
    ("grpc.max_receive_message_length", REQUEST_BYTES_MAX),
    ("grpc.max_send_message_length", REQUEST_BYTES_MAX),
    ("grpc.server.max_pending_requests", 100_000),
    ("grpc.server.max_pending_requests_hard_limit", 100_000),
    ("grpc.server_max_unrequested_time_in_server", 600),
    ("grpc.server_handshake_timeout_ms", 3_000),
    ("grpc.so_reuseport", 0),
)
_ADMIN_WORKERS = 2
_PAGES_PER_WORKER = 12  # what the greediest call holds at once, and one to spare
_SWEEP_S = 1.0
_HEAD_S = 60.0
_DRAIN_S = 5.0
_LAST_WORDS_S = 1.0
log = logging.getLogger("solward.signer")


class Signer:
    """One signer process. Use as a context manager: serving inside the block, wiped after it."""

    def __init__(self, config: Config, *, insecure_dev: bool = False) -> None:
        """Do all that can fail before the first socket exists. Raises what the rooms raise."""
        self._config = config
        self._stack = ExitStack()
        self._stopping = threading.Event()
        self._calls = Calls()
        self._hardening = Hardening(insecure_dev=insecure_dev)
        self._stack.callback(self._hardening.close)
        try:
            self._build()
        except BaseException:
            self._stack.close()
            raise

    def _build(self) -> None:
        self._hardening.begin()
        # As who started us: whatever only root may reach.
        who = identity.resolve(self._config, insecure_dev=self._hardening.insecure_dev)
        config = self._config = self._take_places(who)
        limits, clock = config.limits, SystemClock()
        words, release = WordLists.load(), _release()
        pool = PagePool((limits.workers + _ADMIN_WORKERS) * _PAGES_PER_WORKER)
        with secrets_source.open_secrets(config.secrets, os.environ, pool) as (current, previous):
            self._hardening.become(who)
            keyring = KeyRing(
                pool,
                current,
                previous,
                kdf_slots=limits.kdf_concurrency,
                kdf_wait_seconds=limits.kdf_wait_ms_max / 1000,
            )
        self._stack.callback(keyring.close)
        for path in (
            config.state_dir / "signer.lock",
            config.signer_socket.with_suffix(".lock"),
            config.admin_socket.with_suffix(".lock"),
        ):
            self._stack.callback(os.close, sockets.claim(path))
        rules = policy.load(config.policy_file)
        meters = Meters(clock)
        chain_keys = {key_id: keyring.audit_chain_key(key_id) for key_id in keyring.key_ids}
        audit = open_log(config.audit_log, chain_keys, keyring.key_id, clock, meters)
        self._stack.callback(audit.close)
        standing = audit.standing
        _require_no_older(rules, standing)
        boot_id = secrets.token_bytes(16)
        self._sessions = SessionTable(
            lambda: clock.uptime_ms() / 1000, sessions_max=limits.sessions_max
        )
        self._stack.callback(self._sessions.revoke_all)
        custody = Custody(
            pool=pool,
            keyring=keyring,
            envelopes=EnvelopeOpener(keyring, boot_id, lambda: clock.wall_ms() / 1000),
            sessions=self._sessions,
            words=words,
            meters=meters,
            session_ttl_seconds_max=limits.session_ttl_seconds_max,
        )
        admission = Admission(
            keyring=keyring,
            sessions=self._sessions,
            meters=meters,
            freezes=Freezes(standing),
            policy=rules,
        )
        pipeline = Pipeline(admission=admission, pool=pool, sessions=self._sessions)
        self._signer_service = SignerService(
            custody,
            pipeline,
            Trail(audit, "signer.sock"),
            clock,
            boot_id=boot_id,
            version=release,
            stopping=self._stopping,
        )
        self._admin_service = AdminService(
            custody,
            pipeline,
            Trail(audit, "admin.sock"),
            clock,
            config=config,
            hardening=self._hardening,
            version=release,
        )
        self._trail = Trail(audit, "signer")
        audit.append(
            self._trail.event(
                "start",
                "",
                "ok",
                policy=rules.digest,
                key_id=keyring.key_id,
                standing={POLICY_VERSION: str(rules.version)},
            )
        )

    def _take_places(self, who: identity.Identity) -> Config:
        """Make and open our directories; return a configuration with the paths that lead there."""
        config = self._config
        shadow = config.shadow_policy_file
        return replace(
            config,
            state_dir=own_directory(config.state_dir, 0o700, who),
            socket_dir=own_directory(config.socket_dir, 0o750, who, who.socket_gid),
            admin_socket_dir=own_directory(config.admin_socket_dir, 0o700, who),
            policy_file=hold(config.policy_file.parent) / config.policy_file.name,
            shadow_policy_file=None if shadow is None else hold(shadow.parent) / shadow.name,
        )

    def __enter__(self) -> Self:
        """Bind both sockets and serve; healthy means usable."""
        try:
            self._serve()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _serve(self) -> None:
        config = self._config
        self._hardening.confine(config)  # before gRPC starts the first thread
        gateway_side, self._health = self._server(config.limits.workers)
        admin_side, admin_health = self._server(_ADMIN_WORKERS)
        signer_service_pb2_grpc.add_SignerServiceServicer_to_server(
            self._signer_service, gateway_side
        )
        admin_service_pb2_grpc.add_AdminServiceServicer_to_server(self._admin_service, admin_side)
        sockets.bind(gateway_side, config.signer_socket, 0o660)
        self._stack.callback(config.signer_socket.unlink, missing_ok=True)
        sockets.bind(admin_side, config.admin_socket, 0o600)
        self._stack.callback(config.admin_socket.unlink, missing_ok=True)
        # Who connects from here on waits for `start`: nothing is served before the last step.
        self._hardening.seal()
        if self._hardening.insecure_dev:
            missing = self._hardening.missing
            self._trail.log.append(self._trail.event("insecure_dev", "", "ok", missing=missing))
        for server, status in ((gateway_side, self._health), (admin_side, admin_health)):
            server.start()
            self._stack.callback(_stop, server)
            for name in ("", SERVICE):
                status.set(name, health_pb2.HealthCheckResponse.SERVING)
        sweeper = threading.Thread(target=self._sweep, name="sweep", daemon=True)
        sweeper.start()
        self._stack.callback(self._calls.drain, _DRAIN_S)
        self._stack.callback(sweeper.join)
        self._stack.callback(self._stopping.set)
        self._stack.callback(self._health.enter_graceful_shutdown)

    def _server(self, workers: int) -> tuple[grpc.Server, health.HealthServicer]:
        server = grpc.server(
            ThreadPoolExecutor(workers, thread_name_prefix="rpc"),
            interceptors=[RefusalInterceptor(self._calls)],
            options=_OPTIONS,
        )
        status = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(status, server)
        return server, status

    def _sweep(self) -> None:
        # Expired keys are wiped when their time comes, not when somebody next asks.
        told, left = -1, 0.0
        while not self._stopping.wait(_SWEEP_S):
            self._sessions.sweep()
            left -= _SWEEP_S
            head = self._trail.log.head
            if left <= 0 and head.count != told:
                # For an anchor outside: what stands in the journal cannot be put back with the log.
                log.info("audit head: record %d, %s", head.count - 1, head.mac.decode())
                told, left = head.count, _HEAD_S

    def __exit__(self, *_: object) -> None:
        """Drain, wipe, remove the sockets, release the locks."""
        self._stack.close()


def _require_no_older(rules: policy.Policy, standing: dict[str, str]) -> None:
    """Refuse a policy older than the last in force: putting an old file back loosens nothing."""
    last = int(standing.get(POLICY_VERSION, "0"))
    if rules.version < last:
        raise policy.PolicyError(f"version is {rules.version}, but {last} was in force before")


def _stop(server: grpc.Server) -> None:
    server.stop(_LAST_WORDS_S).wait()


def _release() -> str:
    try:
        return version("solward")
    except PackageNotFoundError:
        return "unpackaged"
