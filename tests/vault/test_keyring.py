"""The key ring: its formulas, computed again with other libraries; its tags; its scrypt slots."""

import hashlib
import hmac
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable

import nacl.public
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from signer_daemon.vault import keyring as keyring_module
from signer_daemon.vault.derivation import IMPORTED, Identity, KeyPair
from signer_daemon.vault.errors import (
    KdfBusy,
    OwnershipRejected,
    RecordRejected,
    SecretsInvalid,
)
from signer_daemon.vault.keyring import KeyRing
from signer_daemon.vault.memory import Page, PagePool
from signer_daemon.vault.primitives import hkdf_sha256_into, sealed_box
from signer_daemon.vault.records import KeyGroup, Kind, RecordKeys, SealedRecord, Sealer
from tests.vault.samples import ENCRYPTION_KEY, MASTER_PASSWORD, PASSWORD, vectors, view

FINGERPRINT = "0123456789abcdef" * 2
WALLET = Identity("4Nd1mY4bXGtdzWbTSGqXaUnqgfHxGxiq2R6kjJFCQdvm", FINGERPRINT, 7)
OTHER_KEY = ENCRYPTION_KEY[::-1]


def hkdf(ikm: bytes, salt: bytes, info: str) -> bytes:
    """HKDF by the library that the vault does not use for it."""
    return HKDF(SHA256(), 32, salt, b"solward/v1/" + info.encode()).derive(ikm)


@pytest.fixture(scope="module")
def root() -> bytes:
    """The root key of the sample secrets, by other means."""
    salt = hkdf(ENCRYPTION_KEY, b"", "master-salt")
    stretched = hashlib.scrypt(
        MASTER_PASSWORD, salt=salt, n=2**15, r=8, p=1, dklen=32, maxmem=2**26
    )
    return hkdf(stretched, ENCRYPTION_KEY, "root")


def test_scrypt_of_rfc_7914(page: Page) -> None:
    """The published value for N=16384, r=8, p=1, retyped."""
    out = page.take(64)
    keyring_module._scrypt_into(view(b"pleaseletmein"), b"SodiumChloride", 14, out)
    assert out.hex() == (
        "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
        "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
    )


def test_hkdf_of_rfc_5869(page: Page) -> None:
    """The first 32 bytes of the RFC's first example, retyped."""
    out = page.take(32)
    info = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9")
    hkdf_sha256_into(view(b"\x0b" * 22), bytes(range(13)), info, out)
    assert out.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"


def test_hkdf_vectors(page: Page) -> None:
    """Every valid Wycheproof case: the first block of output is the first of theirs."""
    out = page.take(32)
    for group in vectors("wycheproof/hkdf_sha256_test.json")["testGroups"]:
        for test in group["tests"]:
            ikm, salt, info = (bytes.fromhex(test[name]) for name in ("ikm", "salt", "info"))
            if test["result"] == "valid":
                hkdf_sha256_into(view(ikm), salt, info, out)
                assert test["okm"][:64] == out.hex()[: len(test["okm"])]


def test_keys_are_by_the_formula(keyring: KeyRing, root: bytes) -> None:
    """Key id, chain key, box key and record keys follow from the root by their names."""
    named = hashlib.sha256(b"solward/key-id/v1" + hkdf(root, b"", "key-id")).hexdigest()
    assert named[:8] == keyring.key_id
    assert hkdf(root, b"", "audit-chain") == bytes(keyring.audit_chain_key())
    box = nacl.public.PrivateKey.from_seed(hkdf(root, b"", "box"))
    assert bytes(box.public_key) == keyring.box_public_key
    group = keyring.new_group()
    stretched = hashlib.scrypt(PASSWORD, salt=group.salt, n=2**14, r=8, p=1, dklen=32)
    with keyring.record_keys(view(PASSWORD), group) as keys:
        for kind, key in (("mnemonic", keys.mnemonic), ("wallet", keys.wallet)):
            expected = hkdf(stretched, hkdf(root, b"", "record"), f"record-key/{kind}")
            assert expected == bytes(key)
    assert not any(keys.mnemonic)
    assert not any(keys.wallet)


