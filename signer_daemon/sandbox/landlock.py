"""Landlock: which files the process may reach, and that it makes no TCP connection.

https://docs.kernel.org/userspace-api/landlock.html. It binds the calling thread and those it starts
later, so it has to come before any other thread exists.
"""

import os
import struct
from collections.abc import Iterable
from pathlib import Path

from signer_daemon.sandbox.kernel import HardeningError, syscall

# The same numbers on every architecture.
_SYS_CREATE_RULESET, _SYS_ADD_RULE, _SYS_RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

READ_FILE, READ_DIR = 1 << 2, 1 << 3
REMOVE_FILE, MAKE_SOCK = 1 << 5, 1 << 9
READ = READ_FILE | READ_DIR
SOCKETS = MAKE_SOCK | REMOVE_FILE

# How many file rights each version of the ABI knows: we deny all of them, and allow by rule.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_RIGHTS_NEWEST = 16  # from ABI 5 on
_NET_BIND_AND_CONNECT_TCP = 0b11  # from ABI 4 on
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11  # from ABI 6 on

Rule = tuple[Path, int]
"""A directory (with all beneath) or a file, and the rights that it keeps."""


def abi() -> int:
    """Return the kernel's version of Landlock. Raises OSError where there is none."""
    return syscall(_SYS_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)


def restrict(rules: Iterable[Rule]) -> None:
    """Deny every file right but `rules`, TCP, and signals to others, for good.

    What an older kernel cannot deny (TCP before ABI 4, signals before 6), seccomp denies as well.
    Raises HardeningError if another thread would stay free, OSError.
    """
    if len(list(Path("/proc/self/task").iterdir())) != 1:
        raise HardeningError("another thread has started already")
    version = abi()
    handled = (1 << _RIGHTS.get(version, _RIGHTS_NEWEST)) - 1
    attributes = struct.pack(
        "<QQQ",
        handled,
        _NET_BIND_AND_CONNECT_TCP if version >= 4 else 0,
        _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0,
    )
    # The kernel takes a shorter or longer struct as long as what it does not know is zero.
    ruleset = syscall(_SYS_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path, rights in rules:
            _allow(ruleset, path, rights & handled)
        syscall(_SYS_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        syscall(_SYS_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("<Qi", rights, fd), 0)
    finally:
        os.close(fd)
