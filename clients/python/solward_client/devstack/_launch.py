"""Becomes another program that cannot outlive the one that started it.

    python -I -S _launch.py PARENT_PID SIGNAL USER PROGRAM [ARGUMENT...]

Asks the kernel to send SIGNAL when the parent ends (PR_SET_PDEATHSIG), becomes USER ("-": stays who
it is) and executes PROGRAM. It is a program of its own because subprocess's `preexec_fn`, the other
place where this could run, may deadlock in a process that has threads, and gRPC has threads.

PostgreSQL refuses to run as root, and root's directories (/root, a 0700 temporary directory) are
closed to other users. So a USER other than root keeps one capability, CAP_DAC_OVERRIDE, to reach
its data and its binaries where they are. That is for development servers only.
"""

import ctypes
import os
import pwd
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _prctl(option: int, *values: int) -> None:
    padded = (*values, 0, 0, 0, 0)[:4]
    _check(_libc.prctl(option, *(ctypes.c_ulong(value) for value in padded)))


def _become(user: str) -> None:
    entry = pwd.getpwnam(user)
    _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    bit = 1 << _CAP_DAC_OVERRIDE
    # Two 32-bit words of (effective, permitted, inheritable).
    data = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(data)))
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE)


def _main(parent: str, signal: str, user: str, *command: str) -> None:
    if user != "-":
        _become(user)
    # After the change of user, which would clear it.
    _prctl(_PR_SET_PDEATHSIG, int(signal))
    if os.getppid() != int(parent):
        sys.exit("the parent ended before its child began")
    os.execv(command[0], command)  # noqa: S606  becoming the program is the whole point


if __name__ == "__main__":
    _main(*sys.argv[1:])
