"""The [solana] part of the gateway's configuration."""

from pathlib import Path

import pytest

from gateway.config import ConfigError, MetricsListen, Solana, load

HEAD = """
[signer]
socket = "/run/signer.sock"
[listen]
unix = "/run/gateway.sock"
[postgres]
url = "postgresql://u@h/db"
[solana]
rpc_url = "https://a/?key=hunter2"
"""
MORE = 'rpc_urls_more = ["https://b/hunter2", "https://c/"]\n'


def solana(directory: Path, text: str, environment: dict[str, str] | None = None) -> Solana:
    """Loads a configuration with these lines in its last table."""
    path = directory / "gateway.toml"
    path.write_text(HEAD + text)
    return load(path, environment or {}).solana


def test_several_endpoints_in_order(tmp_path: Path) -> None:
    """The first URL is preferred; rates and agreement come through; no URL is shown."""
    text = MORE + "expiry_providers_min = 3\nmethod_requests_per_second_max = { getSlot = 4 }\n"
    found = solana(tmp_path, text)
    assert ("https://a/?key=hunter2", "https://b/hunter2", "https://c/") == found.rpc_urls
    assert (3, {"getSlot": 4}) == (
        found.expiry_providers_min,
        found.method_requests_per_second_max,
    )
    assert "hunter2" not in repr(found)


def test_the_environment_replaces_every_endpoint(tmp_path: Path) -> None:
    """SOLANA_RPC_URL may name another cluster: the file's other endpoints are not mixed in."""
    text = MORE + 'ws_url = "wss://b/hunter2"\n'
    text += f'genesis_hash = "{"G" * 43}"\n'
    assert "G" * 43 == solana(tmp_path, text).genesis_hash
    found = solana(tmp_path, text, {"SOLANA_RPC_URL": "http://x"})
    assert (("http://x",), "", "") == (found.rpc_urls, found.ws_url, found.genesis_hash)
    assert "wss://b/hunter2" == solana(tmp_path, text).ws_url
    assert "hunter2" not in repr(solana(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('rpc_urls_more = "https://b"\n', "solana.rpc_urls_more: must be a list"),
        ("rpc_urls_more = [1]\n", "solana.rpc_urls_more: must be a list of strings"),
        ('rpc_urls_more = ["ws://b"]\n', "solana.rpc_urls_more[0]: must begin"),
        ('rpc_urls_more = ["https://a/?key=hunter2"]\n', "names an endpoint twice"),
        ("expiry_providers_min = 2\n", "expiry_providers_min: more than there are endpoints"),
        ("finality_providers_min = 2\n", "finality_providers_min: more than there are endpoints"),
        ('ws_url = "http://b/hunter2"\n', "solana.ws_url: must begin with ws://"),
        ('genesis_hash = "mainnet"\n', "solana.genesis_hash: must be base58 of 32 bytes"),
        (MORE + "expiry_providers_min = 0\n", "expiry_providers_min: must be from 1 to 8"),
        ("method_requests_per_second_max = { getSlot = 0 }\n", "getSlot: must be from 1"),
        ("method_requests_per_second_max = { getSlot = 1.5 }\n", "getSlot: must be from 1"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    """One clear error that names the key, without a URL in it."""
    with pytest.raises(ConfigError) as caught:
        solana(tmp_path, text)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[metrics]\n", "metrics.listen: missing"),
        ('[metrics]\nlisten = "9464"\n', 'metrics.listen: must be "host:port"'),
        ('[metrics]\nlisten = "0.0.0.0:9464"\n', "metrics.listen: plain text only on a loopback"),
        ('[metrics]\nlisten = "localhost:9464"\n', "metrics.listen: plain text only"),
        ('[metrics]\nlisten = "unix:m.sock"\n', "metrics.listen: must be an absolute path"),
        ('[metrics]\nlisten = "127.0.0.1:1"\nport = 1\n', "metrics.port: unknown key"),
    ],
)
def test_mistakes_in_metrics(tmp_path: Path, text: str, message: str) -> None:
    """Metrics are for this machine alone."""
    with pytest.raises(ConfigError) as caught:
        solana(tmp_path, text)
    assert message in str(caught.value)


def test_where_metrics_are(tmp_path: Path) -> None:
    """Nowhere unless asked for; on a loopback address, IPv6 too, or a Unix socket."""
    path = tmp_path / "gateway.toml"
    for text, expected in (
        ("", None),
        ('[metrics]\nlisten = "127.0.0.1:9464"\n', MetricsListen(host="127.0.0.1", port=9464)),
        ('[metrics]\nlisten = "[::1]:0"\n', MetricsListen(host="::1")),
        ('[metrics]\nlisten = "unix:/run/m.sock"\n', MetricsListen(unix=Path("/run/m.sock"))),
    ):
        path.write_text(HEAD + text)
        assert expected == load(path, {}).metrics
