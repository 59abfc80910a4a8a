"""What ENCRYPTION_KEY and MASTER_PASSWORD give: the keys that every other room asks for.

    root         HKDF(ikm = scrypt(MASTER_PASSWORD), salt = ENCRYPTION_KEY); forgotten once expanded
    ├── key id   says in the clear which pair of secrets sealed a record
    ├── record   with scrypt(password): the keys of sealed records
    ├── tag      ownership tags
    ├── chain    the audit log's hash chain
    └── box      the seed of the X25519 pair that secrets are sealed to

So a record needs three secrets: the user's password and both of ours. A ring holds the current pair
and, while a rotation lasts, the previous one; whatever is new is made under the current.
"""

import hmac
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from signer_daemon.vault.derivation import Identity
from signer_daemon.vault.errors import (
    KdfBusy,
    OwnershipRejected,
    PasswordRejected,
    RecordRejected,
    SecretsInvalid,
)
from signer_daemon.vault.memory import Page, PagePool
from signer_daemon.vault.primitives import (
    Buffer,
    hkdf_sha256_into,
    sealed_box_open_into,
    sha256_into,
    wipe,
    x25519_keypair_into,
)
from signer_daemon.vault.records import KDF_LOG2N, KeyGroup, Kind, RecordKeys
from signer_daemon.vault.text import SECRET_BYTES_MAX, check_password

_ROOT_LOG2N = 15  # once per start: twice a record's cost is nothing there, and it guards everything
_INFO = b"solward/v1/"
_KEY_ID = b"solward/key-id/v1"

Secrets = tuple[memoryview, memoryview]
"""ENCRYPTION_KEY (32 bytes) and MASTER_PASSWORD (UTF-8, 32 characters or more)."""


class _Root:
    """The keys of one pair of secrets, on a page of their own."""

    def __init__(self, secrets: Secrets, page: Page) -> None:
        encryption_key, master_password = secrets
        if len(encryption_key) != 32:
            raise SecretsInvalid("ENCRYPTION_KEY must be 32 bytes")
        try:
            check_password(master_password, characters_min=32, characters_max=SECRET_BYTES_MAX)
        except PasswordRejected as error:
            raise SecretsInvalid(f"MASTER_PASSWORD: {error}") from None
        self.record, self.tag, self.chain, self.box_secret = (page.take(32) for _ in range(4))
        passing = page.take(3 * 32 + len(_KEY_ID) + 32)
        root, salt, box_seed = (passing[at : at + 32] for at in (0, 32, 64))
        key_id = passing[96:]
        hkdf_sha256_into(encryption_key, b"", _INFO + b"master-salt", salt)
        _scrypt_into(master_password, salt, _ROOT_LOG2N, root)
        hkdf_sha256_into(root, encryption_key, _INFO + b"root", root)
        for out, name in (
            (self.record, b"record"),
            (self.tag, b"ownership-tag"),
            (self.chain, b"audit-chain"),
            (box_seed, b"box"),
            (key_id[len(_KEY_ID) :], b"key-id"),
        ):
            hkdf_sha256_into(root, b"", _INFO + name, out)
        box_public = bytearray(32)
        x25519_keypair_into(box_seed, box_public, self.box_secret)
        self.box_public = bytes(box_public)
        # Hashed once more: what is shown is no output of the HKDF that the keys come from.
        key_id[: len(_KEY_ID)] = _KEY_ID
        sha256_into(key_id, salt)
        self.key_id = salt[:4].hex()
        wipe(passing)


