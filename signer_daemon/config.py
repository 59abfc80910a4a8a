"""The signer's configuration: one strict TOML file. An unknown key is fatal; so is a missing file.

state_dir         = "/var/lib/solward"        # audit log and lock; 0700
socket_dir        = "/run/solward/signer"     # signer.sock, 0660, for the gateway's group
admin_socket_dir  = "/run/solward/admin"      # admin.sock, 0600, for the operator
policy_file       = "/etc/solward/policy/policy.toml" # in a directory without secrets
socket_group      = "solward-gateway"         # optional: who may reach signer.sock
user              = "solward"                 # who to become; required when started as root
group             = "solward"                 # optional: by default the user's own
shadow_policy_file = "/etc/solward/policy/next.toml" # optional: logged, not enforced

[secrets]                                     # optional: see secrets_source
encryption_key_file = "..."
master_password_file = "..."
previous_encryption_key_file = "..."          # while records are being rotated
previous_master_password_file = "..."

[limits]                                      # optional, with these defaults
session_ttl_seconds_max = 3600
sessions_max = 64
workers = 8
kdf_concurrency = 2
kdf_wait_ms_max = 2000

[export]                                      # optional; all of it is off unless turned on
mnemonics = false
private_keys = false
vault = false
"""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any


class ConfigError(Exception):
    """The configuration cannot be used; the message names the key and is safe to print."""


@dataclass(frozen=True, slots=True)
class SecretFiles:
    """Files that hold the secrets; None where the environment or systemd gives them."""

    encryption_key_file: Path | None = None
    master_password_file: Path | None = None
    previous_encryption_key_file: Path | None = None
    previous_master_password_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what the signer holds and does at once."""

    session_ttl_seconds_max: int = 3600
    sessions_max: int = 64
    workers: int = 8
    kdf_concurrency: int = 2
    kdf_wait_ms_max: int = 2000


# Each limit's own bounds: a zero would stop the signer, a huge one would unbound it.
_LIMIT_BOUNDS = {
    "session_ttl_seconds_max": (1, 86_400),
    "sessions_max": (1, 1024),
    "workers": (1, 64),
    "kdf_concurrency": (1, 4),
    "kdf_wait_ms_max": (1, 60_000),
}


@dataclass(frozen=True, slots=True)
class Export:
    """What may leave through admin.sock, sealed to the operator's key or in an archive."""

    mnemonics: bool = False
    private_keys: bool = False
    vault: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration, checked."""

    state_dir: Path
    socket_dir: Path
    admin_socket_dir: Path
    policy_file: Path
    socket_group: str | None = None
    user: str | int | None = None
    group: str | int | None = None
    secrets: SecretFiles = field(default_factory=SecretFiles)
    limits: Limits = field(default_factory=Limits)
    export: Export = field(default_factory=Export)
    shadow_policy_file: Path | None = None

    @property
    def signer_socket(self) -> Path:
        """Where the gateway connects."""
        return self.socket_dir / "signer.sock"

    @property
    def admin_socket(self) -> Path:
        """Where the operator connects."""
        return self.admin_socket_dir / "admin.sock"

    @property
    def audit_log(self) -> Path:
        """The audit log."""
        return self.state_dir / "audit.log"


def load(path: Path) -> Config:
    """Read and check the file. Raises ConfigError."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    known = {f.name for f in fields(Config)}
    _refuse_unknown(raw, known, "")
    paths = {
        key: _path(raw, key, "", required=True)
        for key in ("state_dir", "socket_dir", "admin_socket_dir", "policy_file")
    }
    socket_group = raw.get("socket_group")
    if socket_group is not None and not isinstance(socket_group, str):
        raise ConfigError("socket_group: must be a string")
    config = Config(
        **{key: value for key, value in paths.items() if value is not None},
        socket_group=socket_group,
        user=_account(raw, "user"),
        group=_account(raw, "group"),
        secrets=_secrets(_table(raw, "secrets")),
        limits=_limits(_table(raw, "limits")),
        export=_export(_table(raw, "export")),
        shadow_policy_file=_path(raw, "shadow_policy_file", ""),
    )
    _keep_apart(config)
    return config


def _keep_apart(config: Config) -> None:
    """Refuse secrets below a policy's directory: that stays readable to a signer that serves."""
    for policy in (config.policy_file, config.shadow_policy_file):
        for name in (f.name for f in fields(SecretFiles)):
            secret: Path | None = getattr(config.secrets, name)
            if policy and secret and secret.is_relative_to(policy.parent):
                raise ConfigError(f"secrets.{name}: must not lie in the directory of a policy")


def _table(raw: dict[str, Any], key: str) -> dict[str, Any]:
    table = raw.get(key, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{key}: must be a table")
    return table


def _refuse_unknown(table: dict[str, Any], known: set[str], prefix: str) -> None:
    for key in table:
        if key not in known:
            raise ConfigError(f"{prefix}{key}: unknown key")


def _account(table: dict[str, Any], key: str) -> str | int | None:
    value = table.get(key)
    if value is None or (isinstance(value, str) and value):
        return value
    # bool is an int to Python.
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < (1 << 32) - 1:
        return value
    raise ConfigError(f"{key}: must be a name or a positive number")


def _path(table: dict[str, Any], key: str, prefix: str, *, required: bool = False) -> Path | None:
    value = table.get(key)
    if value is None:
        if required:
            raise ConfigError(f"{prefix}{key}: missing")
        return None
    if not isinstance(value, str) or not Path(value).is_absolute():
        raise ConfigError(f"{prefix}{key}: must be an absolute path")
    return Path(value)


def _secrets(table: dict[str, Any]) -> SecretFiles:
    names = {f.name for f in fields(SecretFiles)}
    _refuse_unknown(table, names, "secrets.")
    return SecretFiles(**{name: _path(table, name, "secrets.") for name in names})


def _limits(table: dict[str, Any]) -> Limits:
    _refuse_unknown(table, set(_LIMIT_BOUNDS), "limits.")
    for key, value in table.items():
        low, high = _LIMIT_BOUNDS[key]
        # bool is an int to Python; `workers = true` is still a mistake.
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ConfigError(f"limits.{key}: must be an integer from {low} to {high}")
    return Limits(**table)


def _export(table: dict[str, Any]) -> Export:
    _refuse_unknown(table, {f.name for f in fields(Export)}, "export.")
    for key, value in table.items():
        if not isinstance(value, bool):
            raise ConfigError(f"export.{key}: must be true or false")
    return Export(**table)
