"""What must hold for any bytes that come as a sealed record or a sealed secret.

An attacker has no keys. Fuzzed bytes alone would never pass the cipher, so some targets seal what
the fuzzer makes: what is behind the cipher is then reached, as it would be by a signer's own error.
"""

import struct

import nacl.public

from signer_daemon.vault.derivation import IMPORTED, Identity, KeyPair
from signer_daemon.vault.envelope import EnvelopeOpener, binding
from signer_daemon.vault.errors import EnvelopeRejected, RecordRejected
from signer_daemon.vault.keyring import KeyRing
from signer_daemon.vault.memory import PagePool
from signer_daemon.vault.records import (
    PLAINTEXT_BYTES,
    KeyGroup,
    Kind,
    RecordKeys,
    SealedRecord,
    Sealer,
)
from tests.vault.samples import ENCRYPTION_KEY, MASTER_PASSWORD, view

NOW = 1_800_000_000
BOOT = b"sixteen bytes!!!"
REQUEST = ("password", "DeriveWallets", "fingerprint", "0", "100")
FINGERPRINT = "0123456789abcdef" * 2
GROUP = KeyGroup(14, "00c0ffee", b"fixed salt of 16")
POOL = PagePool(16)
RING = KeyRing(POOL, (view(ENCRYPTION_KEY), view(MASTER_PASSWORD)))
KEYS = RecordKeys(GROUP, view(b"M" * 32), view(b"W" * 32))
BOX = nacl.public.SealedBox(nacl.public.PublicKey(RING.box_public_key))
with POOL.page() as _page:
    WALLET = Identity(KeyPair(_page).load(view(bytes(range(32)))), FINGERPRINT, 7)


def record(data: bytes) -> bool:
    """Tells whether a text is a record that opens. Only RecordRejected may refuse it, nothing is
    left behind, and what opens is written exactly as it would be sealed.
    """
    try:
        text = data.decode("utf-8", "surrogateescape")
        sealed = SealedRecord.parse(text)
    except RecordRejected:
        return False
    assert sealed.group.header(sealed.kind) == text.rpartition("$")[0].rpartition("$")[0]
    with POOL.page() as page:
        try:
            if sealed.kind is Kind.WALLET:
                pair = KeyPair(page)
                sealed.open_wallet(KEYS.wallet, WALLET, pair)
                pair.wipe()
            else:
                sealed.open_master(KEYS.mnemonic, FINGERPRINT, page)
                page.wipe()
        except RecordRejected:
            assert not any(page.view)
            return False
    return True


def record_plaintext(data: bytes) -> bool:
    """Tells whether a record that was sealed over any plaintext opens: only as whom it names."""
    kind = Kind.MNEMONIC if data[:1] < b"\x80" else Kind.WALLET
    size = PLAINTEXT_BYTES[kind]
    master = kind is Kind.MNEMONIC
    plain = view(data[1 : size + 1].ljust(size, b"\0"))
    identity = Identity("", FINGERPRINT, IMPORTED) if master else WALLET
    text = Sealer(KEYS, kind).seal(plain, identity)
    opened = record(text.encode())
    assert not opened or bytes(plain) == bytes(range(32))
    return opened


def envelope(data: bytes) -> bool:
    """Tells whether a sealed secret opens: the fuzzer makes the box, or what is inside of it."""
    if data[:1] < b"\x40":
        return opens(data[1:])
    if data[:1] < b"\x80":
        return opens(BOX.encrypt(data[1:]))
    if data[:1] < b"\xc0":
        head = data[1:25].ljust(24, b"\0")
        return opens(BOX.encrypt(head + binding(BOOT, *REQUEST) + data[25:]))
    nonce = data[1:17].ljust(16, b"\0")
    head = nonce + struct.pack(">Q", NOW + 60) + binding(BOOT, *REQUEST)
    return opens(BOX.encrypt(head + data[17:]))


def opens(sealed: bytes) -> bool:
    """Opens as a password once; the second time it must be refused."""
    opener = EnvelopeOpener(RING, BOOT, lambda: float(NOW))
    with POOL.page() as page:
        try:
            secret = opener.open(sealed, page, *REQUEST)
        except EnvelopeRejected:
            assert not any(page.view)
            return False
        assert len(secret) == len(sealed) - 48 - 56
        page.wipe()
        try:
            opener.open(sealed, page, *REQUEST)
        except EnvelopeRejected:
            return True
    raise AssertionError("a sealed secret was opened twice")
