"""The gateway's configuration: one strict TOML file. An unknown key is fatal; so is no file.

    [signer]
    socket = "/run/solward/signer/signer.sock"

    [listen]                                # one of the two, or both
    unix = "/run/solward/gateway/gateway.sock"
    tcp = "127.0.0.1:50051"                 # port 0: any free one, named on stdout when ready
    tls_cert = "/etc/solward/gateway.crt"   # TCP is mutual TLS ...
    tls_key = "/etc/solward/gateway.key"
    tls_client_ca = "/etc/solward/clients.crt"
    allow_insecure_loopback = false         # ... or, on a loopback address only, plain text

    [postgres]
    url = "postgresql://..."                # the environment's DATABASE_URL wins
    connections_max = 10                    # this and what follows is optional, with these defaults

    [solana]
    rpc_url = "http://127.0.0.1:8899"       # the environment's SOLANA_RPC_URL wins
    rpc_urls_more = []                      # of the same cluster, asked if the first fails
    ws_url = ""                             # a node's WebSocket, such as ws://127.0.0.1:8900: what
                                            # is final is then seen a little sooner
    genesis_hash = ""                       # of the only cluster whose endpoints are believed
    requests_concurrent_max = 8             # to each endpoint, as are the next three
    request_timeout_ms = 10000
    requests_per_second_max = 0             # 0: without limit
    method_requests_per_second_max = {}     # such as { getSignaturesForAddress = 4 }
    expiry_providers_min = 2                # endpoints that must agree that a transaction never
                                            # landed, or failed for good, before it is paid again,
                                            # and vouch for a blockhash before it is signed with;
                                            # default: 2 if there are two, otherwise 1
    finality_providers_min = 1              # endpoints that must agree that it is finalized before
                                            # it counts as paid; 2: none can lie about it alone,
                                            # and none may be away for long

    [distribution]
    transaction_version = "auto"            # the newest that runs; or "legacy", "0", "1"
    compute_unit_price_micro_lamports_min = 0       # the price is the median of what was paid of
    compute_unit_price_micro_lamports_max = 100000  # late, kept within these

    [sealing]
    seal_plaintext_secrets = false          # true: passwords may come in clear and are sealed here

    [metrics]                               # absent: none; see gateway/metrics.py
    listen = "127.0.0.1:9464"               # on a loopback address, or "unix:/run/.../metrics.sock"

    [limits]
    request_bytes_max = 4194304
    requests_concurrent_max = 20000
    derivations_concurrent_max = 2
    drain_seconds = 10

The environment is read in this module, and nowhere else in the gateway.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.config_table import ConfigError, Table, read_url, require_loopback, split_address
from gateway.domain.packing import TransactionVersion

DATABASE_URL_VARIABLE: Final = "DATABASE_URL"
RPC_URL_VARIABLE: Final = "SOLANA_RPC_URL"
__all__ = [
    "DATABASE_URL_VARIABLE",
    "RPC_URL_VARIABLE",
    "Config",
    "ConfigError",
    "Distribution",
    "Limits",
    "Listen",
    "MetricsListen",
    "Postgres",
    "Solana",
    "TlsFiles",
    "load",
]


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of mutual TLS: the server's certificate and key, the CA of its clients."""

    cert: Path
    key: Path
    client_ca: Path


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the gateway listens. `tls` is None where TCP is plain text on a loopback address."""

    unix: Path | None = None
    tcp: str = ""
    tls: TlsFiles | None = None


@dataclass(frozen=True, slots=True)
class Postgres:
    """The database. The URL may hold a password: it is never shown."""

    url: str = field(repr=False)
    connections_max: int = 10


@dataclass(frozen=True, slots=True)
class Solana:
    """The RPC endpoints. A URL may hold an API key: it is never shown.

    `expiry_providers_min` 0 stands for its default: two of several, one of one.
    """

    rpc_url: str = field(repr=False)
    rpc_urls_more: tuple[str, ...] = field(default=(), repr=False)
    ws_url: str = field(default="", repr=False)
    genesis_hash: str = ""
    requests_concurrent_max: int = 8
    request_timeout_ms: int = 10_000
    requests_per_second_max: int = 0
    method_requests_per_second_max: Mapping[str, int] = field(default_factory=dict)
    expiry_providers_min: int = 0
    finality_providers_min: int = 1

    @property
    def rpc_urls(self) -> tuple[str, ...]:
        """All endpoints, in order of preference."""
        return (self.rpc_url, *self.rpc_urls_more)


@dataclass(frozen=True, slots=True)
class Distribution:
    """How distributions are planned. No version: the newest that the cluster runs."""

    transaction_version: TransactionVersion | None = None
    compute_unit_price_micro_lamports_min: int = 0
    compute_unit_price_micro_lamports_max: int = 100_000


@dataclass(frozen=True, slots=True)
class MetricsListen:
    """Where the metrics are: a Unix socket, or a loopback address and port."""

    unix: Path | None = None
    host: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what the gateway does at once."""

    request_bytes_max: int = 4 * 1024 * 1024
    requests_concurrent_max: int = 20_000
    derivations_concurrent_max: int = 2
    drain_seconds: int = 10


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration, checked."""

    signer_socket: Path
    listen: Listen
    postgres: Postgres
    solana: Solana
    seal_plaintext_secrets: bool = False
    limits: Limits = field(default_factory=Limits)
    distribution: Distribution = field(default_factory=Distribution)
    metrics: MetricsListen | None = None


def load(path: Path, environment: Mapping[str, str]) -> Config:
    """Reads and checks the file. `environment` overrides the two URLs. Raises ConfigError."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    root = Table(raw, "")
    tables = {name: root.table(name) for name in _SECTIONS}
    root.refuse_others()
    signer, postgres, solana = tables["signer"], tables["postgres"], tables["solana"]
    sealing, limits = tables["sealing"], tables["limits"]
    config = Config(
        signer_socket=signer.path("socket", required=True),
        listen=_listen(tables["listen"]),
        postgres=Postgres(
            url=read_url(postgres, "url", environment, DATABASE_URL_VARIABLE, _POSTGRES_SCHEMES),
            **postgres.numbers(),
        ),
        solana=_solana(solana, environment),
        seal_plaintext_secrets=sealing.boolean("seal_plaintext_secrets"),
        limits=Limits(**limits.numbers()),
        distribution=_distribution(tables["distribution"]),
        metrics=_metrics(tables["metrics"]) if "metrics" in raw else None,
    )
    for table in tables.values():
        table.refuse_others()
    return config


