"""Who the signer is: an unprivileged uid of its own, no other groups, no capabilities."""

import ctypes
import grp
import os
import pwd
from dataclasses import dataclass

from signer_daemon.config import Config
from signer_daemon.sandbox.kernel import HardeningError, capset, prctl

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION_3 = 0x20080522


@dataclass(frozen=True, slots=True)
class Identity:
    """The uid and gid that the signer runs as, and the group that may reach signer.sock, if any."""

    uid: int
    gid: int
    socket_gid: int | None


def resolve(config: Config, *, insecure_dev: bool) -> Identity:
    """Return who to be. Raises HardeningError for root, or for somebody we cannot become."""
    own_uid, uid, gid = os.geteuid(), os.geteuid(), os.getegid()
    if config.user is not None:
        uid, gid = _account(config.user)
        if config.group is not None:
            gid = _gid(config.group)
        if uid == 0 or gid == 0:
            raise HardeningError("user: must be neither root nor of root's group")
        if own_uid not in {0, uid}:
            raise HardeningError(f"user: only root can become uid {uid}, and this is uid {own_uid}")
    elif uid == 0 and not insecure_dev:
        raise HardeningError("started as root: the configuration must name a `user` to become")
    return Identity(uid, gid, None if config.socket_group is None else _gid(config.socket_group))


def _gid(group: str | int) -> int:
    try:
        return group if isinstance(group, int) else grp.getgrnam(group).gr_gid
    except KeyError:
        raise HardeningError(f"no group is named {group}") from None


def _account(user: str | int) -> tuple[int, int]:
    if isinstance(user, int):
        return user, user
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise HardeningError(f"no account is named {user}") from None
    return entry.pw_uid, entry.pw_gid


def become(identity: Identity) -> None:
    """Become `identity` for good and give up every capability. Raises OSError."""
    parent, death_signal = os.getppid(), ctypes.c_int()
    prctl(_PR_GET_PDEATHSIG, ctypes.addressof(death_signal))
    if os.geteuid() == 0:
        _drop_bounding_set()  # first: the next steps lose the right to
        os.setgroups([])
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
        # A change of uid clears it, and then a signer could outlive whoever started and watches it.
        prctl(_PR_SET_PDEATHSIG, death_signal.value)
        if death_signal.value and os.getppid() != parent:
            raise HardeningError("whoever started the signer is gone")
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = _CAPABILITY_VERSION_3.to_bytes(4, "little") + bytes(4)
    capset(header, bytes(24))


def _drop_bounding_set() -> None:
    # The kernel says where its capabilities end: EINVAL for the first that it does not know.
    for capability in range(64):
        try:
            prctl(_PR_CAPBSET_READ, capability)
        except OSError:
            return
        prctl(_PR_CAPBSET_DROP, capability)
