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
    requests_concurrent_max = 8
    request_timeout_ms = 10000

    [sealing]
    seal_plaintext_secrets = false          # true: passwords may come in clear and are sealed here

    [limits]
    request_bytes_max = 4194304
    requests_concurrent_max = 20000
    derivations_concurrent_max = 2
    drain_seconds = 10

The environment is read in this module, and nowhere else in the gateway.
"""

import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

DATABASE_URL_VARIABLE: Final = "DATABASE_URL"
RPC_URL_VARIABLE: Final = "SOLANA_RPC_URL"


class ConfigError(Exception):
    """The configuration cannot be used. The message names the key and is safe to print."""


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
    """The RPC node. The URL may hold an API key: it is never shown."""

    rpc_url: str = field(repr=False)
    requests_concurrent_max: int = 8
    request_timeout_ms: int = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what the gateway does at once."""

    request_bytes_max: int = 4 * 1024 * 1024
    requests_concurrent_max: int = 20_000
    derivations_concurrent_max: int = 2
    drain_seconds: int = 10


# Each number's own bounds: a zero would stop the gateway, a huge one would unbound it.
_BOUNDS: Final = {
    "postgres.connections_max": (2, 200),
    "solana.requests_concurrent_max": (1, 64),
    "solana.request_timeout_ms": (100, 120_000),
    "limits.request_bytes_max": (64 * 1024, 64 * 1024 * 1024),
    "limits.requests_concurrent_max": (1, 100_000),
    "limits.derivations_concurrent_max": (1, 64),
    "limits.drain_seconds": (0, 300),
}


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration, checked."""

    signer_socket: Path
    listen: Listen
    postgres: Postgres
    solana: Solana
    seal_plaintext_secrets: bool = False
    limits: Limits = field(default_factory=Limits)


def load(path: Path, environment: Mapping[str, str]) -> Config:
    """Reads and checks the file. `environment` overrides the two URLs. Raises ConfigError."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    root = _Table(raw, "")
    tables = {name: root.table(name) for name in _SECTIONS}
    root.refuse_others()
    signer, postgres, solana = tables["signer"], tables["postgres"], tables["solana"]
    sealing, limits = tables["sealing"], tables["limits"]
    config = Config(
        signer_socket=signer.path("socket", required=True),
        listen=_listen(tables["listen"]),
        postgres=Postgres(
            url=_url(postgres, "url", environment, DATABASE_URL_VARIABLE, _POSTGRES_SCHEMES),
            **postgres.numbers(),
        ),
        solana=Solana(
            rpc_url=_url(solana, "rpc_url", environment, RPC_URL_VARIABLE, _RPC_SCHEMES),
            **solana.numbers(),
        ),
        seal_plaintext_secrets=sealing.boolean("seal_plaintext_secrets"),
        limits=Limits(**limits.numbers()),
    )
    for table in tables.values():
        table.refuse_others()
    return config


_SECTIONS: Final = ("signer", "listen", "postgres", "solana", "sealing", "limits")
_POSTGRES_SCHEMES: Final = ("postgresql://", "postgres://")
_RPC_SCHEMES: Final = ("http://", "https://")


class _Table:
    """A TOML table that knows which of its keys were asked for."""

    def __init__(self, raw: dict[str, Any], name: str) -> None:
        self._raw = raw
        self._name = name
        self._known: set[str] = set()

    def full_name(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def _get(self, key: str, kind: type, kind_name: str) -> Any:
        self._known.add(key)
        value = self._raw.get(key)
        # bool is an int to Python; `connections_max = true` is still a mistake.
        if value is not None and type(value) is not kind:
            raise ConfigError(f"{self.full_name(key)}: must be {kind_name}")
        return value

    def table(self, key: str) -> "_Table":
        return _Table(self._get(key, dict, "a table") or {}, key)

    def string(self, key: str) -> str:
        value: str = self._get(key, str, "a string") or ""
        return value

    def boolean(self, key: str) -> bool:
        return bool(self._get(key, bool, "true or false"))

    def path(self, key: str, *, required: bool = False) -> Path:
        value = self.string(key)
        if required and not value:
            raise ConfigError(f"{self.full_name(key)}: missing")
        if value and not Path(value).is_absolute():
            raise ConfigError(f"{self.full_name(key)}: must be an absolute path")
        return Path(value)

    def numbers(self) -> dict[str, int]:
        given: dict[str, int] = {}
        for name, (low, high) in _BOUNDS.items():
            section, _, key = name.partition(".")
            value = self._get(key, int, "an integer") if section == self._name else None
            if value is None:
                continue
            if not low <= value <= high:
                raise ConfigError(f"{name}: must be from {low} to {high}")
            given[key] = value
        return given

    def refuse_others(self) -> None:
        for key in self._raw:
            if key not in self._known:
                raise ConfigError(f"{self.full_name(key)}: unknown key")


def _listen(table: _Table) -> Listen:
    unix, tcp = table.string("unix"), table.string("tcp")
    tls = {key: table.string(f"tls_{key}") for key in ("cert", "key", "client_ca")}
    insecure = table.boolean("allow_insecure_loopback")
    if not unix and not tcp:
        raise ConfigError("listen: unix or tcp must be given")
    if tcp:
        _check_tcp(tcp, plain_text=insecure and not any(tls.values()))
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


def _check_tcp(tcp: str, *, plain_text: bool) -> None:
    host, colon, port = tcp.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535 or not host:
        raise ConfigError('listen.tcp: must be "host:port"')
    if not plain_text:
        return
    try:
        loopback = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name: what it resolves to may change under us
        loopback = False
    if not loopback:
        raise ConfigError(
            "listen.tcp: plain text only on a loopback address such as 127.0.0.1 or [::1]"
        )


def _url(
    table: _Table,
    key: str,
    environment: Mapping[str, str],
    variable: str,
    schemes: tuple[str, ...],
) -> str:
    written = table.string(key)  # asked for even if overridden: the key is known either way
    url = environment.get(variable) or written
    if not url:
        raise ConfigError(f"{table.full_name(key)}: missing (or set {variable})")
    if not url.startswith(schemes):
        raise ConfigError(f"{table.full_name(key)}: must begin with {' or '.join(schemes)}")
    return url
