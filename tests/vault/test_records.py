"""Sealed records: the format, and what does not open one."""

import re
from base64 import urlsafe_b64decode

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from signer_daemon.vault.derivation import IMPORTED, Identity, KeyPair
from signer_daemon.vault.errors import RecordRejected
from signer_daemon.vault.keyring import KeyRing
from signer_daemon.vault.memory import Page, PagePool
from signer_daemon.vault.records import (
    KeyGroup,
    Kind,
    RecordKeys,
    SealedRecord,
    Sealer,
    open_into,
)
from tests.vault.samples import (
    ENCRYPTION_KEY,
    MASTER_PASSWORD,
    PASSWORD,
    vectors,
    view,
)

SEED = bytes(range(32))
FINGERPRINT = "0123456789abcdef" * 2
MESSAGE = "the record does not open with this password and identity"
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture(scope="module")
def wallet(pool: PagePool) -> Identity:
    """The identity of the sample seed, as a wallet of some master."""
    with pool.page() as page:
        return Identity(KeyPair(page).load(view(SEED)), FINGERPRINT, 7)


@pytest.fixture
def sealed(keys: RecordKeys, wallet: Identity) -> str:
    """Its sealed record."""
    return Sealer(keys, Kind.WALLET).seal(view(SEED), wallet)


def refuses(text: str, key: memoryview, identity: Identity, pool: PagePool) -> None:
    """Asserts that a wallet record is refused with the one error and leaves nothing."""
    with pool.page() as page:
        pair = KeyPair(page)
        with pytest.raises(RecordRejected) as caught:
            SealedRecord.parse(text).open_wallet(key, identity, pair)
        assert not any(page.view)
    assert str(caught.value) == MESSAGE
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_format(keys: RecordKeys, sealed: str, wallet: Identity) -> None:
    """A record is what the format says, and plain AES-256-GCM with the stated data opens it."""
    fields = sealed.split("$")
    header = "solward1$wallet$scrypt$14,8,1$00c0ffee$Zml4ZWQgc2FsdCBvZiAxNg"
    assert header.split("$") == fields[:6]
    nonce, ciphertext = map(urlsafe_b64decode, fields[6:])
    bound = f"{header}${wallet.address}${FINGERPRINT}$7".encode()
    assert AESGCM(keys.wallet).decrypt(nonce, ciphertext, bound) == SEED
    record = SealedRecord.parse(sealed)
    assert (record.kind, record.group) == (Kind.WALLET, keys.group)
    assert re.fullmatch(r"[\w-]{22}", record.group.name)
    assert record.group.name == KeyGroup(14, "00c0ffee", b"fixed salt of 16").name
    assert record.group.name != KeyGroup(15, "00c0ffee", b"fixed salt of 16").name


def test_a_wallet_opens_and_signs(
    keys: RecordKeys, sealed: str, wallet: Identity, page: Page
) -> None:
    """What was sealed opens whole, with its key pair."""
    pair = KeyPair(page)
    SealedRecord.parse(sealed).open_wallet(keys.wallet, wallet, pair)
    assert bytes(pair.seed) == SEED
    assert len(pair.sign(b"x")) == 64


def test_two_records_never_share_a_nonce(keys: RecordKeys, wallet: Identity) -> None:
    """Over more than one batch of nonces, all are different."""
    sealer = Sealer(keys, Kind.WALLET)
    nonces = {SealedRecord.parse(sealer.seal(view(SEED), wallet)).nonce for _ in range(600)}
    assert len(nonces) == 600


@given(st.data())
def test_any_changed_character_is_refused(
    pool: PagePool, wallet: Identity, data: st.DataObject
) -> None:
    """Each character of a wallet record matters: replaced, removed or doubled, nothing opens."""
    with pool.page() as page:
        key = page.take(32)
        group = KeyGroup(14, "00c0ffee", b"fixed salt of 16")
        text = Sealer(RecordKeys(group, key, key), Kind.WALLET).seal(view(SEED), wallet)
        at = data.draw(st.integers(0, len(text) - 1))
        changed = data.draw(st.sampled_from(BASE64 + "$,=\n é"))
        how = data.draw(st.sampled_from(["replace", "remove", "insert"]))
        if how == "replace":
            altered = text[:at] + changed + text[at + 1 :]
        else:
            altered = text[:at] + (changed + text[at:] if how == "insert" else text[at + 1 :])
        if altered != text:
            refuses(altered, key, wallet, pool)


