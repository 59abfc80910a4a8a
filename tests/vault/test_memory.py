"""Locked pages: what protects them, that they are wiped, that there are only so many."""

import ctypes
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from signer_daemon.vault.errors import MemoryUnavailable
from signer_daemon.vault.memory import PAGE_BYTES, PagePool
from signer_daemon.vault.primitives import wipe

ROOT = Path(__file__).parents[2]


def address_of(view: memoryview) -> int:
    """Where a view begins."""
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


def flags_at(address: int) -> set[str]:
    """The kernel's flags of the mapping at an address (proc(5), VmFlags)."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split()[0]
        if "-" in first and not first.endswith(":"):
            start, end = (int(part, 16) for part in first.split("-"))
            inside = start <= address < end
        elif inside and first == "VmFlags:":
            return set(line.split()[1:])
    return set()


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Runs a program of its own, for what a test's process must not do to itself."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_fallback_pages_are_locked_undumped_and_wiped_on_fork() -> None:
    """Without memfd_secret pages are mlocked, DONTDUMP and WIPEONFORK; the pool says which kind."""
    pool = PagePool(1, allow_memfd_secret=False)
    assert pool.backing == "mlock"
    with pool.page() as page:
        assert {"lo", "dd", "wf"} <= flags_at(address_of(page.view))


def test_secret_pages_cannot_be_read_from_outside() -> None:
    """A memfd_secret page cannot be read even by our own /proc/self/mem; its descriptor is gone."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    pool = PagePool(1)
    if pool.backing != "memfd_secret":
        pytest.skip("this kernel has no memfd_secret")
    assert before == len(list(Path("/proc/self/fd").iterdir()))
    with pool.page() as page, Path("/proc/self/mem").open("rb", buffering=0) as memory:
        assert {"lo", "dd", "dc"} <= flags_at(address_of(page.view))
        memory.seek(address_of(page.view))
        with pytest.raises(OSError, match="Input/output error"):
            memory.read(16)


def test_a_forked_child_sees_no_secret() -> None:
    """A child finds zeroes where the parent's fallback page holds a secret."""
    code = """if True:
        import os
        from signer_daemon.vault.memory import PagePool
        page = PagePool(1, allow_memfd_secret=False).lease()
        page.view[:6] = b"secret"
        child = os.fork()
        if child == 0:
            os._exit(0 if not any(page.view) else 1)
        raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert run(code).returncode == 0


def test_no_lock_no_start() -> None:
    """Where memory cannot be locked (RLIMIT_MEMLOCK 0, no privilege) the pool is refused."""
    code = """if True:
        import os, resource
        from signer_daemon.vault.errors import MemoryUnavailable
        from signer_daemon.vault.memory import PagePool
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)
        for allowed in (True, False):
            try:
                PagePool(1, allow_memfd_secret=allowed)
            except MemoryUnavailable as error:
                assert "RLIMIT_MEMLOCK" in str(error)
            else:
                raise SystemExit("locked")
    """
    done = run(code)
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_a_page_is_wiped_however_the_block_ends(
    pool: PagePool, error: type[BaseException] | None
) -> None:
    """A leased page is zero, and back in the pool, after a return and after any exception."""
    free = pool.free_count
    views = []
    with suppress(ValueError, KeyboardInterrupt), pool.page() as page:
        views.append(page.view)
        page.view[:] = b"x" * PAGE_BYTES
        if error is not None:
            raise error
    assert not any(views[0])
    assert free == pool.free_count


def test_an_empty_pool_refuses_at_once() -> None:
    """With every page leased the next lease is refused; one given back is leased again."""
    pool = PagePool(2)
    with pool.page():
        with pool.page(), pytest.raises(MemoryUnavailable), pool.page():
            pass
        with pool.page():
            pass


def test_a_full_page_refuses_to_be_cut_short(pool: PagePool) -> None:
    """`take` gives exactly what was asked for, never the same bytes twice, and never less."""
    with pool.page() as page:
        first, second = page.take(PAGE_BYTES - 8), page.take(8)
        assert address_of(first) + PAGE_BYTES - 8 == address_of(second)
        for size in (1, -1):
            with pytest.raises(MemoryUnavailable):
                page.take(size)
        page.wipe()
        assert len(page.take(PAGE_BYTES)) == PAGE_BYTES


def test_scratch_is_wiped_and_lent_again(pool: PagePool) -> None:
    """Scratch room is zero after its block, by an error too, and the next `take` has it."""
    with pool.page() as page:
        kept = page.take(16)
        with suppress(ZeroDivisionError), page.scratch(32) as room:
            room[:] = b"s" * 32
            raise ZeroDivisionError
        assert not any(page.view)
        assert address_of(kept) + 16 == address_of(page.take(32))


def test_threads_never_share_a_page() -> None:
    """Eight threads that lease, write, check and wipe never see each other's bytes."""
    pool = PagePool(8)
    barrier = threading.Barrier(8)

    def work(mark: int) -> None:
        barrier.wait()
        for _ in range(300):
            with pool.page() as page:
                assert not any(page.view[:64])
                page.view[:64] = bytes([mark]) * 64
                assert bytes(page.view[:64]) == bytes([mark]) * 64

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(1, 9)))
    assert pool.free_count == 8


def test_memory_is_unmapped_with_its_last_view() -> None:
    """The mapping outlives the pool as long as a view can reach it, and no longer."""
    pool = PagePool(1, allow_memfd_secret=False)
    view = pool.lease().view[8:16]
    address = address_of(view)
    del pool
    assert flags_at(address)
    view[:] = b"in reach"
    del view
    assert not flags_at(address)


@pytest.mark.parametrize("make", [bytes, bytearray, lambda data: memoryview(bytearray(data))])
def test_wipe_zeroes_any_buffer(make: Callable[[bytes], bytes | bytearray | memoryview]) -> None:
    """`wipe` zeroes bytes, bytearrays and views in place, empty ones included."""
    for size in (0, 1, 33):
        buffer = make(bytearray(b"s" * size))  # type: ignore[arg-type] # `bytes` must be fresh
        if size != 1:  # Python shares one-byte `bytes`
            wipe(buffer)
            assert bytes(size) == bytes(buffer)
