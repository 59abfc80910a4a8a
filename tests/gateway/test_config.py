"""The configuration is strict: what it does not understand, it does not start on."""

from pathlib import Path

import pytest

from gateway.config import ConfigError, Distribution, Limits, TlsFiles, load
from gateway.domain.packing import TransactionVersion

GOOD = """
[signer]
socket = "/run/signer.sock"
[listen]
unix = "/run/gateway.sock"
[postgres]
url = "postgresql://u:hunter2@h/db"
[solana]
rpc_url = "https://node/?key=hunter2"
"""


def write(directory: Path, text: str) -> Path:
    """Writes a configuration file."""
    path = directory / "gateway.toml"
    path.write_text(text)
    return path


def test_defaults(tmp_path: Path) -> None:
    """What is optional has its documented default."""
    config = load(write(tmp_path, GOOD), {})
    assert (Path("/run/signer.sock"), False) == (
        config.signer_socket,
        config.seal_plaintext_secrets,
    )
    assert Limits() == config.limits
    assert Distribution(None, 0, 100_000) == config.distribution
    assert config.listen.tls is None


def test_how_distributions_are_planned(tmp_path: Path) -> None:
    """Format and bounds of the price are what the file says; "auto" is no format."""
    text = "\n[distribution]\ntransaction_version = {}\ncompute_unit_price_micro_lamports_{} = 7\n"
    for name, bound, expected in (
        ("legacy", "min", Distribution(TransactionVersion.LEGACY, 7, 100_000)),
        ("1", "max", Distribution(TransactionVersion.V1, 0, 7)),
        ("auto", "min", Distribution(None, 7, 100_000)),
    ):
        written = GOOD + text.format(f'"{name}"', bound)
        assert expected == load(write(tmp_path, written), {}).distribution


def test_the_environment_wins(tmp_path: Path) -> None:
    """DATABASE_URL and SOLANA_RPC_URL override the file, and stand in for a missing key."""
    given = {"DATABASE_URL": "postgres://other/db", "SOLANA_RPC_URL": "http://other"}
    config = load(write(tmp_path, GOOD.replace('url = "postgresql://u:hunter2@h/db"', "")), given)
    assert ("postgres://other/db", "http://other") == (config.postgres.url, config.solana.rpc_url)


def test_urls_are_not_shown(tmp_path: Path) -> None:
    """A database password or an API key is in no representation of the configuration."""
    assert "hunter2" not in repr(load(write(tmp_path, GOOD), {}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "[extra]\n", "extra: unknown key"),
        ("colour = 1\n" + GOOD, "colour: unknown key"),
        (GOOD + "retries = 3\n", "solana.retries: unknown key"),
        (GOOD + '[limits]\nrequest_bytes_max = "1"\n', "limits.request_bytes_max: must be an int"),
        (GOOD + "[limits]\ndrain_seconds = true\n", "limits.drain_seconds: must be an integer"),
        (GOOD + "[limits]\ndrain_seconds = 301\n", "limits.drain_seconds: must be from 0 to 300"),
        (GOOD + "[distribution]\nprice = 1\n", "distribution.price: unknown key"),
        (
            GOOD + "[distribution]\ncompute_unit_price_micro_lamports_max = 1000000001\n",
            "distribution.compute_unit_price_micro_lamports_max: must be from 0 to 1000000000",
        ),
        (
            GOOD + "[distribution]\ncompute_unit_price_micro_lamports_min = 100001\n",
            "distribution.compute_unit_price_micro_lamports_min: more than the maximum",
        ),
        (
            GOOD + '[distribution]\ntransaction_version = "2"\n',
            "distribution.transaction_version: must be",
        ),
        (GOOD + "[sealing]\nseal_plaintext_secrets = 1\n", "seal_plaintext_secrets: must be true"),
        (GOOD.replace("/run/signer.sock", "signer.sock"), "signer.socket: must be an absolute"),
        (GOOD.replace('socket = "/run/signer.sock"', ""), "signer.socket: missing"),
        (GOOD.replace('unix = "/run/gateway.sock"', ""), "listen: unix or tcp"),
        (GOOD.replace("postgresql://u:hunter2@h/db", "mysql://x"), "postgres.url: must begin"),
        (GOOD.replace("https://node/?key=hunter2", "ftp://x"), "solana.rpc_url: must begin"),
        (GOOD.replace('rpc_url = "https://node/?key=hunter2"', ""), "SOLANA_RPC_URL"),
        ("listen = 3\n" + GOOD.replace("[listen]", "[x]"), "listen: must be a table"),
        ("[signer", "gateway.toml: Expected"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    """One clear error that names the key, without the values around it."""
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), {})
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """No file, no start."""
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.toml", {})


TLS = 'tls_cert = "/c"\ntls_key = "/k"\ntls_client_ca = "/ca"\n'


@pytest.mark.parametrize(
    ("listen", "message"),
    [
        ('tcp = "127.0.0.1:1"', "allow_insecure_loopback"),
        ('tcp = "0.0.0.0:1"\nallow_insecure_loopback = true', "loopback"),
        ('tcp = "localhost:1"\nallow_insecure_loopback = true', "loopback"),
        ('tcp = "10.0.0.1:1"\nallow_insecure_loopback = true', "loopback"),
        ('tcp = "127.0.0.1"\nallow_insecure_loopback = true', "host:port"),
        ('tcp = "127.0.0.1:65536"\nallow_insecure_loopback = true', "host:port"),
        ('tcp = "127.0.0.1:x"\nallow_insecure_loopback = true', "host:port"),
        ('tcp = "0.0.0.0:1"\ntls_cert = "/c"\ntls_key = "/k"', "listen.tls_client_ca"),
        ('tcp = "0.0.0.0:1"\ntls_cert = "c"\ntls_key = "/k"\ntls_client_ca = "/ca"', "tls_cert"),
    ],
)
def test_tcp_is_mutual_tls_or_plain_on_loopback(tmp_path: Path, listen: str, message: str) -> None:
    """Not plain text to the network, nor TLS without client certificates."""
    text = GOOD.replace('unix = "/run/gateway.sock"', listen)
    with pytest.raises(ConfigError, match=message):
        load(write(tmp_path, text), {})


def test_tcp_that_is_allowed(tmp_path: Path) -> None:
    """Plain text on loopback when asked for, mutual TLS anywhere."""
    plain = 'tcp = "[::1]:0"\nallow_insecure_loopback = true'
    config = load(write(tmp_path, GOOD.replace('unix = "/run/gateway.sock"', plain)), {})
    assert ("[::1]:0", None) == (config.listen.tcp, config.listen.tls)
    mutual = 'tcp = "0.0.0.0:50051"\n' + TLS
    config = load(write(tmp_path, GOOD.replace('unix = "/run/gateway.sock"', mutual)), {})
    assert TlsFiles(Path("/c"), Path("/k"), Path("/ca")) == config.listen.tls
