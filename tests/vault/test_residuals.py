"""What a process leaves in its memory after it has used secrets, read from outside."""

import hashlib
import hmac
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bip_utils import Bip32Slip10Ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tests.vault.residual_subject import SALT, SIZES, WALLETS

ROOT = Path(__file__).parents[2]


def secrets() -> list[bytes]:
    """Fresh secrets in the order in which the subject reads them, padded to their room."""
    words = "legal winner thank year wave sausage worth useful legal winner thank yellow"
    password = os.urandom(32).hex().encode()
    master_password = os.urandom(32).hex().encode()
    made = [
        os.urandom(32),
        master_password,
        words.encode(),
        os.urandom(20).hex().encode(),
        password,
    ]
    return [secret.ljust(size, b"\0") for secret, size in zip(made, SIZES, strict=True)]


def hkdf(ikm: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF by the library that the vault does not use for it."""
    return HKDF(SHA256(), 32, salt, b"solward/v1/" + info).derive(ikm)


def derived(given: list[bytes]) -> dict[str, bytes]:
    """The secrets and every key that follows from them."""
    encryption_key, master_password, mnemonic, passphrase, password = given
    mnemonic, passphrase = mnemonic.rstrip(b"\0"), passphrase.rstrip(b"\0")
    salt = hkdf(encryption_key, b"", b"master-salt")
    stretched = hashlib.scrypt(
        master_password, salt=salt, n=2**15, r=8, p=1, dklen=32, maxmem=2**26
    )
    root = hkdf(stretched, encryption_key, b"root")
    seed = hashlib.pbkdf2_hmac("sha512", mnemonic, b"mnemonic" + passphrase, 2048)
    master = hmac.digest(b"ed25519 seed", seed, "sha512")
    found = {
        "encryption key": encryption_key,
        "master password": master_password,
        "mnemonic": mnemonic,
        "passphrase": passphrase,
        "password": password,
        "master salt": salt,
        "stretched": stretched,
        "root": root,
        "seed": seed,
        "master key": master[:32],
        "master chain code": master[32:],
    }
    for info in (b"record", b"ownership-tag", b"audit-chain", b"box", b"key-id"):
        found[info.decode()] = hkdf(root, b"", info)
    stretched = hashlib.scrypt(password, salt=SALT, n=2**14, r=8, p=1, dklen=32)
    found["stretched password"] = stretched
    for kind in (b"wallet", b"mnemonic"):
        found[f"record key {kind.decode()}"] = hkdf(
            stretched, found["record"], b"record-key/" + kind
        )
    node = Bip32Slip10Ed25519.FromSeed(seed).DerivePath("m/44'/501'")
    for index in (0, 1, WALLETS // 2, WALLETS - 1):
        middle = node.DerivePath(f"{index}'")
        found[f"child {index}"] = middle.PrivateKey().Raw().ToBytes()
        found[f"wallet {index}"] = middle.DerivePath("0'").PrivateKey().Raw().ToBytes()
    found["branch"] = node.PrivateKey().Raw().ToBytes()
    return found


def regions(pid: int) -> Iterator[bytes]:
    """The writable memory of a process: heap, stacks, pages, all of it."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, permissions, *_ = line.split()
            start, end = (int(part, 16) for part in span.split("-"))
            if permissions.startswith("rw"):
                memory.seek(start)
                yield memory.read(end - start)


def copies(pid: int, needles: dict[str, bytes]) -> dict[str, int]:
    """How often each secret, or a 16-byte piece of it, stands in the memory of a process."""
    found: dict[str, int] = {}
    for region in regions(pid):
        for name, needle in needles.items():
            pieces = {needle[at : at + 16] for at in range(0, len(needle) - 15, 16)}
            if count := sum(map(region.count, pieces)):
                found[name] = found.get(name, 0) + count
    return found


def left_behind(subject: str) -> dict[str, int]:
    """The number of copies of each secret in a process that has used them and is done."""
    given = secrets()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.vault.residual_subject", subject],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"".join(given))
        process.stdin.flush()
        assert process.stdout.read(4) == b"done"
        found = copies(process.pid, derived(given))
        process.stdin.close()
    assert process.returncode == 0
    return found


@pytest.mark.timeout(60)
def test_the_vault_leaves_nothing_behind() -> None:
    """No copy is left of a secret, of a key that follows from one, or of 16 bytes of either.

    Not after deriving, signing, a wrong password, a closed session and an expired one.
    """
    assert left_behind("vault") == {}


@pytest.mark.timeout(60)
def test_the_scanner_sees_what_a_naive_path_leaves() -> None:
    """The scanner is not blind: it finds mnemonic, password and seed where nobody took care."""
    found = left_behind("naive")
    assert {"mnemonic", "password", "seed"} <= set(found)
