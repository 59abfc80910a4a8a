"""TOML, read strictly: each key is asked for by its type, and what nobody asked for is fatal."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.domain.addresses import is_address


class ConfigError(Exception):
    """The configuration cannot be used. The message names the key and is safe to print."""


# Each number's own bounds: a zero would stop the gateway, a huge one would unbound it.
BOUNDS: Final = {
    "postgres.connections_max": (2, 200),
    "solana.requests_concurrent_max": (1, 64),
    "solana.request_timeout_ms": (100, 120_000),
    "solana.requests_per_second_max": (0, 100_000),
    "solana.expiry_providers_min": (1, 8),
    "solana.finality_providers_min": (1, 8),
    "distribution.compute_unit_price_micro_lamports_min": (0, 1_000_000_000),
    "distribution.compute_unit_price_micro_lamports_max": (0, 1_000_000_000),
    "limits.request_bytes_max": (64 * 1024, 64 * 1024 * 1024),
    "limits.requests_concurrent_max": (1, 100_000),
    "limits.derivations_concurrent_max": (1, 64),
    "limits.drain_seconds": (0, 300),
}


class Table:
    """A TOML table that knows which of its keys were asked for."""

    def __init__(self, raw: dict[str, Any], name: str) -> None:
        self._raw = raw
        self._name = name
        self._known: set[str] = set()

    def full_name(self, key: str) -> str:
        """Returns the key as messages name it."""
        return f"{self._name}.{key}" if self._name else key

    def _get(self, key: str, kind: type, kind_name: str) -> Any:
        self._known.add(key)
        value = self._raw.get(key)
        # bool is an int to Python; `connections_max = true` is still a mistake.
        if value is not None and type(value) is not kind:
            raise ConfigError(f"{self.full_name(key)}: must be {kind_name}")
        return value

    def table(self, key: str) -> "Table":
        """Returns a table; an empty one if it is not there."""
        return Table(self._get(key, dict, "a table") or {}, key)

    def string(self, key: str) -> str:
        """Returns a string, "" if it is not there."""
        value: str = self._get(key, str, "a string") or ""
        return value

    def boolean(self, key: str) -> bool:
        """Returns a truth value, false if it is not there."""
        return bool(self._get(key, bool, "true or false"))

    def path(self, key: str, *, required: bool = False) -> Path:
        """Returns an absolute path; Path("") if it is not there and need not be."""
        value = self.string(key)
        if required and not value:
            raise ConfigError(f"{self.full_name(key)}: missing")
        if value and not Path(value).is_absolute():
            raise ConfigError(f"{self.full_name(key)}: must be an absolute path")
        return Path(value)

    def strings(self, key: str) -> list[str]:
        """Returns a list of strings, empty if it is not there."""
        values = self._get(key, list, "a list of strings") or []
        if not all(type(value) is str for value in values):
            raise ConfigError(f"{self.full_name(key)}: must be a list of strings")
        return list(values)

    def hash32(self, key: str) -> str:
        """Returns a hash or address in base58, "" if it is not there."""
        value = self.string(key)
        if value and not is_address(value):
            raise ConfigError(f"{self.full_name(key)}: must be base58 of 32 bytes")
        return value

    def rates(self, key: str) -> dict[str, int]:
        """Returns a table of names and calls a second, empty if it is not there."""
        values = self._get(key, dict, "a table") or {}
        for name, value in values.items():
            if type(value) is not int or not 1 <= value <= 100_000:
                raise ConfigError(f"{self.full_name(key)}.{name}: must be from 1 to 100000")
        return dict(values)

    def numbers(self) -> dict[str, int]:
        """Returns those numbers of this table's that are given, within their bounds."""
        given: dict[str, int] = {}
        for name, (low, high) in BOUNDS.items():
            section, _, key = name.partition(".")
            value = self._get(key, int, "an integer") if section == self._name else None
            if value is None:
                continue
            if not low <= value <= high:
                raise ConfigError(f"{name}: must be from {low} to {high}")
            given[key] = value
        return given

    def refuse_others(self) -> None:
        """Raises ConfigError for a key that nobody asked for."""
        for key in self._raw:
            if key not in self._known:
                raise ConfigError(f"{self.full_name(key)}: unknown key")


def read_url(
    table: Table,
    key: str,
    environment: Mapping[str, str],
    variable: str,
    schemes: tuple[str, ...],
) -> str:
    """Returns a URL of one of the schemes; the environment's wins. Raises ConfigError."""
    written = table.string(key)  # asked for even if overridden: the key is known either way
    url = environment.get(variable) or written
    if not url:
        raise ConfigError(f"{table.full_name(key)}: missing (or set {variable})")
    if not url.startswith(schemes):
        raise ConfigError(f"{table.full_name(key)}: must begin with {' or '.join(schemes)}")
    return url


def split_address(text: str, key: str) -> tuple[str, int]:
    """Splits "host:port"; raises ConfigError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535 or not host:
        raise ConfigError(f'{key}: must be "host:port"')
    return host, int(port)


def require_loopback(host: str, key: str) -> None:
    """Raises ConfigError for any other address, and for names: what they mean may change."""
    try:
        loopback = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigError(
            f"{key}: plain text only on a loopback address such as 127.0.0.1 or [::1]"
        )
