"""What may be imported, as lists of what is allowed: import-linter forbids, these permit."""

import ast
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SIGNER_LIBRARIES = {
    "cryptography",
    "google.protobuf",
    "google.rpc",
    "grpc",
    "grpc_health",
    "nacl._sodium",
    "solders.pubkey",  # base58; its key pairs and parsers have no place here
    "solward.signer",
}
# Standard modules that reach the network, start programs or load code: no room for them.
SIGNER_STANDARD_FORBIDDEN = {
    "_socket",
    "asyncio",
    "ftplib",
    "http",
    "imaplib",
    "importlib",
    "marshal",
    "multiprocessing",
    "pickle",
    "poplib",
    "pty",
    "select",
    "selectors",
    "shelve",
    "smtplib",
    "socket",
    "socketserver",
    "sqlite3",
    "ssl",
    "subprocess",
    "urllib",
    "webbrowser",
    "xmlrpc",
}
# Looking up where a package lies loads no code of it.
SIGNER_STANDARD_EXCEPTIONS = {
    "importlib.metadata",
    "importlib.resources",
    "importlib.util.find_spec",
}
DOMAIN_STANDARD_FORBIDDEN = SIGNER_STANDARD_FORBIDDEN | {
    "logging",
    "os",
    "pathlib",
    "threading",
    "time",
}


def _imports(root: Path) -> set[tuple[str, str]]:
    """Return (file, absolute name) of every import below `root`."""
    found = set()
    for path in root.rglob("*.py"):
        name = str(path.relative_to(REPOSITORY))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {(name, alias.name) for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name}: relative import"
                module = node.module or ""
                found |= {(name, f"{module}.{alias.name}") for alias in node.names}
    return found


def _within(name: str, allowed: set[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


def _unexpected(root: Path, libraries: set[str], forbidden: set[str]) -> set[tuple[str, str]]:
    found = set()
    for path, name in _imports(root):
        standard = name.partition(".")[0] in sys.stdlib_module_names
        refused = _within(name, forbidden) and not _within(name, SIGNER_STANDARD_EXCEPTIONS)
        if refused or not (standard or _within(name, libraries)):
            found.add((path, name))
    return found


def test_the_signer_imports_only_what_its_reader_expects() -> None:
    """The standard library without its doors, gRPC, cryptography, libsodium, its stubs."""
    allowed = SIGNER_LIBRARIES | {"signer_daemon"}
    assert set() == _unexpected(REPOSITORY / "signer_daemon", allowed, SIGNER_STANDARD_FORBIDDEN)


def test_the_domain_imports_only_the_standard_library() -> None:
    """The gateway's domain is values and functions: no I/O, no clock, no library."""
    domain = REPOSITORY / "gateway" / "domain"
    assert set() == _unexpected(domain, {"gateway.domain"}, DOMAIN_STANDARD_FORBIDDEN)


def test_adapters_use_no_ready_made_rpc_client() -> None:
    """Answers of nodes are not given to the parsers of solana and solders.rpc, which can panic."""
    # import-linter cannot forbid a part of a library.
    imports = _imports(REPOSITORY / "gateway" / "adapters")
    assert set() == {found for found in imports if _within(found[1], {"solana", "solders.rpc"})}
    assert any(_within(name, {"solders"}) for _, name in imports)


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        ("import socket", True),
        ("from urllib import request", True),
        ("import importlib", True),
        ("from importlib import metadata", False),
        ("import requests", True),
        ("from nacl import _sodium", False),
        ("import nacl.signing", True),
        ("from solders.keypair import Keypair", True),
        ("from solward.gateway.v1 import wallet_service_pb2", True),
        ("import hashlib", False),
    ],
)
def test_a_forbidden_import_is_recognised(
    statement: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checker above sees what it is there to see."""
    monkeypatch.setitem(globals(), "REPOSITORY", tmp_path)
    (tmp_path / "module.py").write_text(statement)
    found = _unexpected(tmp_path, SIGNER_LIBRARIES, SIGNER_STANDARD_FORBIDDEN)
    assert refused == bool(found)
