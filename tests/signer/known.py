"""What the secrets give, computed a second time by other code: hashlib, hmac, bip_utils.

Nothing of the signer is imported here. So these are both the needles to look for in its memory, and
a second reading of its formats.
"""

import hashlib
import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from bip_utils import Bip32Slip10Ed25519, Bip39SeedGenerator
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def hkdf(ikm: bytes, salt: bytes, info: bytes) -> bytes:
    """32 bytes of HKDF-SHA256, as RFC 5869 writes it."""
    extracted = hmac.new(salt or bytes(32), ikm, "sha256").digest()
    return hmac.new(extracted, b"solward/v1/" + info + b"\x01", "sha256").digest()


def scrypt(password: bytes, salt: bytes, log2n: int) -> bytes:
    """32 bytes of scrypt with r 8 and p 1."""
    return hashlib.scrypt(password, salt=salt, n=1 << log2n, r=8, p=1, dklen=32, maxmem=1 << 28)


@dataclass(frozen=True, slots=True)
class Root:
    """What ENCRYPTION_KEY and MASTER_PASSWORD give."""

    salt: bytes
    stretched: bytes
    root: bytes

    @classmethod
    def of(cls, encryption_key: bytes, master_password: str) -> "Root":
        """Derive it."""
        salt = hkdf(encryption_key, b"", b"master-salt")
        stretched = scrypt(master_password.encode(), salt, 15)
        return cls(salt, stretched, hkdf(stretched, encryption_key, b"root"))

    def key(self, name: bytes) -> bytes:
        """One of: record, ownership-tag, audit-chain, box, key-id."""
        return hkdf(self.root, b"", name)

    @property
    def key_id(self) -> str:
        """The id of the pair of secrets."""
        return hashlib.sha256(b"solward/key-id/v1" + self.key(b"key-id")).hexdigest()[:8]

    @property
    def box_secret(self) -> bytes:
        """The X25519 secret that libsodium makes of the box's seed."""
        return hashlib.sha512(self.key(b"box")).digest()[:32]


@dataclass(frozen=True, slots=True)
class Record:
    """A sealed record, taken apart."""

    kind: str
    log2n: int
    key_id: str
    salt: bytes
    nonce: bytes
    ciphertext: bytes
    header: str
    key_group: str

    @classmethod
    def parse(cls, text: str) -> "Record":
        """Take a record apart."""
        version, kind, kdf, cost, key_id, salt, nonce, ciphertext = text.split("$")
        group = f"{kdf}${cost}${key_id}${salt}"
        name = urlsafe_b64encode(hashlib.sha256(group.encode()).digest()).decode()[:22]
        return cls(
            kind,
            int(cost.split(",")[0]),
            key_id,
            _decoded(salt),
            _decoded(nonce),
            _decoded(ciphertext),
            f"{version}${kind}${group}",
            name,
        )

    def keys(self, root: Root, password: str) -> dict[str, bytes]:
        """The scrypt output and the two keys that a password gives for the record's group."""
        stretched = scrypt(password.encode(), self.salt, self.log2n)
        kinds = {
            f"{kind} key": hkdf(stretched, root.key(b"record"), b"record-key/" + kind.encode())
            for kind in ("mnemonic", "wallet")
        }
        return {"stretched": stretched, **kinds}

    def open(self, root: Root, password: str, address: str, fingerprint: str, index: int) -> bytes:
        """The plaintext. Raises cryptography's InvalidTag."""
        bound = f"{self.header}${address}${fingerprint}${'-' if index == -1 else index}"
        key = self.keys(root, password)[f"{self.kind} key"]
        return AESGCM(key).decrypt(self.nonce, self.ciphertext, bound.encode())


def archive_keys(archive: bytes, password: str) -> dict[str, bytes]:
    """The scrypt output and the key of a vault archive."""
    magic = b"solward-vault1\n"
    assert archive.startswith(magic)
    log2n, salt = archive[len(magic)], archive[len(magic) + 1 :][:16]
    stretched = scrypt(password.encode(), salt, log2n)
    return {"stretched": stretched, "key": hkdf(stretched, b"", b"archive")}


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def mnemonic_of(plaintext: bytes) -> tuple[str, str]:
    """The mnemonic and passphrase of an opened master record."""
    (size,) = struct.unpack_from(">H", plaintext)
    (passphrase_size,) = struct.unpack_from(">H", plaintext, 2 + size)
    start = 4 + size
    return plaintext[2 : 2 + size].decode(), plaintext[start : start + passphrase_size].decode()


def bip39_seed(mnemonic: str, passphrase: str) -> bytes:
    """The seed of a mnemonic, by bip_utils."""
    return bytes(Bip39SeedGenerator(mnemonic).Generate(passphrase))


def nodes(seed: bytes, index: int) -> dict[str, bytes]:
    """Every key and chain code on the way to m/44'/501'/{index}'/0', by bip_utils."""
    found = {}
    node, path = Bip32Slip10Ed25519.FromSeed(seed), "m"
    for step in ("", "44'", "501'", f"{index}'", "0'"):
        if step:
            node, path = node.DerivePath(step), f"{path}/{step}"
        found[f"{path} key"] = node.PrivateKey().Raw().ToBytes()
        found[f"{path} chain code"] = node.ChainCode().ToBytes()
    return found


def wallet_seed(seed: bytes, index: int) -> bytes:
    """The 32-byte private key of one wallet."""
    return nodes(seed, index)[f"m/44'/501'/{index}'/0' key"]


def ownership_tag(root: Root, address: str, fingerprint: str, index: int) -> str:
    """The tag that the signer must give for a wallet."""
    claim = f"solward/tag/v1\0{address}\0{fingerprint}\0{'-' if index == -1 else index}".encode()
    mac = hmac.new(root.key(b"ownership-tag"), claim, "sha256").digest()
    return f"t1.{root.key_id}.{urlsafe_b64encode(mac).decode().rstrip('=')}"
