"""The bare primitives, and nothing around them: what the work costs at the least.

All are CPU seconds of this process, the best of three runs.
"""

import hashlib
import hmac
import os
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl._sodium import ffi, lib
from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

RUNS = 3


def _best(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return min(spent)


def derive_s(count: int) -> float:
    """2 HMAC-SHA512, 1 ed25519 key pair and 1 AES-256-GCM seal for each wallet."""
    cipher, nonce, key = AESGCM(os.urandom(32)), os.urandom(12), os.urandom(32)
    seed, public, secret = bytearray(32), bytearray(32), bytearray(64)
    sealed = bytearray(48)
    views = [ffi.from_buffer(buffer) for buffer in (public, secret, seed)]

    def work() -> None:
        for index in range(count):
            message = b"\0" + key + index.to_bytes(4, "big")
            node = hmac.digest(key, message, "sha512")
            seed[:] = hmac.digest(key, node[:37], "sha512")[:32]
            lib.crypto_sign_seed_keypair(*views)
            cipher.encrypt_into(nonce, seed, None, sealed)

    return _best(work)


def sign_s(messages: list[bytes]) -> float:
    """One ed25519 signature for each message."""
    _, secret = crypto_sign_seed_keypair(os.urandom(32))

    def work() -> None:
        for message in messages:
            crypto_sign(message, secret)

    return _best(work)


def scrypt_s(count: int) -> float:
    """`count` runs of scrypt, N 16384."""
    salt = os.urandom(16)

    def work() -> None:
        for _ in range(count):
            hashlib.scrypt(b"a password of the bench", salt=salt, n=1 << 14, r=8, p=1, dklen=32)

    return _best(work)
