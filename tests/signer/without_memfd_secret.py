"""Runs a program on a kernel that seems to have no memfd_secret.

    python without_memfd_secret.py PROGRAM [ARGUMENT...]

A seccomp filter answers ENOSYS, so the program is the real one, unchanged, on its other path:
locked anonymous pages, which root can read. That is what a scan of its memory needs.
"""

import ctypes
import errno
import os
import struct
import sys

_SYS_MEMFD_SECRET = 447  # the same number on every architecture that has it
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def main() -> None:
    """Install the filter and become the program."""
    program = b"".join(
        (
            _instruction(_LOAD, 0),  # seccomp_data.nr
            _instruction(_JUMP_IF_EQUAL, _SYS_MEMFD_SECRET, if_true=0, if_false=1),
            _instruction(_RETURN, _ERRNO | errno.ENOSYS),
            _instruction(_RETURN, _ALLOW),
        )
    )
    room = ctypes.create_string_buffer(program)
    # struct sock_fprog: a count, and a pointer at the machine's own alignment.
    head = ctypes.create_string_buffer(
        struct.pack("@HP", len(program) // 8, ctypes.addressof(room))
    )
    libc = ctypes.CDLL(None, use_errno=True)
    for option, values in (
        (_PR_SET_NO_NEW_PRIVS, (1, 0)),
        (_PR_SET_SECCOMP, (_SECCOMP_MODE_FILTER, ctypes.addressof(head))),
    ):
        if libc.prctl(option, *map(ctypes.c_ulong, values), ctypes.c_ulong(0), ctypes.c_ulong(0)):
            raise OSError(ctypes.get_errno(), f"prctl {option}")
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
