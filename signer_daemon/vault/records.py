"""The sealed record: a wallet's seed or a master's mnemonic at rest, as one line of text.

    solward1$<kind>$scrypt$<log2n>,<r>,<p>$<key_id>$<salt>$<nonce>$<ciphertext>

AES-256-GCM; the additional data is the first six fields as they stand, then
`$address$fingerprint$index`. AES-GCM does not commit to its key, so what was opened must also be
what it claims to be: the public half is the address, the master's fingerprint is the fingerprint.
"""

import hashlib
import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from signer_daemon.vault import mnemonic as bip39
from signer_daemon.vault.derivation import IMPORTED, Branch, Identity, KeyPair
from signer_daemon.vault.errors import RecordRejected
from signer_daemon.vault.memory import Page
from signer_daemon.vault.primitives import random_into, wipe

KDF_LOG2N = 14  # 16 MiB and about 30 ms a run

# Base64url without padding. 12, 48 and 1,296 bytes fill their last character; 16 bytes leave it
# four bits, which must be zero: so a text that matches has one spelling, and no character of it
# changes unnoticed. The bounds are here too: N of 2^14 or 2^15 (32 MiB is the most a stranger's
# record can cost us), r 8, p 1.
_RECORD = re.compile(
    r"solward1\$(mnemonic|wallet)\$scrypt\$(1[4-5]),8,1\$([0-9a-f]{8})\$([\w-]{21}[AQgw])"
    r"\$([\w-]{16})\$([\w-]{1728}|[\w-]{64})",
    re.ASCII,
)
_NONCE_BYTES, _TAG_BYTES = 12, 16
_NONCE_BATCH = 256


class Kind(StrEnum):
    """What a record holds. Each has keys of its own: a session's cannot open a mnemonic."""

    MNEMONIC = "mnemonic"
    WALLET = "wallet"


# A mnemonic's is fixed, so that a record's length tells neither word count nor passphrase.
PLAINTEXT_BYTES = {Kind.MNEMONIC: 1280, Kind.WALLET: 32}


@dataclass(frozen=True, slots=True)
class KeyGroup:
    """What a password meets to give a key: one scrypt run serves all records of a group."""

    log2n: int
    key_id: str
    salt: bytes

    @classmethod
    def fresh(cls, key_id: str, log2n: int = KDF_LOG2N) -> "KeyGroup":
        """Returns a group with a new salt (16)."""
        salt = bytearray(16)
        random_into(salt)
        return cls(log2n, key_id, bytes(salt))

    @property
    def text(self) -> str:
        """The group as it stands in a record."""
        return f"scrypt${self.log2n},8,1${self.key_id}${_base64(self.salt)[:22]}"

    @property
    def name(self) -> str:
        """Its name in requests: 22 characters."""
        return _base64(hashlib.sha256(self.text.encode()).digest())[:22]

    def header(self, kind: Kind) -> str:
        """Returns the first six fields of a record of this group."""
        return f"solward1${kind}${self.text}"


class RecordKeys(NamedTuple):
    """What a password gives for a key group: two keys (32) on a page that someone else leases."""

    group: KeyGroup
    mnemonic: memoryview
    wallet: memoryview

    def of(self, kind: Kind) -> memoryview:
        """Returns the key for one kind of record."""
        return self.mnemonic if kind is Kind.MNEMONIC else self.wallet


