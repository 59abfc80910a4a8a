"""Sealed mnemonics: they come back whole, and only under their own fingerprint."""

import pytest

from signer_daemon.vault import mnemonic as bip39
from signer_daemon.vault.derivation import Branch, KeyPair
from signer_daemon.vault.errors import RecordRejected
from signer_daemon.vault.memory import PagePool
from signer_daemon.vault.records import Kind, Master, RecordKeys, SealedRecord, Sealer
from tests.vault.samples import MNEMONIC, nfkd, view

FINGERPRINT = "0123456789abcdef" * 2
MESSAGE = "the record does not open with this password and identity"


@pytest.mark.parametrize("passphrase", ["", "TREZOR", "pässwörd 가힣", "x" * 256])
def test_a_master_opens_whole(pool: PagePool, keys: RecordKeys, passphrase: str) -> None:
    """Mnemonic, passphrase and branch come back; every record has one length; only the right
    fingerprint opens it.
    """
    with pool.page() as page, pool.page() as other:
        master = Master.load(view(MNEMONIC), view(nfkd(passphrase)), page)
        text = Sealer(keys, Kind.MNEMONIC).seal_master(master, other)
        assert not any(other.view)
        assert len(text.split("$")[-1]) == 1728
        opened = SealedRecord.parse(text).open_master(
            keys.mnemonic, master.branch.fingerprint, other
        )
        assert bytes(opened.mnemonic) == MNEMONIC
        assert nfkd(passphrase) == bytes(opened.passphrase)
        assert opened.branch.derive(3, KeyPair(other)) == master.branch.derive(3, KeyPair(page))
    for key, fingerprint in (
        (keys.mnemonic, FINGERPRINT),
        (keys.wallet, master.branch.fingerprint),
        (keys.mnemonic, ""),
    ):
        with pool.page() as page:
            with pytest.raises(RecordRejected, match=MESSAGE):
                SealedRecord.parse(text).open_master(key, fingerprint, page)
            assert not any(page.view)


def test_a_forged_fingerprint_is_refused(
    pool: PagePool, keys: RecordKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mnemonic sealed under a fingerprint that is not its own opens for nobody."""
    with pool.page() as page, pool.page() as other:
        master = Master.load(view(MNEMONIC), view(b""), page)
        monkeypatch.setattr(Branch, "fingerprint", FINGERPRINT)
        text = Sealer(keys, Kind.MNEMONIC).seal_master(master, other)
        monkeypatch.undo()
        with pytest.raises(RecordRejected):
            SealedRecord.parse(text).open_master(keys.mnemonic, FINGERPRINT, other)
        assert not any(other.view)


def test_the_longest_mnemonic_and_passphrase_fit(pool: PagePool, keys: RecordKeys) -> None:
    """24 words of the longest kind and 256 bytes of passphrase are sealed and opened."""
    longest = b"x" * bip39.MNEMONIC_BYTES_MAX
    with pool.page() as page, pool.page() as other:
        passphrase = view(b"y" * bip39.PASSPHRASE_BYTES_MAX)
        master = Master.load(view(longest), passphrase, page)
        text = Sealer(keys, Kind.MNEMONIC).seal_master(master, other)
        opened = SealedRecord.parse(text).open_master(
            keys.mnemonic, master.branch.fingerprint, other
        )
        assert longest == bytes(opened.mnemonic)
        assert passphrase == opened.passphrase
