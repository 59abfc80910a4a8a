"""System calls that Python does not have, through ctypes. Each raises OSError with its reason."""

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class HardeningError(Exception):
    """A measure could not be put in force; the message names it and is safe to print."""


def prctl(option: int, *values: int) -> int:
    """Set or ask something of the process. Values left out are 0, as the kernel demands."""
    padded = (*values, 0, 0, 0, 0)[:4]
    return _checked(_libc.prctl(option, *(ctypes.c_ulong(value) for value in padded)))


def capset(header: bytes, data: bytes) -> int:
    """Set the calling thread's capabilities; the C library knows the call's number."""
    return _checked(_libc.capset(header, data))


def syscall(number: int, *arguments: int | bytes | None) -> int:
    """Make a system call. `bytes` go by address and may be written to."""
    passed = [
        ctypes.c_long(argument) if isinstance(argument, int) else ctypes.c_char_p(argument)
        for argument in arguments
    ]
    return _checked(_libc.syscall(ctypes.c_long(number), *passed))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
