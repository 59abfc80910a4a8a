"""Copies that a library forces on us are wiped where they lie, at once.

The residual test cannot be relied on for these: freed memory is often written over by luck.
"""

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from signer_daemon.vault import keyring as keyring_module
from signer_daemon.vault import mnemonic as bip39
from signer_daemon.vault import primitives
from signer_daemon.vault.keyring import KeyRing
from signer_daemon.vault.memory import Page, PagePool
from tests.vault.samples import (
    ENCRYPTION_KEY,
    MASTER_PASSWORD,
    MNEMONIC,
    PASSWORD,
    SEED_HEX,
    view,
)


@pytest.fixture
def kept() -> list[bytes]:
    """The `bytes` that passed between us and a library, still referred to."""
    return []


def test_the_result_of_hmac(kept: list[bytes], page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is copied to the page and zeroed, also when the copy fails."""
    real = hmac.digest
    expected = real(b"key", b"message", "sha512")

    def keeping(key: bytes, message: bytes, digest: str) -> bytes:
        kept.append(real(key, message, digest))
        return kept[-1]

    monkeypatch.setattr(hmac, "digest", keeping)
    out = page.take(64)
    primitives.hmac_into(b"key", b"message", "sha512", out)
    assert expected == bytes(out)
    with pytest.raises(ValueError, match="different structures"):
        primitives.hmac_into(b"key", b"message", "sha512", out[:32])
    assert kept == [bytes(64), bytes(64)]


def test_the_salt_of_a_seed(kept: list[bytes], page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """The passphrase, which BIP39 makes the salt, is zeroed in the `bytes` and on the page."""

    def keeping(algorithm: SHA512, length: int, salt: bytes, iterations: int) -> PBKDF2HMAC:
        kept.append(salt)
        return PBKDF2HMAC(algorithm, length, salt, iterations)

    monkeypatch.setattr(bip39, "PBKDF2HMAC", keeping)
    assert bip39.seed(view(MNEMONIC), view(b"TREZOR"), page).hex() == SEED_HEX
    assert kept == [bytes(len("mnemonic") + len("TREZOR"))]
    assert b"TREZOR" not in bytes(page.view)


def test_the_salt_of_the_root(
    kept: list[bytes], pool: PagePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes of ENCRYPTION_KEY is zeroed once the library has used it."""

    def keeping(*, salt: bytes, length: int, n: int, r: int, p: int) -> Scrypt:
        kept.append(salt)
        return Scrypt(salt=salt, length=length, n=n, r=r, p=p)

    monkeypatch.setattr(keyring_module, "Scrypt", keeping)
    KeyRing(pool, (view(ENCRYPTION_KEY), view(MASTER_PASSWORD))).close()
    assert kept == [bytes(32)]


def test_only_lasting_keys_last() -> None:
    """On the ring's pages neither the root nor a stretched password outlives its expansion."""
    pool = PagePool(2)
    ring = KeyRing(pool, (view(ENCRYPTION_KEY), view(MASTER_PASSWORD)))
    group = ring.new_group()
    stretched = hashlib.scrypt(PASSWORD, salt=group.salt, n=2**14, r=8, p=1, dklen=32)
    with ring.record_keys(view(PASSWORD), group):
        memory = bytes(pool._region)
    lasting = 4 * 32 + 2 * 32  # record, tag, chain and box; a mnemonic's and a wallet's key
    assert stretched not in memory
    assert lasting - 8 <= sum(map(bool, memory)) <= lasting
    ring.close()
    assert not any(pool._region)
