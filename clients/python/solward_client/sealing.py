"""Sealing of passwords and keys to the signer, as `solward.signer.v1.SignerService` describes.

A sealed secret is a libsodium sealed box of

    nonce (16) || expiry (8, unix seconds, big endian) || binding (32) || secret

to the signer's X25519 key. The binding ties it to one start of the signer, one RPC and the fields
of one request, so whoever carries it can use it for nothing else, and only once.
"""

import hashlib
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nacl.public import PublicKey, SealedBox

Purpose = Literal["password", "new_password", "private_key", "mnemonic", "passphrase"]

DOMAIN = b"solward/binding/v1\0"
# The signer takes at most 300 s; half of it leaves room for clocks that differ.
LIFETIME_S = 150


@dataclass(frozen=True, slots=True)
class SignerKey:
    """The signer's X25519 public key (32 bytes; pin it) and the id of its start (16 bytes)."""

    box_public_key: bytes
    boot_id: bytes


def binding(boot_id: bytes, purpose: Purpose, rpc: str, fields: Sequence[str | int]) -> bytes:
    """Return the 32-byte binding of a secret to a request; `fields` as its RPC's comment says."""
    digest = hashlib.sha256(DOMAIN + boot_id)
    for part in (purpose, rpc, *map(str, fields)):
        raw = part.encode()
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return digest.digest()


def seal(
    key: SignerKey,
    secret: bytes,
    *,
    purpose: Purpose,
    rpc: str,
    fields: Sequence[str | int],
    now_s: float,
) -> bytes:
    """Return `secret` sealed to the signer for one use within `LIFETIME_S` of `now_s` (unix)."""
    expiry = (int(now_s) + LIFETIME_S).to_bytes(8, "big")
    bound = binding(key.boot_id, purpose, rpc, fields)
    body = secrets.token_bytes(16) + expiry + bound + secret
    return bytes(SealedBox(PublicKey(key.box_public_key)).encrypt(body))


def mnemonic_bytes(mnemonic: str) -> bytes:
    """Return a mnemonic as the signer wants it: NFKD, one space between words, UTF-8."""
    return " ".join(unicodedata.normalize("NFKD", mnemonic).split()).encode()