def test_tag_is_by_the_formula(keyring: KeyRing, root: bytes) -> None:
    """A tag is an HMAC of address, fingerprint and index under a key of its own."""
    message = f"solward/tag/v1\0{WALLET.address}\0{FINGERPRINT}\0007".encode()
    mac = hmac.digest(hkdf(root, b"", "ownership-tag"), message, "sha256")
    encoded = urlsafe_b64encode(mac).decode().rstrip("=")
    assert keyring.tag(WALLET) == f"t1.{keyring.key_id}.{encoded}"


def test_a_tag_proves_one_identity(keyring: KeyRing) -> None:
    """It is accepted for the very wallet and for nothing else; any other text is refused."""
    tag = keyring.tag(WALLET)
    keyring.verify_tag(tag, WALLET)
    keyring.verify_tag(keyring.tag(Identity("a", "", IMPORTED)), Identity("a", "", IMPORTED))
    for other in (
        WALLET._replace(address=WALLET.address[:-1] + "n"),
        WALLET._replace(fingerprint=FINGERPRINT[::-1]),
        WALLET._replace(fingerprint=""),
        WALLET._replace(derivation_index=8),
        WALLET._replace(derivation_index=IMPORTED),
        # The same bytes under the HMAC, cut elsewhere.
        Identity(f"{WALLET.address}\0{FINGERPRINT}", "7", IMPORTED),
    ):
        with pytest.raises(OwnershipRejected):
            keyring.verify_tag(tag, other)
    for text in ("", "t1.", tag[:-1], tag + "=", tag.upper(), "t2" + tag[2:], tag[:-1] + "é"):
        with pytest.raises(OwnershipRejected):
            keyring.verify_tag(text, WALLET)


def test_an_ill_formed_identity_is_refused_like_any_other(
    keyring: KeyRing, keys: RecordKeys, pool: PagePool
) -> None:
    """An address that is no ASCII, even one that has no UTF-8, gives the room's own error."""
    text = Sealer(keys, Kind.WALLET).seal(view(bytes(32)), WALLET)
    for address in ("\ud800", "é"):
        with pytest.raises(OwnershipRejected):
            keyring.verify_tag(keyring.tag(WALLET), WALLET._replace(address=address))
        with pool.page() as page, pytest.raises(RecordRejected):
            SealedRecord.parse(text).open_wallet(
                keys.wallet, WALLET._replace(address=address), KeyPair(page)
            )


def test_rotation_of_the_secrets(pool: PagePool, keyring: KeyRing) -> None:
    """With the previous secrets at hand, old tags verify and old groups derive the same keys.

    What is new is of the current ones; without the previous both are refused.
    """
    old_tag, old_group = keyring.tag(WALLET), keyring.new_group()
    with keyring.record_keys(view(PASSWORD), old_group) as keys:
        old_key = bytes(keys.wallet)
    current = (view(OTHER_KEY), view(MASTER_PASSWORD))
    both = KeyRing(pool, current, previous=(view(ENCRYPTION_KEY), view(MASTER_PASSWORD)))
    both.verify_tag(old_tag, WALLET)
    with both.record_keys(view(PASSWORD), old_group) as keys:
        assert old_key == bytes(keys.wallet)
    assert both.new_group().key_id == both.key_id != keyring.key_id
    assert set(both.key_ids) == {both.key_id, keyring.key_id}
    chain_key = both.audit_chain_key(keyring.key_id)
    assert bytes(keyring.audit_chain_key()) == bytes(chain_key)
    alone = KeyRing(pool, current)
    with pytest.raises(OwnershipRejected):
        alone.verify_tag(old_tag, WALLET)
    with pytest.raises(RecordRejected), alone.record_keys(view(PASSWORD), old_group):
        pass
    free = pool.free_count
    both.close()
    alone.close()
    assert free + 3 == pool.free_count


def test_a_closed_ring_gives_no_keys(pool: PagePool) -> None:
    """After `close` no keys are derived: keys of zeroes would seal records for anyone."""
    ring = KeyRing(pool, (view(ENCRYPTION_KEY), view(MASTER_PASSWORD)))
    group, chain = ring.new_group(), ring.audit_chain_key()
    ring.close()
    assert not any(chain)
    with pytest.raises(RecordRejected), ring.record_keys(view(PASSWORD), group):
        pass


