"""Runs a program as on a kernel that has no Landlock: `python without_landlock.py PROGRAM ...`.

A seccomp filter that answers landlock_create_ruleset with ENOSYS, inherited by all it starts.
"""

import ctypes
import os
import struct
import sys

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_LANDLOCK_CREATE_RULESET = 444  # the same on every architecture
_ENOSYS, _ALLOW = 0x0005_0000 | 38, 0x7FFF_0000


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def main() -> None:
    """Install the filter and become the program."""
    program = b"".join(
        (
            _instruction(0x20, 0, 0, 0),  # load the system call's number
            _instruction(0x15, 0, 1, _LANDLOCK_CREATE_RULESET),  # if it is this one
            _instruction(0x06, 0, 0, _ENOSYS),
            _instruction(0x06, 0, 0, _ALLOW),
        )
    )
    code = ctypes.create_string_buffer(program)
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header
    ):
        raise OSError(ctypes.get_errno(), "prctl")
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
