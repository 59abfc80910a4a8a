"""seccomp: the system calls that are left, as a BPF program for x86-64 and aarch64.

https://docs.kernel.org/userspace-api/seccomp_filter.html. TSYNC binds every thread there is. The
program is a plain list: one test for each call, and at its end death.
"""

import ctypes
import errno
import os
import struct
from dataclasses import dataclass

from signer_daemon.sandbox.kernel import HardeningError, syscall
from signer_daemon.sandbox.syscalls import ALLOWED, ANSWERED, GUARDED

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000

_SET_MODE_FILTER, _FLAG_TSYNC = 1, 1

# BPF: load a word of struct seccomp_data; jump if equal, any bit set, greater or equal; return.
_LD, _JEQ, _JSET, _JGE, _RET = 0x20, 0x15, 0x45, 0x35, 0x06
_DATA_NR, _DATA_ARCH, _DATA_ARGS = 0, 4, 16

_PROT_EXEC = 4
_O_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC  # the same on both machines
_PTHREAD_CREATE = 0x3D0F00  # the flags of glibc's pthread_create: a thread, and no namespace
_PR_GET_DUMPABLE, _PR_SET_NAME = 3, 15


@dataclass(frozen=True, slots=True)
class Machine:
    """What differs between the two architectures. `column` is the place in the tables."""

    audit_arch: int
    column: int
    sys_seccomp: int
    has_x32: bool


MACHINES = {
    "x86_64": Machine(0xC000003E, 0, 317, has_x32=True),
    "aarch64": Machine(0xC00000B7, 1, 277, has_x32=False),
}


@dataclass(frozen=True, slots=True)
class Guard:
    """Allow a call if an argument's low 32 bits equal one of `values`, or have none of `bits`."""

    argument: int
    values: tuple[int, ...] = ()
    bits: int = 0
    otherwise: int | None = None  # as for a call that is not in the list


def _guards(pid: int) -> dict[str, Guard]:
    refused = _ERRNO | errno.EACCES
    return {
        "openat": Guard(2, bits=_O_TO_WRITE, otherwise=refused),
        # No new code: every library is loaded by now, and one that is not must do without.
        "mmap": Guard(2, bits=_PROT_EXEC, otherwise=refused),
        "mprotect": Guard(2, bits=_PROT_EXEC, otherwise=refused),
        "clone": Guard(0, values=(_PTHREAD_CREATE,)),
        "tgkill": Guard(0, values=(pid,)),  # abort() signals itself
        "prctl": Guard(0, values=(_PR_GET_DUMPABLE, _PR_SET_NAME), otherwise=refused),
        "prlimit64": Guard(0, values=(0,)),  # ourselves; a hard limit cannot be raised
    }


def program(machine: Machine, pid: int, default: int = KILL_PROCESS) -> bytes:
    """Return the filter for process `pid`: whole BPF instructions of 8 bytes."""
    code = [_load(_DATA_ARCH), _test(_JEQ, machine.audit_arch, 1, 0), _return(KILL_PROCESS)]
    code.append(_load(_DATA_NR))
    if machine.has_x32:
        # The same calls again under other numbers: none of them is ours.
        code += [_test(_JGE, 0x40000000, 0, 1), _return(KILL_PROCESS)]
    for name, guard in _guards(pid).items():
        number = GUARDED[name][machine.column]
        if number is not None:
            code += _guarded(number, guard, default)
    answers = {name: (numbers, ALLOW) for name, numbers in ALLOWED.items()}
    answers |= {name: (numbers, _ERRNO | code) for name, (numbers, code) in ANSWERED.items()}
    for numbers, answer in answers.values():
        number = numbers[machine.column]
        if number is not None:
            code += [_test(_JEQ, number, 0, 1), _return(answer)]
    return b"".join([*code, _return(default)])


def _guarded(number: int, guard: Guard, default: int) -> list[bytes]:
    allowed = _return(ALLOW)
    refused = _return(default if guard.otherwise is None else guard.otherwise)
    body = [_load(_DATA_ARGS + 8 * guard.argument)]
    for value in guard.values:
        body += [_test(_JEQ, value, 0, 1), allowed]
    if guard.bits:
        body += [_test(_JSET, guard.bits, 1, 0), allowed]
    # Each way through the body returns, so nobody needs the number loaded again.
    return [_test(_JEQ, number, 0, len(body) + 1), *body, refused]


def _load(offset: int) -> bytes:
    return struct.pack("<HBBI", _LD, 0, 0, offset)


def _test(operation: int, value: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("<HBBI", operation, if_true, if_false, value)


def _return(action: int) -> bytes:
    return struct.pack("<HBBI", _RET, 0, 0, action)


def restrict(default: int = KILL_PROCESS) -> None:
    """Put the filter in force in every thread. no_new_privs must be set. Raises OSError."""
    machine = MACHINES.get(os.uname().machine)
    if machine is None:
        raise HardeningError(f"there is no list of system calls for {os.uname().machine}")
    code = program(machine, os.getpid(), default)
    instructions = ctypes.create_string_buffer(code, len(code))
    filter_program = struct.pack("@HP", len(code) // 8, ctypes.addressof(instructions))
    # A positive result is the id of a thread that could not be bound.
    if thread := syscall(machine.sys_seccomp, _SET_MODE_FILTER, _FLAG_TSYNC, filter_program):
        raise HardeningError(f"thread {thread} could not be bound")