@pytest.mark.parametrize(
    ("key", "password"),
    [
        (ENCRYPTION_KEY[:31], MASTER_PASSWORD),
        (ENCRYPTION_KEY + b"x", MASTER_PASSWORD),
        (b"", MASTER_PASSWORD),
        (ENCRYPTION_KEY, MASTER_PASSWORD[:31]),
        (ENCRYPTION_KEY, b"\xff" * 40),
        (ENCRYPTION_KEY, "é".encode() * 31),
        (ENCRYPTION_KEY, b"x" * 1025),
    ],
)
def test_unfit_secrets_stop_the_start(pool: PagePool, key: bytes, password: bytes) -> None:
    """A key that is not 32 bytes, a password under 32 characters, too long or not UTF-8: no ring,
    and no page kept.
    """
    free = pool.free_count
    with pytest.raises(SecretsInvalid):
        KeyRing(pool, (view(key), view(password)))
    assert free == pool.free_count


def test_runs_are_counted_once_each(keyring: KeyRing) -> None:
    """One block is one run, also if it fails afterwards; a foreign group costs none."""
    before = keyring.kdf_run_count
    group = keyring.new_group()
    with pytest.raises(ZeroDivisionError), keyring.record_keys(view(PASSWORD), group):
        raise ZeroDivisionError
    with pytest.raises(RecordRejected):
        keyring.record_keys(view(PASSWORD), KeyGroup(14, "00000000", group.salt)).__enter__()
    assert before + 1 == keyring.kdf_run_count


def test_no_slot_in_time_is_busy(pool: PagePool, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the only slot is taken another run is refused by its deadline; then it runs again."""
    current = (view(ENCRYPTION_KEY), view(MASTER_PASSWORD))
    ring = KeyRing(pool, current, kdf_slots=1, kdf_wait_seconds=0.02)
    entered, leave = threading.Event(), threading.Event()
    real: Callable[..., None] = keyring_module._scrypt_into

    def slow(*arguments: object) -> None:
        entered.set()
        assert leave.wait(10)
        real(*arguments)

    monkeypatch.setattr(keyring_module, "_scrypt_into", slow)
    group = ring.new_group()
    outcome: list[bytes] = []

    def first() -> None:
        with ring.record_keys(view(PASSWORD), group) as keys:
            outcome.append(bytes(keys.wallet))

    worker = threading.Thread(target=first)
    worker.start()
    assert entered.wait(10)
    free = pool.free_count
    with pytest.raises(KdfBusy), ring.record_keys(view(PASSWORD), group):
        pass
    assert free == pool.free_count
    leave.set()
    worker.join()
    with ring.record_keys(view(PASSWORD), group) as keys:
        assert outcome == [bytes(keys.wallet)]
    assert ring.kdf_run_count == 2
    ring.close()


def test_a_box_opens_for_its_key_only(keyring: KeyRing, pool: PagePool, page: Page) -> None:
    """What is sealed to the ring's key opens whole; altered, or for another key, it does not."""
    sealed = sealed_box(view(b"a secret"), keyring.box_public_key)
    out = page.take(8)
    assert keyring.open_box(sealed, out)
    assert bytes(out) == b"a secret"
    altered = bytearray(sealed)
    altered[40] ^= 1
    assert not keyring.open_box(bytes(altered), out)
    other = KeyRing(pool, (view(OTHER_KEY), view(MASTER_PASSWORD)))
    assert not other.open_box(sealed, out)
    other.close()


@pytest.mark.parametrize("recipient", [b"", b"x" * 31, b"x" * 33, bytes(32), b"\x01" + bytes(31)])
def test_nothing_is_sealed_to_an_unusable_key(recipient: bytes) -> None:
    """Wrong lengths and points of small order, whose boxes anyone could open, are refused."""
    with pytest.raises(ValueError, match=r"32 bytes|not a usable"):
        sealed_box(view(b"a secret"), recipient)
