"""Locked pages: the only place where a secret may stand.

A pool maps its pages once, at start, so that a limit on locked memory stops the start and not a
request. With `memfd_secret` (Linux 5.14 and later) the pages leave the kernel's own map: even
root's read of /proc/PID/mem fails. Elsewhere they are anonymous, locked against swap, left out of
core dumps and zeroed in a forked child.
"""

import ctypes
import mmap
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from signer_daemon.vault.errors import MemoryUnavailable
from signer_daemon.vault.primitives import wipe

Backing = Literal["memfd_secret", "mlock"]

PAGE_BYTES = mmap.PAGESIZE
_SYS_MEMFD_SECRET = 447  # the same number on every architecture that has it
_MADV_WIPEONFORK = 18  # <linux/mman.h>; Python names only some of them
_MAP_FAILED = ctypes.c_void_p(-1).value
_PROTECTION = mmap.PROT_READ | mmap.PROT_WRITE

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = _libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Page:
    """One locked page on lease. Used by one thread at a time; `view` is the whole of it."""

    __slots__ = ("_used", "view")

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self._used = 0

    def take(self, size: int) -> memoryview:
        """Returns the next `size` bytes, zero unless written since the last wipe.

        Raises MemoryUnavailable if the page is full: a slice beyond its end would just be short.
        """
        start = self._used
        if not 0 <= size <= len(self.view) - start:
            raise MemoryUnavailable("the page has no room left")
        self._used = start + size
        return self.view[start : start + size]

    @contextmanager
    def scratch(self, size: int) -> Iterator[memoryview]:
        """Lends `size` bytes for a block, then wipes them and takes them back.

        What is taken inside the block must not be used after it: its room is free again as well.
        """
        start = self._used
        room = self.take(size)
        try:
            yield room
        finally:
            wipe(room)
            self._used = start

    def wipe(self) -> None:
        """Zeroes the page and makes all of it free to take again."""
        wipe(self.view)
        self._used = 0


class PagePool:
    """A fixed number of locked pages, leased one by one. Safe to share between threads."""

    def __init__(self, page_count: int, *, allow_memfd_secret: bool = True) -> None:
        """Maps and locks the pages.

        Raises MemoryUnavailable if they cannot be locked: RLIMIT_MEMLOCK is 8 MiB by default.
        """
        self.backing: Backing
        size = page_count * PAGE_BYTES
        self._region, self.backing = _map_locked(size, allow_memfd_secret=allow_memfd_secret)
        self._free = [Page(self._region[at : at + PAGE_BYTES]) for at in range(0, size, PAGE_BYTES)]
        self._lock = threading.Lock()

    @contextmanager
    def page(self) -> Iterator[Page]:
        """Leases a page and wipes it on the way out, however that is taken.

        Raises MemoryUnavailable at once if none is free. It does not wait: two requests that each
        hold a page and wait for another would wait for ever.
        """
        page = self.lease()
        try:
            yield page
        finally:
            self.give_back(page)

    def lease(self) -> Page:
        """Leases a page for longer than a block. Whoever calls this owes a `give_back`."""
        with self._lock:
            if not self._free:
                raise MemoryUnavailable("no locked page is free")
            return self._free.pop()

    def give_back(self, page: Page) -> None:
        """Wipes a leased page and takes it back."""
        page.wipe()
        with self._lock:
            self._free.append(page)

    @property
    def free_count(self) -> int:
        """Pages not on lease."""
        return len(self._free)


def _map_locked(size: int, *, allow_memfd_secret: bool) -> tuple[memoryview, Backing]:
    address = _map_memfd_secret(size) if allow_memfd_secret else None
    backing: Backing = "memfd_secret"
    if address is None:
        address, backing = _map_anonymous(size), "mlock"

    # Own subclass: the plain ctypes array takes no weak reference. Every slice of the view keeps
    # the array alive, so the memory is unmapped when, and only when, nobody can reach it any more.
    # Not at exit: a thread may still be signing then, and the kernel wipes better than we do.
    class Region(ctypes.c_ubyte * size):  # type: ignore[misc] # a class made at run time
        # A read-only view hashes like `bytes` (so that a word on a page finds its place in a word
        # list), but only if what it looks at has a hash of its own; ctypes' arrays have none.
        __hash__ = object.__hash__

    region = Region.from_address(address)
    weakref.finalize(region, _libc.munmap, address, size).atexit = False
    view = memoryview(region).cast("B")
    # Touch every page now: a page that cannot be had should fail the start.
    wipe(view)
    return view, backing


def _map_memfd_secret(size: int) -> int | None:
    fd: int = _libc.syscall(_SYS_MEMFD_SECRET, os.O_CLOEXEC)
    if fd < 0:
        return None
    try:
        os.ftruncate(fd, size)
        # Not Python's mmap: it keeps a duplicate of the descriptor, and whoever could take that one
        # from us (pidfd_getfd) could map the secrets.
        address: int | None = _libc.mmap(None, size, _PROTECTION, mmap.MAP_SHARED, fd, 0)
    finally:
        os.close(fd)
    if address == _MAP_FAILED or address is None:
        return None
    # Shared memory cannot be wiped in a forked child; it can be kept from it.
    _advise(address, size, mmap.MADV_DONTFORK)
    return address


def _map_anonymous(size: int) -> int:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    address: int | None = _libc.mmap(None, size, _PROTECTION, flags, -1, 0)
    if address == _MAP_FAILED or address is None:
        raise MemoryUnavailable(f"cannot map {size} bytes: {os.strerror(ctypes.get_errno())}")
    if _libc.mlock(address, size) != 0:
        reason = os.strerror(ctypes.get_errno())
        _libc.munmap(address, size)
        raise MemoryUnavailable(f"cannot lock {size} bytes (RLIMIT_MEMLOCK?): {reason}")
    _advise(address, size, mmap.MADV_DONTDUMP)
    _advise(address, size, _MADV_WIPEONFORK)
    return address


def _advise(address: int, size: int, advice: int) -> None:
    if _libc.madvise(address, size, advice) != 0:
        reason = os.strerror(ctypes.get_errno())
        _libc.munmap(address, size)
        raise MemoryUnavailable(f"cannot protect {size} bytes (madvise {advice}): {reason}")
