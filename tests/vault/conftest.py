"""Locked pages, a key ring and word lists for the vault's tests."""

from collections.abc import Iterator

import pytest

from signer_daemon.vault.keyring import KeyRing
from signer_daemon.vault.memory import Page, PagePool
from signer_daemon.vault.mnemonic import WordLists
from signer_daemon.vault.records import KeyGroup, RecordKeys
from tests.vault.samples import ENCRYPTION_KEY, MASTER_PASSWORD, view


@pytest.fixture(scope="session")
def pool() -> PagePool:
    """64 locked pages, of whatever kind this kernel has."""
    return PagePool(64)


@pytest.fixture
def page(pool: PagePool) -> Iterator[Page]:
    """One of them."""
    with pool.page() as page:
        yield page


@pytest.fixture(scope="session")
def words() -> WordLists:
    """All word lists."""
    return WordLists.load()


@pytest.fixture(scope="session")
def keyring(pool: PagePool) -> Iterator[KeyRing]:
    """A key ring with the sample secrets and no previous ones."""
    ring = KeyRing(pool, (view(ENCRYPTION_KEY), view(MASTER_PASSWORD)))
    yield ring
    ring.close()


@pytest.fixture
def keys(pool: PagePool) -> Iterator[RecordKeys]:
    """Record keys that no KDF had to make, for tests whose subject is not the KDF."""
    with pool.page() as page:
        mnemonic, wallet = page.take(32), page.take(32)
        mnemonic[:], wallet[:] = b"M" * 32, b"W" * 32
        yield RecordKeys(KeyGroup(14, "00c0ffee", b"fixed salt of 16"), mnemonic, wallet)