class KeyRing:
    """The keys of the current and perhaps the previous secrets. Safe between threads."""

    def __init__(
        self,
        pool: PagePool,
        current: Secrets,
        previous: Secrets | None = None,
        *,
        kdf_slots: int = 2,
        kdf_wait_seconds: float = 10.0,
    ) -> None:
        """Derives the keys, about 60 ms for each pair; the caller wipes the secrets afterwards.

        A run of scrypt takes 16 MiB and a core, so at most `kdf_slots` run at a time and a request
        waits at most `kdf_wait_seconds` for its turn. Raises SecretsInvalid or MemoryUnavailable.
        """
        self._pool = pool
        self._roots: dict[str, _Root] = {}
        self._pages = [pool.lease() for _ in range(1 if previous is None else 2)]
        try:
            self._current = _Root(current, self._pages[0])
            self._roots = {self._current.key_id: self._current}
            if previous is not None:
                # The current last, so that it stands even if both pairs are the same.
                root = _Root(previous, self._pages[1])
                self._roots = {root.key_id: root, self.key_id: self._current}
        except BaseException:
            self.close()
            raise
        self._kdf_slots = threading.BoundedSemaphore(kdf_slots)
        self._kdf_wait_seconds = kdf_wait_seconds
        self._kdf_run_count = 0
        self._kdf_count_lock = threading.Lock()

    def close(self) -> None:
        """Wipes the keys and forgets them: a key of zeroes must not seal anything."""
        self._roots = {}
        while self._pages:
            self._pool.give_back(self._pages.pop())

    @property
    def key_id(self) -> str:
        """The id (8 hex characters) of the current secrets."""
        return self._current.key_id

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all secrets that open a record here."""
        return tuple(self._roots)

    @property
    def box_public_key(self) -> bytes:
        """The X25519 public key (32) that secrets are sealed to."""
        return self._current.box_public

    @property
    def kdf_run_count(self) -> int:
        """Runs of scrypt for passwords since the start."""
        return self._kdf_run_count

    def audit_chain_key(self, key_id: str | None = None) -> memoryview:
        """Returns the audit chain's key (32). Raises KeyError for a `key_id` we don't have."""
        return self._roots[key_id or self.key_id].chain

    def open_box(self, sealed: bytes, out: memoryview) -> bool:
        """Opens a sealed box to `out` (its length less 48). False if not for us, or altered."""
        return sealed_box_open_into(sealed, self._current.box_public, self._current.box_secret, out)

    def new_group(self, log2n: int = KDF_LOG2N) -> KeyGroup:
        """Returns a key group with a new salt, under the current secrets."""
        return KeyGroup.fresh(self.key_id, log2n)

    @contextmanager
    def record_keys(self, password: memoryview, group: KeyGroup) -> Iterator[RecordKeys]:
        """Runs scrypt once and lends the record keys of the group, for the length of a block.

        Whether the password is right only shows when a record is opened. Raises RecordRejected if
        the group is of secrets that we don't have, KdfBusy if there is no slot in time,
        MemoryUnavailable.
        """
        root = self._roots.get(group.key_id)
        if root is None:
            raise RecordRejected
        with self._pool.page() as page:
            stretched, mnemonic, wallet = (page.take(32) for _ in range(3))
            self._stretch(password, group.salt, group.log2n, stretched)
            keys = RecordKeys(group, mnemonic, wallet)
            for kind in Kind:
                info = _INFO + b"record-key/" + kind.encode()
                hkdf_sha256_into(stretched, root.record, info, keys.of(kind))
            wipe(stretched)
            yield keys

    @contextmanager
    def archive_key(self, password: memoryview, salt: bytes, log2n: int) -> Iterator[memoryview]:
        """Runs scrypt once and lends an archive's key (32), which needs no secret of this signer.

        Raises KdfBusy or MemoryUnavailable.
        """
        with self._pool.page() as page:
            stretched, key = page.take(32), page.take(32)
            self._stretch(password, salt, log2n, stretched)
            hkdf_sha256_into(stretched, b"", _INFO + b"archive", key)
            wipe(stretched)
            yield key

    def _stretch(self, password: memoryview, salt: bytes, log2n: int, out: memoryview) -> None:
        if not self._kdf_slots.acquire(timeout=self._kdf_wait_seconds):
            raise KdfBusy("too many password derivations at once")
        try:
            _scrypt_into(password, salt, log2n, out)
        finally:
            self._kdf_slots.release()
        with self._kdf_count_lock:
            self._kdf_run_count += 1

    def tag(self, identity: Identity) -> str:
        """Returns the ownership tag: proof, for us, that we derived or sealed this wallet."""
        return _tag(self._current, identity)

    def verify_tag(self, tag: str, identity: Identity) -> None:
        """Raises OwnershipRejected unless the tag is ours and for this very identity."""
        key_id = tag[3:11]  # t1.<key_id>.<mac>
        root = self._roots.get(key_id)
        if root is None or not identity.is_well_formed or not tag.isascii():
            raise OwnershipRejected
        if not hmac.compare_digest(tag, _tag(root, identity)):
            raise OwnershipRejected


def _tag(root: _Root, identity: Identity) -> str:
    # The tag is public: of what HMAC returns here, nothing needs to be wiped.
    claim = "solward/tag/v1\0" + identity.joined("\0")
    mac = hmac.digest(root.tag, claim.encode(), "sha256")
    return f"t1.{root.key_id}.{urlsafe_b64encode(mac).decode()[:43]}"


def _scrypt_into(password: Buffer, salt: Buffer, log2n: int, out: memoryview) -> None:
    # The library insists on `bytes`; the root's salt comes of a secret, so it is wiped.
    fresh = bytes(memoryview(salt))
    try:
        Scrypt(salt=fresh, length=len(out), n=1 << log2n, r=8, p=1).derive_into(password, out)
    finally:
        wipe(fresh)
