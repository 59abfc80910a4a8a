"""The doors to libsodium and OpenSSL: secrets go from page to page, only public data comes back.

All lengths are in bytes. Callers give buffers of the exact size; nothing here allocates room for a
secret, save the `bytes` that HMAC returns, which are wiped before they are let go.
"""

import hmac
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from nacl._sodium import ffi, lib

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Anything with contiguous bytes. A secret is always the `memoryview` of a page."""

# Looked up once: a derivation of 10,000 wallets wipes 20,000 HMACs.
_view, _memzero = ffi.from_buffer, lib.sodium_memzero

SEALED_BOX_OVERHEAD = int(lib.crypto_box_sealbytes())


def wipe(buffer: Buffer) -> None:
    """Zeroes a buffer, and no compiler leaves it out. Also `bytes`, if they are nobody else's."""
    _memzero(_view(buffer), len(buffer))


def random_into(out: memoryview | bytearray) -> None:
    """Fills `out` from the kernel's generator."""
    lib.randombytes(_view(out), len(out))


def sha256_into(data: Buffer, out: memoryview) -> None:
    """Writes SHA-256 of `data` to `out` (32)."""
    _exactly(out, 32)
    lib.crypto_hash_sha256(_view(out), _view(data), len(data))


def hmac_into(key: Buffer, message: Buffer, digest: str, out: memoryview) -> None:
    """Writes HMAC-`digest` to `out` (32 for sha256, 64 for sha512).

    OpenSSL's one-shot HMAC is several times faster than one built on libsodium's hashes, but Python
    hands its result over as `bytes`: fresh and ours alone, so they are wiped where they lie.
    """
    mac = hmac.digest(key, message, digest)
    try:
        out[:] = mac
    finally:
        _memzero(_view(mac), len(mac))


def hkdf_sha256_into(ikm: Buffer, salt: Buffer, info: bytes, out: memoryview) -> None:
    """Writes the first 32 bytes of HKDF-SHA256 (RFC 5869) to `out` (32).

    One block of output is two HMACs. The library's HKDF wants salts as `bytes`; ours are secrets.
    """
    hmac_into(salt, ikm, "sha256", out)
    hmac_into(out, info + b"\x01", "sha256", out)


def bind_ed25519_keypair(
    seed: memoryview, public: memoryview, secret: memoryview
) -> Callable[[], int]:
    """Returns a call that expands `seed` (32) to `public` (32) and `secret` (64, seed || public).

    The buffers are looked up once: a derivation of 10,000 wallets makes this call 10,000 times.
    `secret` must not overlap `seed`: libsodium writes a hash there before it reads the seed again.
    """
    _exactly(seed, 32)
    _exactly(public, 32)
    _exactly(secret, 64)
    return partial(
        lib.crypto_sign_seed_keypair,
        _view(public),
        _view(secret),
        _view(seed),
    )


def ed25519_sign(secret: memoryview, message: Buffer) -> bytes:
    """Returns the signature (64) of `message` by `secret` (64)."""
    _exactly(secret, 64)
    signed = bytearray(64 + len(message))
    length = ffi.new("unsigned long long *")
    lib.crypto_sign(
        _view(signed),
        length,
        _view(message),
        len(message),
        _view(secret),
    )
    return bytes(signed[:64])


def x25519_keypair_into(seed: memoryview, public: bytearray, secret: memoryview) -> None:
    """Expands `seed` (32) into an X25519 key pair, `public` (32) and `secret` (32)."""
    _exactly(seed, 32)
    _exactly(public, 32)
    _exactly(secret, 32)
    lib.crypto_box_seed_keypair(_view(public), _view(secret), _view(seed))


def sealed_box_open_into(sealed: bytes, public: bytes, secret: memoryview, out: memoryview) -> bool:
    """Opens a sealed box to `out` (its length less 48). False if not for this key, or altered."""
    _exactly(public, 32)
    _exactly(secret, 32)
    _exactly(out, len(sealed) - SEALED_BOX_OVERHEAD)
    outcome: int = lib.crypto_box_seal_open(
        _view(out),
        _view(sealed),
        len(sealed),
        _view(public),
        _view(secret),
    )
    return outcome == 0


def sealed_box(secret: memoryview, recipient: bytes) -> bytes:
    """Returns `secret` in a sealed box to an X25519 public key (32): how a secret leaves on export.

    Raises ValueError if `recipient` is of the wrong length or a point of small order, whose boxes
    anyone could open.
    """
    _exactly(recipient, 32)
    sealed = bytearray(len(secret) + SEALED_BOX_OVERHEAD)
    outcome: int = lib.crypto_box_seal(_view(sealed), _view(secret), len(secret), _view(recipient))
    if outcome != 0:
        raise ValueError("the recipient is not a usable X25519 public key")
    return bytes(sealed)


def _exactly(buffer: Buffer, size: int) -> None:
    # C takes our word for the length: a wrong one would read or write beyond the buffer.
    if len(buffer) != size:
        raise ValueError(f"a buffer of {size} bytes is needed, not {len(buffer)}")
