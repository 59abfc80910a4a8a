"""Runs the signer with an allocator that takes nothing back, so that what was not wiped is found.

    python keep_everything.py --config FILE

Freed memory is soon used again, so a search may miss an object that held a secret and was let go
with it: a matter of luck. Here `free` does nothing for Python's objects and buffers. Whatever ever
held a secret and was not wiped in place is still there to be found.
"""

import ctypes
import runpy
import sys

_DOMAINS = 3  # raw, mem, obj


class _Allocator(ctypes.Structure):
    """PyMemAllocatorEx of Python's C API."""

    _fields_ = [
        (name, ctypes.c_void_p) for name in ("context", "malloc", "calloc", "realloc", "free")
    ]


def main() -> None:
    """Change the allocators and become the signer."""
    api = ctypes.pythonapi
    # A function of no arguments and no effects stands in for `free`: in C the caller clears up.
    nothing = ctypes.cast(api.Py_IsInitialized, ctypes.c_void_p).value
    for domain in range(_DOMAINS):
        allocator = _Allocator()
        api.PyMem_GetAllocator(domain, ctypes.byref(allocator))
        allocator.free = nothing
        api.PyMem_SetAllocator(domain, ctypes.byref(allocator))
    sys.argv[0] = "signer_daemon"
    runpy.run_module("signer_daemon", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
