"""The seccomp program, run by hand for both machines: the one we are not on counts as well."""

import errno
import os
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer_daemon.sandbox.seccomp import ALLOW, KILL_PROCESS, MACHINES, program
from signer_daemon.sandbox.syscalls import ALLOWED, ANSWERED, GUARDED

PID = 4711
ACCES = 0x00050000 | errno.EACCES
PTHREAD_CREATE = 0x3D0F00
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
machines = pytest.mark.parametrize("name", MACHINES)


def run(code: bytes, arch: int, number: int, *arguments: int) -> int:
    """Interpret the program as the kernel does; return the action."""
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("<iIQ6Q", number, arch, 0, *padded)
    accumulator, at = 0, 0
    while True:
        operation, if_true, if_false, value = struct.unpack_from("<HBBI", code, at * 8)
        at += 1
        match operation:
            case 0x20:
                accumulator = struct.unpack_from("<I", data, value)[0]
            case 0x15:
                at += if_true if accumulator == value else if_false
            case 0x45:
                at += if_true if accumulator & value else if_false
            case 0x35:
                at += if_true if accumulator >= value else if_false
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"no such instruction: {operation:#x}")


def ask(name: str, number: int, *arguments: int) -> int:
    """The action of a machine's own program on a call."""
    machine = MACHINES[name]
    return run(program(machine, PID), machine.audit_arch, number, *arguments)


def numbers(name: str) -> dict[str, int]:
    """All calls in the tables that the machine has."""
    column = MACHINES[name].column
    both = {**ALLOWED, **GUARDED, **{call: pair for call, (pair, _) in ANSWERED.items()}}
    return {call: number for call, pair in both.items() if (number := pair[column]) is not None}


@machines
def test_what_is_listed_is_allowed(name: str) -> None:
    """Every call that the table allows, whatever its arguments."""
    listed = numbers(name)
    for call in ALLOWED.keys() & listed.keys():
        assert ALLOW == ask(name, listed[call], *[2**64 - 1] * 6), call


@machines
def test_everything_else_kills(name: str) -> None:
    """All other numbers up to 1,023, negative ones and x32's."""
    listed = set(numbers(name).values())
    for number in set(range(1024)) - listed:
        assert KILL_PROCESS == ask(name, number), number
    for number in (-1, -(2**31), 0x40000000, 0x40000000 | 1, 2**31 - 1):
        assert KILL_PROCESS == ask(name, number)


@machines
@pytest.mark.parametrize(
    ("call", "arguments", "action"),
    [
        ("openat", (0, 0, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY), ALLOW),
        ("openat", (0, 0, os.O_WRONLY), ACCES),
        ("openat", (0, 0, os.O_RDWR | os.O_CLOEXEC), ACCES),
        ("openat", (0, 0, os.O_CREAT), ACCES),
        ("openat", (0, 0, os.O_TRUNC), ACCES),
        ("openat", (0, 0, os.O_TMPFILE | os.O_RDWR), ACCES),
        ("mmap", (0, 4096, 3), ALLOW),
        ("mmap", (0, 4096, 4), ACCES),
        ("mprotect", (0, 4096, 1), ALLOW),
        ("mprotect", (0, 4096, 7), ACCES),
        ("clone", (PTHREAD_CREATE,), ALLOW),
        ("clone", (17,), KILL_PROCESS),  # fork: SIGCHLD and nothing else
        ("clone", (PTHREAD_CREATE | 0x10000000,), KILL_PROCESS),  # and a user namespace
        ("clone", (0x4111,), KILL_PROCESS),  # posix_spawn: CLONE_VM | CLONE_VFORK | SIGCHLD
        ("clone3", (), 0x00050000 | errno.ENOSYS),
        ("tgkill", (PID, 1, 6), ALLOW),
        ("tgkill", (PID + 1, 1, 6), KILL_PROCESS),
        ("tgkill", (2**32 - 1, 1, 6), KILL_PROCESS),
        ("prctl", (3,), ALLOW),  # PR_GET_DUMPABLE
        ("prctl", (15,), ALLOW),  # PR_SET_NAME
        ("prctl", (4, 1), ACCES),  # PR_SET_DUMPABLE
        ("prlimit64", (0, 4, 0, 1), ALLOW),
        ("prlimit64", (1, 4, 0, 1), KILL_PROCESS),
        ("ioctl", (0, 0x5401), 0x00050000 | errno.ENOTTY),
    ],
)
def test_arguments_decide(name: str, call: str, arguments: tuple[int, ...], action: int) -> None:
    """The calls that are allowed for some purposes only."""
    assert action == ask(name, numbers(name)[call], *arguments)


@machines
@given(arch=st.integers(0, 2**32 - 1), number=st.integers(0, 500))
def test_another_machines_calls_kill(name: str, arch: int, number: int) -> None:
    """The same number means another call there: 32-bit x86's `openat` is not ours."""
    machine = MACHINES[name]
    if arch != machine.audit_arch:
        assert KILL_PROCESS == run(program(machine, PID), arch, number)


@machines
@given(flags=st.integers(0, 2**64 - 1))
def test_only_threads_are_cloned(name: str, flags: int) -> None:
    """Whatever the flags, only glibc's pthread_create gets through; the kernel reads 32 bits."""
    expected = ALLOW if flags & (2**32 - 1) == PTHREAD_CREATE else KILL_PROCESS
    assert expected == ask(name, numbers(name)["clone"], flags)


@machines
def test_no_number_stands_twice(name: str) -> None:
    """A call that is guarded in one place and allowed in another would be allowed."""
    listed = numbers(name)
    assert len(listed) == len(set(listed.values()))
    assert not ALLOWED.keys() & GUARDED.keys()
    assert not (ALLOWED.keys() | GUARDED.keys()) & ANSWERED.keys()


@machines
def test_the_numbers_are_the_kernels(name: str) -> None:
    """As the kernel's headers have them, where they are installed."""
    if not HEADERS[name].exists():
        pytest.skip(f"{HEADERS[name]} is not installed")
    defined = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[name].read_text()))
    # asm-generic names the 64-bit form by the 32-bit one's name where they share a number.
    aliases = {"newfstatat": "fstatat"} if name == "aarch64" else {}
    for call, number in numbers(name).items():
        assert str(number) == defined[aliases.get(call, call)], call


@machines
def test_the_program_fits(name: str) -> None:
    """The kernel takes 4,096 instructions of 8 bytes."""
    code = program(MACHINES[name], PID)
    assert 0 == len(code) % 8
    assert len(code) // 8 < 4096