_SECTIONS: Final = (
    "signer",
    "listen",
    "postgres",
    "solana",
    "distribution",
    "sealing",
    "metrics",
    "limits",
)
_POSTGRES_SCHEMES: Final = ("postgresql://", "postgres://")
_RPC_SCHEMES: Final = ("http://", "https://")


def _solana(table: Table, environment: Mapping[str, str]) -> Solana:
    url = read_url(table, "rpc_url", environment, RPC_URL_VARIABLE, _RPC_SCHEMES)
    more, ws_url = table.strings("rpc_urls_more"), table.string("ws_url")
    genesis_hash = table.hash32("genesis_hash")
    if environment.get(RPC_URL_VARIABLE):
        # It names another cluster than the file, perhaps.
        more, ws_url, genesis_hash = [], "", ""
    for place, other in enumerate(more):
        if not other.startswith(_RPC_SCHEMES):
            raise ConfigError(f"solana.rpc_urls_more[{place}]: must begin with http:// or https://")
    if len({url, *more}) != 1 + len(more):
        raise ConfigError("solana.rpc_urls_more: names an endpoint twice")
    if ws_url and not ws_url.startswith(("ws://", "wss://")):
        raise ConfigError("solana.ws_url: must begin with ws:// or wss://")
    solana = Solana(
        rpc_url=url,
        ws_url=ws_url,
        genesis_hash=genesis_hash,
        rpc_urls_more=tuple(more),
        method_requests_per_second_max=table.rates("method_requests_per_second_max"),
        **table.numbers(),
    )
    for key in ("expiry_providers_min", "finality_providers_min"):
        if getattr(solana, key) > len(solana.rpc_urls):
            raise ConfigError(f"solana.{key}: more than there are endpoints")
    return solana


def _distribution(table: Table) -> Distribution:
    text = table.string("transaction_version") or "auto"
    if text not in {"auto", *TransactionVersion}:
        raise ConfigError('distribution.transaction_version: must be "auto", "legacy", "0" or "1"')
    version = None if text == "auto" else TransactionVersion(text)
    found = Distribution(version, **table.numbers())
    if found.compute_unit_price_micro_lamports_min > found.compute_unit_price_micro_lamports_max:
        raise ConfigError(
            "distribution.compute_unit_price_micro_lamports_min: more than the maximum"
        )
    return found


def _metrics(table: Table) -> MetricsListen:
    text = table.string("listen")
    if not text:
        raise ConfigError("metrics.listen: missing")
    if text.startswith("unix:"):
        path = Path(text.removeprefix("unix:"))
        if not path.is_absolute():
            raise ConfigError("metrics.listen: must be an absolute path after unix:")
        return MetricsListen(unix=path)
    host, port = split_address(text, "metrics.listen")
    require_loopback(host, "metrics.listen")
    return MetricsListen(host=host.strip("[]"), port=port)


def _listen(table: Table) -> Listen:
    unix, tcp = table.string("unix"), table.string("tcp")
    tls = {key: table.string(f"tls_{key}") for key in ("cert", "key", "client_ca")}
    insecure = table.boolean("allow_insecure_loopback")
    if not unix and not tcp:
        raise ConfigError("listen: unix or tcp must be given")
    if tcp:
        host, _ = split_address(tcp, "listen.tcp")
        if insecure and not any(tls.values()):
            require_loopback(host, "listen.tcp")
    if any(tls.values()) and not all(tls.values()):
        missing = next(key for key, value in tls.items() if not value)
        raise ConfigError(f"listen.tls_{missing}: missing (TLS here is always mutual)")
    if tcp and not any(tls.values()) and not insecure:
        raise ConfigError(
            "listen.tcp: needs tls_cert, tls_key and tls_client_ca, or allow_insecure_loopback"
        )
    files = {key: table.path(f"tls_{key}") for key in tls}
    return Listen(
        unix=table.path("unix") if unix else None,
        tcp=tcp,
        tls=TlsFiles(**files) if tcp and all(tls.values()) else None,
    )
