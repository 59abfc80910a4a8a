"""Sessions: what they hold, when they end, and that nothing is left when they do."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from signer_daemon.vault.derivation import Branch, KeyPair, derive_range
from signer_daemon.vault.errors import (
    RecordRejected,
    SessionInvalid,
    SessionLacksKey,
    SessionLimit,
)
from signer_daemon.vault.keyring import KeyRing
from signer_daemon.vault.memory import PAGE_BYTES, PagePool
from signer_daemon.vault.records import KeyGroup, Kind, RecordKeys, SealedRecord, Sealer
from signer_daemon.vault.sessions import SessionTable
from tests.vault.samples import PASSWORD, view

TTL = 60.0


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def table(clock: Clock) -> SessionTable:
    """A table for four sessions."""
    return SessionTable(clock, sessions_max=4)


def unlocked(*marks: int) -> list[RecordKeys]:
    """Keys of as many groups, told apart by their bytes."""
    return [
        RecordKeys(
            KeyGroup(14, "00c0ffee", bytes([mark]) * 16),
            view(b"M" * 32),
            view(bytes([mark]) * 32),
        )
        for mark in marks
    ]


def name(mark: int) -> str:
    """The name of a group."""
    return unlocked(mark)[0].group.name


def pages(table: SessionTable) -> bytes:
    """All memory of the table."""
    return bytes(table._pool._region)


def test_a_token_gives_its_keys(table: SessionTable) -> None:
    """Each group has its key; copies are made; the token is 32 bytes and not stored."""
    given = unlocked(1, 2)
    token = table.open(given, TTL)
    for keys in given:
        keys.wallet[:] = bytes(32)
    for mark in (1, 2):
        with table.key(token, name(mark)) as key:
            assert bytes([mark]) * 32 == bytes(key)
    assert len(token) == 32
    assert token not in table._sessions
    assert table.open(unlocked(1), TTL) != token


def test_a_session_never_holds_a_mnemonic_key(table: SessionTable) -> None:
    """Of what a password gives, only wallet keys are kept."""
    table.open(unlocked(1, 2, 3), TTL)
    assert b"M" * 4 not in pages(table)
    assert b"\2" * 32 in pages(table)


def test_unknown_closed_and_expired_look_the_same(table: SessionTable, clock: Clock) -> None:
    """All three raise the same error with the same words; a foreign group raises another."""
    closed, expired, live = (table.open(unlocked(1), ttl) for ttl in (TTL, 1.0, TTL))
    table.close(closed)
    clock.now += 1.0
    texts = set()
    for token in (closed, expired, b"", b"x" * 32):
        with pytest.raises(SessionInvalid) as caught, table.key(token, name(1)):
            pass
        texts.add(str(caught.value))
    assert len(texts) == 1
    with pytest.raises(SessionLacksKey), table.key(live, name(2)):
        pass


def test_expiry_to_the_instant(table: SessionTable, clock: Clock) -> None:
    """Good just before its time, gone at it; the keys are wiped by any later call."""
    token = table.open(unlocked(7), TTL)
    clock.now += TTL - 0.001
    with table.key(token, name(7)):
        pass
    clock.now += 0.001
    table.sweep()
    assert not any(pages(table))
    assert len(table) == 0
    with pytest.raises(SessionInvalid), table.key(token, name(7)):
        pass


def test_closing_wipes_and_may_be_repeated(table: SessionTable) -> None:
    """One session's close leaves the others, an unknown's does nothing, revocation ends all."""
    tokens = [table.open(unlocked(mark), TTL) for mark in (1, 2, 3)]
    for token in (tokens[0], tokens[0], b"unknown"):
        table.close(token)
    assert len(table) == 2
    assert b"\1" * 32 not in pages(table)
    with table.key(tokens[1], name(2)) as key:
        assert bytes(key) == b"\2" * 32
    assert table.revoke_all() == 2
    assert table.revoke_all() == 0
    assert not any(pages(table))


@pytest.mark.parametrize("how", ["close", "expire", "revoke"])
def test_a_key_in_use_outlives_its_session_until_it_is_let_go(
    table: SessionTable, clock: Clock, how: str
) -> None:
    """Ended while two signers hold it, the key stays good for both, opens for nobody else, and is
    gone when the second lets go.
    """
    token = table.open(unlocked(5), TTL)
    with table.key(token, name(5)) as key:
        with table.key(token, name(5)):
            if how == "close":
                table.close(token)
            elif how == "revoke":
                table.revoke_all()
            else:
                clock.now += TTL
                table.sweep()
            with pytest.raises(SessionInvalid), table.key(token, name(5)):
                pass
        assert bytes(key) == b"\5" * 32
        assert len(table) == 0
    assert not any(key)
    assert table._pool.free_count == 4


def test_a_key_is_let_go_by_an_error_too(table: SessionTable) -> None:
    """An exception in the signer's block does not keep the session's page."""
    token = table.open(unlocked(5), TTL)
    with pytest.raises(ZeroDivisionError), table.key(token, name(5)):
        raise ZeroDivisionError
    table.close(token)
    assert table._pool.free_count == 4


def test_a_failed_unlock_keeps_nothing(table: SessionTable) -> None:
    """If proving the password fails halfway, no session opens and the first keys are wiped."""

    def halfway() -> Iterator[RecordKeys]:
        yield from unlocked(1)
        raise RecordRejected

    with pytest.raises(RecordRejected):
        table.open(halfway(), TTL)
    assert len(table) == 0
    assert not any(pages(table))
    assert table._pool.free_count == 4


def test_sessions_are_bounded(table: SessionTable, clock: Clock) -> None:
    """A fifth session is refused until one ends, by close or by time; so is a key too many."""
    first = table.open(unlocked(1), TTL)
    for _ in range(2):
        table.open(unlocked(1), TTL)
    table.open(unlocked(1), 1.0)
    with pytest.raises(SessionLimit):
        table.open(unlocked(1), TTL)
    clock.now += 1.0
    table.open(unlocked(1), TTL)
    table.close(first)
    room = PAGE_BYTES // 32
    with pytest.raises(SessionLimit):
        table.open(iter(unlocked(*range(256)) * (room // 256 + 1)), TTL)
    table.open(unlocked(1), TTL)
    assert len(table) == 4


def test_one_scrypt_run_unlocks_all_of_a_master(
    table: SessionTable, keyring: KeyRing, pool: PagePool
) -> None:
    """A session from one run opens every wallet derived from the master, and runs no other."""
    group = keyring.new_group()
    with pool.page() as page, pool.page() as other:
        with keyring.record_keys(view(PASSWORD), group) as keys:
            branch = Branch(view(bytes(64)), page)
            seal = Sealer(keys, Kind.WALLET).seal
            wallets = list(derive_range(branch, range(300), KeyPair(other), seal, keyring.tag))
        before = keyring.kdf_run_count
        with keyring.record_keys(view(PASSWORD), group) as keys:
            token = table.open([keys], TTL)
        pair = KeyPair(other)
        for wallet in wallets:
            record = SealedRecord.parse(wallet.sealed_record)
            with table.key(token, record.group.name) as key:
                record.open_wallet(key, wallet.identity, pair)
    assert before + 1 == keyring.kdf_run_count


def test_threads_sign_open_and_close(clock: Clock) -> None:
    """With eight threads opening, using and closing each other's sessions, a key in use is always
    whole, and at the end nothing is left.
    """
    table = SessionTable(clock, sessions_max=16)
    tokens: list[tuple[bytes, int]] = []
    lock, barrier = threading.Lock(), threading.Barrier(8)

    def work(mark: int) -> int:
        barrier.wait()
        uses = 0
        for turn in range(200):
            try:
                token = table.open(unlocked(mark), TTL)
            except SessionLimit:
                table.revoke_all()
                continue
            with lock:
                tokens.append((token, mark))
                shared, shared_mark = tokens[turn * 7 % len(tokens)]
            try:
                with table.key(shared, name(shared_mark)) as key:
                    table.close(token)
                    assert bytes([shared_mark]) * 32 == bytes(key)
                    uses += 1
            except SessionInvalid:
                table.close(shared)
        return uses

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(work, range(1, 9))) > 0
    table.revoke_all()
    assert not any(pages(table))
    assert table._pool.free_count == 16
