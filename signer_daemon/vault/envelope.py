"""The sealed secret: how a password, a mnemonic or a private key comes in.

A libsodium sealed box to our X25519 key, so that whoever carries it (the gateway) learns nothing,
of

    nonce (16) || expiry (8, Unix seconds, big endian) || binding (32) || secret

The binding ties it to one start of the signer and one request, the nonce to one use: whoever
carries it can neither keep it nor spend it on something else.
"""

import hashlib
import hmac
import struct
import threading
from collections.abc import Callable

from signer_daemon.vault.errors import EnvelopeReason, EnvelopeRejected
from signer_daemon.vault.keyring import KeyRing
from signer_daemon.vault.memory import Page
from signer_daemon.vault.primitives import SEALED_BOX_OVERHEAD
from signer_daemon.vault.text import SECRET_BYTES_MAX, check_password

SECONDS_AHEAD_MAX = 300
LIVE_NONCES_MAX = 100_000
_HEADER_BYTES = 16 + 8 + 32


def binding(boot_id: bytes, purpose: str, rpc: str, *fields: str) -> bytes:
    """Returns the binding (32) of a secret to a request; every part is preceded by its length."""
    digest = hashlib.sha256(b"solward/binding/v1\0" + boot_id)
    for part in (purpose, rpc, *fields):
        encoded = part.encode()
        digest.update(struct.pack(">I", len(encoded)) + encoded)
    return digest.digest()


class EnvelopeOpener:
    """Opens each sealed secret once. Safe between threads."""

    def __init__(
        self,
        keyring: KeyRing,
        boot_id: bytes,
        wall_clock: Callable[[], float],
        *,
        live_nonces_max: int = LIVE_NONCES_MAX,
    ) -> None:
        """`wall_clock` gives Unix seconds; `boot_id` is 16 random bytes of this start."""
        self._keyring = keyring
        self._boot_id = boot_id
        self._wall_clock = wall_clock
        self._live_nonces_max = live_nonces_max
        self._live_nonces: dict[int, set[bytes]] = {}  # by expiry: at most 301 of them
        self._latest = 0.0
        self._lock = threading.Lock()

    def open(self, sealed: bytes, page: Page, purpose: str, rpc: str, *fields: str) -> memoryview:
        """Opens a secret of at most 1,024 bytes onto `page` and returns it.

        Raises EnvelopeRejected, and leaves the page zero, if it is not for us, for another request,
        out of its time or used before.
        """
        size = len(sealed) - SEALED_BOX_OVERHEAD
        if not _HEADER_BYTES <= size <= _HEADER_BYTES + SECRET_BYTES_MAX:
            raise EnvelopeRejected(EnvelopeReason.MALFORMED)
        plain = page.take(size)
        try:
            if not self._keyring.open_box(sealed, plain):
                raise EnvelopeRejected(EnvelopeReason.MALFORMED)
            if not hmac.compare_digest(plain[24:56], binding(self._boot_id, purpose, rpc, *fields)):
                raise EnvelopeRejected(EnvelopeReason.OTHER_REQUEST)
            (expiry,) = struct.unpack_from(">Q", plain, 16)
            # Last, so that a secret refused for another reason is still good for its own request.
            self._use_once(bytes(plain[:16]), expiry)
        except BaseException:
            page.wipe()
            raise
        return plain[_HEADER_BYTES:]

    def open_password(
        self, sealed: bytes, page: Page, purpose: str, rpc: str, *fields: str
    ) -> memoryview:
        """Opens a secret that must keep a password's rules; may also raise PasswordRejected."""
        password = self.open(sealed, page, purpose, rpc, *fields)
        try:
            check_password(password)
        except BaseException:
            page.wipe()
            raise
        return password

    def _use_once(self, nonce: bytes, expiry: int) -> None:
        with self._lock:
            # Never back: a clock set back would bring forgotten nonces to life.
            self._latest = now = max(self._latest, self._wall_clock())
            if expiry <= now:
                raise EnvelopeRejected(EnvelopeReason.EXPIRED)
            if expiry > now + SECONDS_AHEAD_MAX:
                raise EnvelopeRejected(EnvelopeReason.TOO_FAR_AHEAD)
            for past in [second for second in self._live_nonces if second <= now]:
                del self._live_nonces[past]
            # By expiry and nonce: both are inside the box, so neither can be changed to make a
            # second use.
            used = self._live_nonces.setdefault(expiry, set())
            if nonce in used:
                raise EnvelopeRejected(EnvelopeReason.REPLAYED)
            # Full means refuse, not forget: a forgotten nonce could be used again.
            if sum(map(len, self._live_nonces.values())) >= self._live_nonces_max:
                raise EnvelopeRejected(EnvelopeReason.TOO_MANY)
            used.add(nonce)
