"""A process that uses secrets and then waits to be searched for what it left behind.

    python residual_subject.py vault|naive

Reads the sample's secrets from standard input, straight to where they are used; writes "done" and
waits for the end of standard input.
"""

import gc
import os
import sys
import threading
from collections.abc import Callable

from signer_daemon.vault.derivation import KeyPair, derive_range
from signer_daemon.vault.envelope import EnvelopeOpener, binding
from signer_daemon.vault.errors import RecordRejected, SessionInvalid
from signer_daemon.vault.keyring import KeyRing
from signer_daemon.vault.memory import PagePool
from signer_daemon.vault.mnemonic import WordLists
from signer_daemon.vault.primitives import sealed_box
from signer_daemon.vault.records import KeyGroup, Kind, Master, SealedRecord, Sealer
from signer_daemon.vault.sessions import SessionTable

SIZES = (32, 64, 256, 128, 64)  # encryption key, master password, mnemonic, passphrase, password
WALLETS = 100
SALT = b"a salt of 16 byt"  # fixed, so that the record keys are known to whoever searches


def by_the_vault() -> None:
    """Does with the secrets what the signer does, on pages that can be searched too."""
    pool = PagePool(16, allow_memfd_secret=False)
    with pool.page() as page:
        encryption_key, master_password, mnemonic, passphrase, password = (
            page.take(size) for size in SIZES
        )
        views = [encryption_key, master_password, mnemonic, passphrase, password]
        os.readv(0, views)
        mnemonic, passphrase = (text[: list(text).index(0)] for text in (mnemonic, passphrase))
        ring = KeyRing(pool, (encryption_key, master_password))
        # As a client does; here the secret is sealed from the page, for a client would hold a copy.
        header = bytearray(16 + 8 + 32)
        header[16:24] = (60).to_bytes(8, "big")
        header[24:] = binding(b"boot", "password", "DeriveWallets", "1")
        envelope = page.take(len(header) + len(password))
        envelope[: len(header)] = header
        envelope[len(header) :] = password
        sealed_password = sealed_box(envelope, ring.box_public_key)
        use(pool, ring, mnemonic, passphrase, sealed_password)
    ring.close()


def use(
    pool: PagePool, ring: KeyRing, mnemonic: memoryview, passphrase: memoryview, sealed: bytes
) -> None:
    """Validate, seal, derive, sign, fail, close and expire."""
    now = [0.0]
    table = SessionTable(lambda: now[0], sessions_max=4)
    opener = EnvelopeOpener(ring, b"boot", lambda: 0.0)
    with pool.page() as page, pool.page() as scratch, pool.page() as envelope:
        WordLists.load().validate(mnemonic, scratch)
        password = opener.open_password(sealed, envelope, "password", "DeriveWallets", "1")
        group = KeyGroup(14, ring.key_id, SALT)
        with ring.record_keys(password, group) as keys:
            master = Master.load(mnemonic, passphrase, page)
            record = SealedRecord.parse(Sealer(keys, Kind.MNEMONIC).seal_master(master, scratch))
            fingerprint = master.branch.fingerprint
            page.wipe()
            master = record.open_master(keys.mnemonic, fingerprint, page)
            seal = Sealer(keys, Kind.WALLET).seal
            pair = KeyPair(scratch)
            wallet = list(derive_range(master.branch, range(WALLETS), pair, seal, ring.tag))[-1]
            tokens = [table.open([keys], ttl) for ttl in (1, 60)]
        sealed_wallet = SealedRecord.parse(wallet.sealed_record)
        with table.key(tokens[0], group.name) as key:
            sealed_wallet.open_wallet(key, wallet.identity, pair)
            pair.sign(b"a message")
        wrong = scratch.take(16)
        with ring.record_keys(wrong, group) as wrong_keys:
            expect(
                RecordRejected,
                lambda: sealed_wallet.open_wallet(wrong_keys.wallet, wallet.identity, pair),
            )
        now[0] = 2.0
        expect(SessionInvalid, lambda: table.key(tokens[0], group.name).__enter__())
        table.close(tokens[1])


def expect(error: type[Exception], call: Callable[[], object]) -> None:
    """Fails unless the call raises the error."""
    try:
        call()
    except error:
        return
    raise AssertionError(error)


def naively() -> None:
    """Does with some of them what is usually done, and lets go of everything."""
    import hashlib  # noqa: PLC0415 - what the other half must do without

    from nacl.signing import SigningKey  # noqa: PLC0415 - likewise

    data = os.read(0, sum(SIZES))
    mnemonic = data[96:352].rstrip(b"\0").decode()
    passphrase = data[352:480].rstrip(b"\0").decode()
    password = data[480:].decode()
    seed = hashlib.pbkdf2_hmac("sha512", mnemonic.encode(), b"mnemonic" + passphrase.encode(), 2048)
    stretched = hashlib.scrypt(password.encode(), salt=b"salt", n=2**14, r=8, p=1, dklen=32)
    kept = [SigningKey(hashlib.sha256(seed + bytes([at])).digest()) for at in range(WALLETS)]
    del data, mnemonic, passphrase, password, seed, stretched, kept


if __name__ == "__main__":
    job = {"vault": by_the_vault, "naive": naively}[sys.argv[1]]
    # In a thread, as a server would: its stack is searched as well.
    worker = threading.Thread(target=job)
    worker.start()
    worker.join()
    gc.collect()
    os.write(1, b"done")
    os.read(0, 1)