class Master(NamedTuple):
    """An open master: BIP39 mnemonic and passphrase (UTF-8, NFKD) and its branch, on one page."""

    mnemonic: memoryview
    passphrase: memoryview
    branch: Branch

    @classmethod
    def load(cls, mnemonic: memoryview, passphrase: memoryview, page: Page) -> "Master":
        """Derives the branch, on `page`, of a mnemonic that has been validated."""
        return cls(mnemonic, passphrase, Branch(bip39.seed(mnemonic, passphrase, page), page))

    @property
    def identity(self) -> Identity:
        """What its record is bound to."""
        return Identity("", self.branch.fingerprint, IMPORTED)


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record's fields, parsed and within bounds, still sealed."""

    kind: Kind
    group: KeyGroup
    nonce: bytes
    ciphertext: bytes

    @classmethod
    def parse(cls, text: str) -> "SealedRecord":
        """Reads a record. Raises RecordRejected unless written exactly as `Sealer` writes."""
        match = _RECORD.fullmatch(text)
        if match is None:
            raise RecordRejected
        kind, log2n, key_id, salt, nonce, ciphertext = match.groups()
        record = cls(
            Kind(kind),
            KeyGroup(int(log2n), key_id, urlsafe_b64decode(salt + "==")),
            urlsafe_b64decode(nonce),
            urlsafe_b64decode(ciphertext),
        )
        if len(record.ciphertext) != PLAINTEXT_BYTES[record.kind] + _TAG_BYTES:
            raise RecordRejected
        return record

    def open_wallet(self, key: memoryview, identity: Identity, pair: KeyPair) -> None:
        """Opens a wallet's key into `pair`, or raises RecordRejected and leaves `pair` zero."""
        try:
            self._decrypt(Kind.WALLET, key, identity, pair.seed)
            if pair.expand() != identity.address:
                raise RecordRejected
        except BaseException:
            pair.wipe()
            raise

    def open_master(self, key: memoryview, fingerprint: str, page: Page) -> Master:
        """Opens a mnemonic onto `page`, or raises RecordRejected and leaves the page zero."""
        try:
            plain = page.take(PLAINTEXT_BYTES[Kind.MNEMONIC])
            self._decrypt(Kind.MNEMONIC, key, Identity("", fingerprint, IMPORTED), plain)
            mnemonic, rest = _counted(plain)
            passphrase, _ = _counted(rest)
            master = Master.load(mnemonic, passphrase, page)
            if master.branch.fingerprint != fingerprint:
                raise RecordRejected
        except BaseException:
            page.wipe()
            raise
        return master

    def _decrypt(self, kind: Kind, key: memoryview, identity: Identity, out: memoryview) -> None:
        if self.kind is not kind or not identity.is_well_formed:
            raise RecordRejected
        bound = f"{self.group.header(kind)}${identity.joined('$')}".encode()
        open_into(key, self.nonce, self.ciphertext, bound, out)


class Sealer:
    """Seals records of one kind and key group. For one thread and one request.

    OpenSSL keeps the key's schedule on its own heap while this object lives, and wipes it when it
    goes. Nonces are random: 96 bits hold for 2^32 records of one key, and a group has at most 2^31
    wallets.
    """

    __slots__ = ("_aead", "_next_nonce", "_nonces", "_out", "_prefix", "_views")

    def __init__(self, keys: RecordKeys, kind: Kind) -> None:
        self._aead = AESGCM(keys.of(kind))
        self._prefix = keys.group.header(kind) + "$"
        self._nonces = bytearray(_NONCE_BYTES * _NONCE_BATCH)
        self._next_nonce = len(self._nonces)
        # nonce || ciphertext || tag: 12 bytes fill 16 characters, so all is encoded in one go.
        self._out = bytearray(_NONCE_BYTES + PLAINTEXT_BYTES[kind] + _TAG_BYTES)
        self._views = memoryview(self._out)[:_NONCE_BYTES], memoryview(self._out)[_NONCE_BYTES:]

    def seal(self, plaintext: memoryview, identity: Identity) -> str:
        """Returns the sealed record of a plaintext of the kind's exact length."""
        at = self._next_nonce
        if at == len(self._nonces):
            random_into(self._nonces)
            at = 0
        self._next_nonce = at + _NONCE_BYTES
        nonce, sealed = self._views
        nonce[:] = self._nonces[at : self._next_nonce]
        bound = f"{self._prefix}{identity.joined('$')}".encode()
        self._aead.encrypt_into(nonce, plaintext, bound, sealed)
        text = _base64(self._out)
        return f"{self._prefix}{text[:16]}${text[16:]}"

    def seal_master(self, master: Master, page: Page) -> str:
        """Returns the sealed record of a mnemonic and its passphrase; `page` lends room."""
        with page.scratch(PLAINTEXT_BYTES[Kind.MNEMONIC]) as plain:
            rest = _write_counted(plain, master.mnemonic)
            _write_counted(rest, master.passphrase)
            return self.seal(plain, master.identity)


def open_into(
    key: memoryview, nonce: bytes, ciphertext: bytes, bound: bytes, out: memoryview
) -> None:
    """Opens AES-256-GCM to `out`; or raises RecordRejected and leaves it zero."""
    try:
        AESGCM(key).decrypt_into(nonce, ciphertext, bound, out)
    except InvalidTag:
        # The library has written what it decrypted before it knew that it must not.
        wipe(out)
        raise RecordRejected from None


def _counted(plain: memoryview) -> tuple[memoryview, memoryview]:
    """Returns a text with its length before it, and what follows."""
    (size,) = struct.unpack_from(">H", plain)
    if size > len(plain) - 4:
        raise RecordRejected
    return plain[2 : 2 + size], plain[2 + size :]


def _write_counted(plain: memoryview, text: memoryview) -> memoryview:
    struct.pack_into(">H", plain, 0, len(text))
    plain[2 : 2 + len(text)] = text
    return plain[2 + len(text) :]


def _base64(data: bytes | bytearray) -> str:
    return urlsafe_b64encode(data).decode()
