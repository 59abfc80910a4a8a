"""Made-up secrets, published vectors and small helpers that several tests share."""

import json
import mmap
import unicodedata
from pathlib import Path
from typing import Any

import pytest

ENCRYPTION_KEY = bytes(range(32))
MASTER_PASSWORD = b"a master password of 32 characters, or more"
PASSWORD = b"correct horse battery staple"
# The published example of BIP39: entropy 00...00, passphrase "TREZOR".
MNEMONIC = b"abandon " * 11 + b"about"
SEED_HEX = (
    "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e5349553"
    "1f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04"
)
_VECTORS = Path(__file__).parents[3] / "shared" / "vectors"


def view(secret: bytes) -> memoryview:
    """A writable view of mapped memory, as the vault has its secrets on pages."""
    memory = mmap.mmap(-1, max(1, len(secret)))
    memory[: len(secret)] = secret
    return memoryview(memory)[: len(secret)]


def vectors(name: str) -> Any:
    """The published vectors of that name; skips the test where they are not at hand."""
    path = _VECTORS / name
    if not path.is_file():
        pytest.skip(f"published vectors are not here: ../shared/vectors/{name}")
    return json.loads(path.read_text()) if path.suffix == ".json" else path.read_text()


def nfkd(text: str) -> bytes:
    """The text in UTF-8, NFKD, by Python's own normalization."""
    return unicodedata.normalize("NFKD", text).encode()
