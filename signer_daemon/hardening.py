"""What the process gives up before it holds a secret. Any step that fails stops the start."""

import ctypes
import os
import resource
from dataclasses import dataclass

_PR_SET_DUMPABLE = 4
_PR_GET_DUMPABLE = 3
_PR_SET_NO_NEW_PRIVS = 38
_PR_GET_NO_NEW_PRIVS = 39


class HardeningError(Exception):
    """A measure could not be put in force; the message names it."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure, as the kernel reports it after it was applied."""

    name: str
    in_force: bool
    detail: str


def _prctl(option: int, value: int = 0) -> int:
    result = ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
    if result < 0:
        raise HardeningError(f"prctl {option}: {os.strerror(ctypes.get_errno())}")
    return int(result)


def harden() -> None:
    """No core dumps, no ptrace or /proc/PID/mem by the same uid, no privileges gained by exec.

    Raises HardeningError if the kernel does not confirm a measure.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    for measure in measures():
        if not measure.in_force:
            raise HardeningError(f"{measure.name} is not in force: {measure.detail}")


def measures() -> list[Measure]:
    """Ask the kernel, not our memory of what was asked of it."""
    dumpable = _prctl(_PR_GET_DUMPABLE)
    no_new_privs = _prctl(_PR_GET_NO_NEW_PRIVS)
    core = resource.getrlimit(resource.RLIMIT_CORE)
    return [
        Measure("not_dumpable", dumpable == 0, f"PR_GET_DUMPABLE is {dumpable}"),
        Measure("no_core_dumps", core == (0, 0), f"RLIMIT_CORE is {core[0]}, {core[1]}"),
        Measure("no_new_privs", no_new_privs == 1, f"PR_GET_NO_NEW_PRIVS is {no_new_privs}"),
    ]
