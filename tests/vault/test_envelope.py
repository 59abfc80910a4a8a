"""Sealed secrets: for one signer, one start, one request, one use, and not for long."""

import hashlib
import os
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import nacl.public
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer_daemon.vault.envelope import EnvelopeOpener, binding
from signer_daemon.vault.errors import (
    EnvelopeReason,
    EnvelopeRejected,
    PasswordInvalid,
    PasswordTooShort,
)
from signer_daemon.vault.keyring import KeyRing
from signer_daemon.vault.memory import Page, PagePool
from tests.vault.samples import PASSWORD

NOW = 1_800_000_000
BOOT = b"sixteen bytes!!!"
REQUEST = ("password", "DeriveWallets", "fingerprint", "0", "100")


class Clock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at NOW."""
    return Clock()


@pytest.fixture
def opener(keyring: KeyRing, clock: Clock) -> EnvelopeOpener:
    """An opener of this start that has seen nothing."""
    return EnvelopeOpener(keyring, BOOT, clock)


@pytest.fixture(scope="session")
def seal(keyring: KeyRing) -> Callable[..., bytes]:
    """Seals as a client does, with PyNaCl."""
    box = nacl.public.SealedBox(nacl.public.PublicKey(keyring.box_public_key))

    def seal(
        secret: bytes = PASSWORD,
        *,
        nonce: bytes | None = None,
        expiry: int = NOW + 60,
        boot: bytes = BOOT,
        request: tuple[str, ...] = REQUEST,
    ) -> bytes:
        head = (nonce or os.urandom(16)) + struct.pack(">Q", expiry)
        return bytes(box.encrypt(head + binding(boot, *request) + secret))

    return seal


def refused(opener: EnvelopeOpener, sealed: bytes, page: Page, *request: str) -> EnvelopeReason:
    """Why it was refused; the page is zero."""
    with pytest.raises(EnvelopeRejected) as caught:
        opener.open(sealed, page, *(request or REQUEST))
    assert not any(page.view)
    return caught.value.reason


def test_binding_is_by_the_formula() -> None:
    """SHA-256 over label, boot id and length-prefixed parts, whatever their script."""
    data = b"solward/binding/v1\0" + BOOT
    for part in ("password", "OpenSession", "é", ""):
        data += struct.pack(">I", len(part.encode())) + part.encode()
    assert hashlib.sha256(data).digest() == binding(BOOT, "password", "OpenSession", "é", "")


@given(st.lists(st.text(max_size=5), min_size=2, max_size=5), st.integers(0, 4))
def test_bindings_differ_where_requests_do(parts: list[str], at: int) -> None:
    """Moving a border between two fields gives another binding."""
    at %= len(parts) - 1
    joined = [*parts[:at], parts[at] + parts[at + 1], *parts[at + 2 :]]
    assert binding(BOOT, "p", "R", *parts) != binding(BOOT, "p", "R", *joined)


def test_a_secret_opens_once(
    opener: EnvelopeOpener, seal: Callable[..., bytes], page: Page
) -> None:
    """The secret comes out whole, the first time only."""
    sealed = seal()
    assert bytes(opener.open(sealed, page, *REQUEST)) == PASSWORD
    page.wipe()
    assert refused(opener, sealed, page) is EnvelopeReason.REPLAYED


def test_a_nonce_is_used_once(
    opener: EnvelopeOpener, seal: Callable[..., bytes], page: Page
) -> None:
    """Sealed anew by a client that repeats its nonce and expiry, it is a replay as well."""
    nonce = bytes(16)
    opener.open(seal(nonce=b"n" * 16), page, *REQUEST)
    page.wipe()
    assert refused(opener, seal(b"other", nonce=b"n" * 16), page) is EnvelopeReason.REPLAYED
    assert opener.open(seal(nonce=nonce[:15] + b"\1"), page, *REQUEST)


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [
        (-1, EnvelopeReason.EXPIRED),
        (0, EnvelopeReason.EXPIRED),
        (1, None),
        (300, None),
        (301, EnvelopeReason.TOO_FAR_AHEAD),
        (2**63, EnvelopeReason.TOO_FAR_AHEAD),
    ],
)
def test_expiry_bounds(
    opener: EnvelopeOpener,
    seal: Callable[..., bytes],
    page: Page,
    seconds: int,
    reason: EnvelopeReason | None,
) -> None:
    """Good from 1 to 300 seconds ahead, at the second."""
    sealed = seal(expiry=NOW + seconds)
    if reason is None:
        assert bytes(opener.open(sealed, page, *REQUEST)) == PASSWORD
    else:
        assert refused(opener, sealed, page) is reason


def test_another_request_is_refused_and_does_not_use_it_up(
    opener: EnvelopeOpener, seal: Callable[..., bytes], page: Page
) -> None:
    """Another purpose, RPC, field, number of fields or start of the signer; then its own opens."""
    sealed = seal()
    for other in (
        ("new_password", *REQUEST[1:]),
        ("password", "RotateRecords", *REQUEST[2:]),
        (*REQUEST[:-1], "101"),
        REQUEST[:-1],
        (*REQUEST, ""),
    ):
        assert refused(opener, sealed, page, *other) is EnvelopeReason.OTHER_REQUEST
    assert refused(opener, seal(boot=b"an earlier start"), page) is EnvelopeReason.OTHER_REQUEST
    assert bytes(opener.open(sealed, page, *REQUEST)) == PASSWORD


@given(st.data())
def test_what_is_altered_does_not_open(
    keyring: KeyRing, pool: PagePool, seal: Callable[..., bytes], data: st.DataObject
) -> None:
    """Any byte changed, cut off or added, any junk: malformed, and the page is zero."""
    sealed = seal()
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = bytearray(sealed)
    changed[at] ^= data.draw(st.integers(1, 255))
    opener = EnvelopeOpener(keyring, BOOT, Clock())
    junk = data.draw(st.binary(max_size=200))
    for bad in (bytes(changed), sealed[:at], sealed + b"x", junk):
        with pool.page() as page:
            assert refused(opener, bad, page) is EnvelopeReason.MALFORMED


def test_size_bounds(opener: EnvelopeOpener, seal: Callable[..., bytes], pool: PagePool) -> None:
    """0 to 1,024 bytes of secret; more, or a box too short for its header, is malformed."""
    for secret in (b"", b"x" * 1024):
        with pool.page() as page:
            assert bytes(opener.open(seal(secret), page, *REQUEST)) == secret
    with pool.page() as page:
        assert refused(opener, seal(b"x" * 1025), page) is EnvelopeReason.MALFORMED


def test_password_rules(opener: EnvelopeOpener, seal: Callable[..., bytes], pool: PagePool) -> None:
    """12 characters open; 11, and what is not UTF-8, are refused and leave nothing."""
    with pool.page() as page:
        password = opener.open_password(seal("é".encode() * 12), page, *REQUEST)
        assert bytes(password) == "é".encode() * 12
    for secret, error in (("é".encode() * 11, PasswordTooShort), (b"\xff" * 12, PasswordInvalid)):
        with pool.page() as page:
            with pytest.raises(error):
                opener.open_password(seal(secret), page, *REQUEST)
            assert not any(page.view)


def test_live_nonces_are_bounded_and_expired_ones_forgotten(
    keyring: KeyRing, clock: Clock, seal: Callable[..., bytes], pool: PagePool
) -> None:
    """At the bound a new secret is refused, none is forgotten; room comes with expiry."""
    opener = EnvelopeOpener(keyring, BOOT, clock, live_nonces_max=3)
    used = [seal(expiry=NOW + 10), seal(expiry=NOW + 10), seal(expiry=NOW + 20)]
    for sealed in used:
        with pool.page() as page:
            opener.open(sealed, page, *REQUEST)
    with pool.page() as page:
        assert refused(opener, seal(), page) is EnvelopeReason.TOO_MANY
        assert refused(opener, used[0], page) is EnvelopeReason.REPLAYED
        clock.now = NOW + 10
        assert opener.open(seal(), page, *REQUEST)
        page.wipe()
        assert refused(opener, used[0], page) is EnvelopeReason.EXPIRED
        assert refused(opener, used[2], page) is EnvelopeReason.REPLAYED


def test_a_clock_set_back_revives_nothing(
    opener: EnvelopeOpener, clock: Clock, seal: Callable[..., bytes], page: Page
) -> None:
    """After an expiry has passed once, it has passed, whatever the clock says later."""
    sealed = seal(expiry=NOW + 10)
    opener.open(sealed, page, *REQUEST)
    page.wipe()
    clock.now = NOW + 11
    opener.open(seal(), page, *REQUEST)
    page.wipe()
    clock.now = NOW
    assert refused(opener, sealed, page) is EnvelopeReason.EXPIRED


def test_threads_cannot_share_one_use(
    opener: EnvelopeOpener, seal: Callable[..., bytes], pool: PagePool
) -> None:
    """Of eight threads that open the same secret at once, one gets it."""
    sealed, barrier = seal(), threading.Barrier(8)

    def attempt(_: int) -> EnvelopeReason | None:
        barrier.wait()
        with pool.page() as page:
            try:
                opener.open(sealed, page, *REQUEST)
            except EnvelopeRejected as error:
                return error.reason
            return None

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(attempt, range(8)))
    assert outcomes.count(None) == 1
    assert outcomes.count(EnvelopeReason.REPLAYED) == 7