def test_any_flipped_bit_of_the_ciphertext_is_refused(
    pool: PagePool, keys: RecordKeys, sealed: str, wallet: Identity
) -> None:
    """Every bit of nonce, ciphertext and tag."""
    good = SealedRecord.parse(sealed)
    for field in ("nonce", "ciphertext"):
        value = getattr(good, field)
        for bit in range(8 * len(value)):
            flipped = bytearray(value)
            flipped[bit // 8] ^= 1 << bit % 8
            parts = {"nonce": good.nonce, "ciphertext": good.ciphertext, field: bytes(flipped)}
            with pool.page() as page, pytest.raises(RecordRejected):
                SealedRecord(good.kind, good.group, **parts).open_wallet(
                    keys.wallet, wallet, KeyPair(page)
                )
            assert not any(page.view)


@given(st.data())
def test_another_identity_is_refused(pool: PagePool, wallet: Identity, data: st.DataObject) -> None:
    """Another address, fingerprint or index, and fields moved across separators."""
    with pool.page() as page:
        key = page.take(32)
        group = KeyGroup(14, "00c0ffee", b"fixed salt of 16")
        text = Sealer(RecordKeys(group, key, key), Kind.WALLET).seal(view(SEED), wallet)
        other = Identity(
            data.draw(st.one_of(st.just(wallet.address), st.text(max_size=50))),
            data.draw(st.one_of(st.just(FINGERPRINT), st.just(""), st.from_regex("[0-9a-f]{32}"))),
            data.draw(st.one_of(st.just(7), st.integers(-3, 2**33))),
        )
        if other != wallet:
            refuses(text, key, other, pool)
        moved = Identity(f"{wallet.address}${FINGERPRINT}", "7", IMPORTED)
        refuses(text, key, moved, pool)


def test_another_key_or_kind_is_refused(
    pool: PagePool, keys: RecordKeys, sealed: str, wallet: Identity
) -> None:
    """The mnemonic key of the same password does not open a wallet, nor the other way round."""
    refuses(sealed, keys.mnemonic, wallet, pool)
    as_mnemonic = sealed.replace("$wallet$", "$mnemonic$")
    refuses(as_mnemonic, keys.wallet, wallet, pool)
    with pool.page() as page, pytest.raises(RecordRejected):
        SealedRecord.parse(sealed).open_master(keys.wallet, FINGERPRINT, page)


def test_a_key_of_another_address_is_refused(
    pool: PagePool, keys: RecordKeys, wallet: Identity
) -> None:
    """A record whose tag is true but whose key is not the address's, as an attacker who knows the
    key could make it: the public half decides.
    """
    forged = Sealer(keys, Kind.WALLET).seal(view(b"another seed, 32 bytes of it all"), wallet)
    refuses(forged, keys.wallet, wallet, pool)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("solward1", "solward2"),
        ("scrypt", "argon2"),
        ("14,8,1", "13,8,1"),
        ("14,8,1", "18,8,1"),
        ("14,8,1", "31,8,1"),
        ("14,8,1", "14,16,1"),
        ("14,8,1", "14,8,2"),
        ("14,8,1", "014,8,1"),
        ("14,8,1", "14,8,1,1"),
        ("00c0ffee", "00C0FFEE"),
        ("00c0ffee", "00c0ffe"),
        # The same 16 bytes of salt, spelt with a spare bit set.
        ("Zml4ZWQgc2FsdCBvZiAxNg", "Zml4ZWQgc2FsdCBvZiAxNh"),
        ("Zml4ZWQgc2FsdCBvZiAxNg", "Zml4ZWQgc2FsdCBvZiAxNg=="),
        ("$wallet$", "$wallet$$"),
        ("solward1", " solward1"),
    ],
)
def test_bounds_and_spelling_hold_before_any_work(sealed: str, old: str, new: str) -> None:
    """Whatever is out of bounds or spelt in another way does not even parse."""
    assert old in sealed
    for text in (sealed.replace(old, new, 1), sealed + "\n", sealed + "$", "", sealed * 2):
        with pytest.raises(RecordRejected):
            SealedRecord.parse(text)


def test_wycheproof_aes_gcm(pool: PagePool) -> None:
    """The record opener on every case of our sizes: the valid open, the invalid leave zeroes."""
    counts = {"valid": 0, "invalid": 0}
    for group in vectors("wycheproof/aes_gcm_test.json")["testGroups"]:
        if (group["keySize"], group["ivSize"], group["tagSize"]) != (256, 96, 128):
            continue
        for test in group["tests"]:
            key, iv, aad, msg, ct, tag = (
                bytes.fromhex(test[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag")
            )
            counts[test["result"]] += 1
            with pool.page() as page:
                out = page.take(len(ct))
                if test["result"] == "valid":
                    open_into(view(key), iv, ct + tag, aad, out)
                    assert msg == bytes(out)
                else:
                    out[:] = b"x" * len(out)
                    with pytest.raises(RecordRejected):
                        open_into(view(key), iv, ct + tag, aad, out)
                    assert not any(page.view)
    assert counts["valid"] > 30
    assert counts["invalid"] > 20


@pytest.mark.parametrize(
    ("encryption_key", "master_password", "password"),
    [
        (ENCRYPTION_KEY, MASTER_PASSWORD, PASSWORD[:-1] + b"x"),
        (ENCRYPTION_KEY, MASTER_PASSWORD + b"x", PASSWORD),
        (b"x" * 32, MASTER_PASSWORD, PASSWORD),
    ],
)
def test_each_of_the_three_secrets_is_needed(
    pool: PagePool,
    keyring: KeyRing,
    wallet: Identity,
    encryption_key: bytes,
    master_password: bytes,
    password: bytes,
) -> None:
    """Any of them wrong gives the one error, even where the key id is made to fit."""
    group = keyring.new_group()
    with keyring.record_keys(view(PASSWORD), group) as keys:
        text = Sealer(keys, Kind.WALLET).seal(view(SEED), wallet)
    ring = KeyRing(pool, (view(encryption_key), view(master_password)))
    forced = KeyGroup(group.log2n, ring.key_id, group.salt)
    with ring.record_keys(view(password), forced) as keys:
        refuses(text, keys.wallet, wallet, pool)
        refuses(text.replace(keyring.key_id, ring.key_id), keys.wallet, wallet, pool)
    if ring.key_id != keyring.key_id:
        with pytest.raises(RecordRejected), ring.record_keys(view(password), group):
            pass
    ring.close()
