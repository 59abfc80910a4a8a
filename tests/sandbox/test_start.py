"""The start: each step fails closed, and what is in force is what the kernel says."""

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from signer_daemon.config import Config, ConfigError, load
from signer_daemon.sandbox import identity
from signer_daemon.sandbox.kernel import HardeningError
from solward.signer.v1 import admin_service_pb2 as ap
from solward_client.devstack.servers import SIGNER_UID
from tests.sandbox.process import probed, waits_on
from tests.signer.client import connected
from tests.signer.process import SignerProcess, StartRefused, signer_process

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
INSECURE = ("-m", "signer_daemon", "--insecure-dev")
OTHER_UID = 65532
# Each step that can fail, with the measures that are then missing.
STEPS = {
    "limits": {"no_core_dumps"},
    "become": {"own_uid", "no_capabilities"},
    "landlock": {"landlock"},
    "seccomp": {"seccomp"},
}


def status(signer: SignerProcess) -> ap.GetStatusResponse:
    """What GetStatus says."""
    with connected(signer) as client:
        return client.admin.GetStatus(ap.GetStatusRequest())


def missing(found: ap.GetStatusResponse) -> set[str]:
    """The measures that are not in force."""
    return {measure.name for measure in found.measures if not measure.in_force}


def refused(signer: SignerProcess) -> str:
    """Assert that it does not start, takes no connection and says one line; return that."""
    with pytest.raises(StartRefused) as caught:
        signer.start()
    assert 1 == caught.value.code
    assert not waits_on(signer.socket)
    assert not waits_on(signer.admin_socket)
    line, *more = caught.value.errors.splitlines()
    assert [] == more
    return line


def test_every_measure_is_in_force() -> None:
    """An ordinary start, and what GetStatus reports of it."""
    with signer_process() as signer:
        signer.start()
        found = status(signer)
    assert 8 == len(found.measures)
    assert set() == missing(found)
    assert not found.insecure_dev


def test_the_kernel_says_so_of_every_thread() -> None:
    """The same from outside: uid, capabilities, no_new_privs and a filter, thread by thread."""
    own = str(SIGNER_UID if os.geteuid() == 0 else os.geteuid())
    with signer_process() as signer:
        signer.start()
        status(signer)  # so that there are threads that serve
        threads = [path.read_text() for path in Path(f"/proc/{signer.pid}/task").glob("*/status")]
    assert len(threads) > 4
    for text in threads:
        fields = {
            key: value.split() for key, _, value in (x.partition(":") for x in text.splitlines())
        }
        assert [own] * 4 == fields["Uid"]
        assert (["1"], ["2"]) == (fields["NoNewPrivs"], fields["Seccomp"])
        sets = ("CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd")
        assert {0} == {int(fields[name][0], 16) for name in sets[: None if own == "65533" else 4]}


@needs_root
def test_root_must_say_whom_to_become() -> None:
    """Without `user` in the configuration, root's signer does not start."""
    with signer_process() as signer:
        signer.configure(user=None)
        assert refused(signer).startswith("signer: cannot run: started as root")


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_stops_the_start(step: str) -> None:
    """One clear line, exit code 1, and nobody was served."""
    if step == "become" and os.geteuid() != 0:
        pytest.skip("who is nobody has nothing to become")
    with probed(failing=[step]) as signer:
        line = refused(signer)
    assert "cannot be put in force: [Errno 38] Function not implemented" in line


@pytest.mark.parametrize("step", ["landlock", "seccomp"])
def test_a_step_that_only_seemed_to_work_stops_the_start(step: str) -> None:
    """It is the kernel that is asked, not the call that returned."""
    with probed(without=[step]) as signer:
        line = refused(signer)
    assert line.startswith(f"signer: cannot run: {step} cannot be put in force: the kernel says")


@pytest.mark.parametrize("step", STEPS)
def test_insecure_dev_goes_on_and_says_so(step: str) -> None:
    """The missing measures are printed, audited and in GetStatus; the others are in force."""
    if step == "become" and os.geteuid() != 0:
        pytest.skip("who is nobody has nothing to become")
    with probed("--insecure-dev", failing=[step]) as signer:
        signer.start()
        found = status(signer)
        audited = [json.loads(line[:-65]) for line in signer.audit_log.read_text().splitlines()]
        printed = signer.errors
    assert found.insecure_dev
    assert STEPS[step] == missing(found)
    event = next(record for record in audited if record["event"] == "insecure_dev")
    for name in STEPS[step]:
        assert name in event["missing"]
        assert f"INSECURE: {name} is not in force" in printed


def test_insecure_dev_where_nothing_is_missing_is_shown_too() -> None:
    """The flag alone is reported: a start that could have gone without is not one that did not."""
    with signer_process() as signer:
        signer.program = INSECURE
        signer.start()
        found = status(signer)
        audited, printed = signer.audit_log.read_text(), signer.errors
    assert "INSECURE: started with --insecure-dev" in printed
    assert (True, set()) == (found.insecure_dev, missing(found))
    assert '"event":"insecure_dev","missing":[]' in audited


@needs_root
def test_an_unprivileged_user_needs_no_root() -> None:
    """Started as somebody ordinary, with a further group, everything is in force."""
    with probed(uid=OTHER_UID, groups=[100]) as signer:
        signer.configure(user=None)
        for path in (signer.home, *signer.home.rglob("*")):
            os.chown(path, OTHER_UID, OTHER_UID)
        signer.start()
        assert set() == missing(status(signer))
        assert OTHER_UID == signer.audit_log.stat().st_uid


@needs_root
def test_an_unprivileged_user_cannot_keep_roots_group() -> None:
    """A group of root's opens root's files: that is no identity of one's own."""
    with probed(uid=OTHER_UID, groups=[0]) as signer:
        signer.configure(user=None)
        for path in (signer.home, *signer.home.rglob("*")):
            os.chown(path, OTHER_UID, OTHER_UID)
        assert "own_uid cannot be put in force" in refused(signer)


@needs_root
def test_an_unprivileged_user_cannot_become_another() -> None:
    """A `user` that is not who started it is an error, not something to pass over."""
    with probed(uid=OTHER_UID) as signer:
        for path in (signer.home, *signer.home.rglob("*")):
            os.chown(path, OTHER_UID, OTHER_UID)
        assert f"only root can become uid {SIGNER_UID}" in refused(signer)


@needs_root
def test_root_hands_over_what_it_owns_and_nothing_else() -> None:
    """A log of root's goes to the signer; a link to root's file elsewhere does not."""
    with signer_process() as signer:
        signer.configure(user=None)
        signer.program = INSECURE
        signer.start()
        signer.stop()
        elsewhere = signer.home / "elsewhere"
        elsewhere.write_text("root's")
        (signer.state / "hard").hardlink_to(elsewhere)
        (signer.state / "soft").symlink_to(elsewhere)
        signer.configure()
        signer.program = ("-m", "signer_daemon")
        signer.start()
        assert SIGNER_UID == signer.audit_log.stat().st_uid == signer.state.stat().st_uid
        assert 0 == elsewhere.stat().st_uid
        signer.stop()
        # As an operator puts a copy back.
        Path(shutil.copy(signer.audit_log, signer.home / "copy")).replace(signer.audit_log)
        assert 0 == signer.audit_log.stat().st_uid
        signer.start()
        assert SIGNER_UID == signer.audit_log.stat().st_uid


@needs_root
@pytest.mark.parametrize("name", ["state", "s", "a"])
def test_a_directory_of_somebody_elses_is_refused(name: str) -> None:
    """Whoever owns it could put anything there."""
    with signer_process() as signer:
        path = signer.home / name
        path.mkdir(mode=0o700)
        os.chown(path, OTHER_UID, OTHER_UID)
        assert f"{path}: owned by uid {OTHER_UID}" in refused(signer)


def test_a_directory_that_others_may_write_to_is_refused() -> None:
    """The mode is part of who it belongs to."""
    with signer_process() as signer:
        signer.state.mkdir()
        signer.state.chmod(0o770)
        assert f"{signer.state}: mode is 770, at most 700 allowed" in refused(signer)


def test_messages_name_directories_as_the_configuration_does() -> None:
    """The signer reaches its directories by descriptor; nobody is told so."""
    with signer_process() as signer:
        signer.state.mkdir(mode=0o700)
        (signer.state / "audit.log").mkdir()
        line = refused(signer)
    assert str(signer.audit_log) in line
    assert "/proc/" not in line


@needs_root
def test_signer_sock_goes_to_its_group() -> None:
    """`socket_group` owns the socket and may enter its directory; nobody gave it more."""
    with signer_process() as signer:
        signer.configure(socket_group="daemon")
        signer.start()
        found, directory = signer.socket.stat(), signer.socket.parent.stat()
        admin = signer.admin_socket.stat()
    group = identity.resolve(_config(socket_group="daemon"), insecure_dev=True).socket_gid
    assert (SIGNER_UID, group, 0o660) == (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode))
    assert (group, 0o2750) == (directory.st_gid, stat.S_IMODE(directory.st_mode))
    assert (SIGNER_UID, 0o600) == (admin.st_gid, stat.S_IMODE(admin.st_mode))


@needs_root
def test_only_a_member_gives_the_socket_to_a_group() -> None:
    """Who is not root and not of the group is told so."""
    with probed(uid=OTHER_UID) as signer:
        signer.configure(user=None, socket_group="daemon")
        for path in (signer.home, *signer.home.rglob("*")):
            os.chown(path, OTHER_UID, OTHER_UID)
        assert f"{signer.socket.parent}: only a member can give it" in refused(signer)


def _config(**changes: Any) -> Config:
    here = Path("/nowhere")
    return Config(here, here, here, here / "policy.toml", **changes)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"user": "root"}, "neither root nor"),
        ({"user": "nobody", "group": "root"}, "neither root nor"),
        ({"user": "no-such-account"}, "no account is named no-such-account"),
        ({"user": 65533, "group": "no-such-group"}, "no group is named no-such-group"),
        ({"user": 65533, "socket_group": "no-such-group"}, "no group is named no-such-group"),
    ],
)
def test_an_identity_that_is_none_is_refused(
    changes: dict[str, object], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root is nobody to become, and neither is whom this host does not know."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(HardeningError, match=why):
        identity.resolve(_config(**changes), insecure_dev=False)


def test_a_name_and_a_number_are_both_an_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account brings its own group; a number is its own group's; `group` goes before both."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    by_name = identity.resolve(_config(user="nobody"), insecure_dev=False)
    assert 65534 == by_name.uid
    by_number = identity.resolve(_config(user=65533), insecure_dev=False)
    assert identity.Identity(65533, 65533, None) == by_number
    grouped = identity.resolve(_config(user=65533, group=7, socket_group=None), insecure_dev=False)
    assert 7 == grouped.gid


@pytest.mark.parametrize("user", ["0", "-1", "true", '""', "4294967295", "1.5"])
def test_a_user_that_is_no_user_is_refused(user: str) -> None:
    """The configuration takes a name or a positive number that is a uid."""
    with signer_process() as signer:
        signer.configure(user=None)
        signer.config.write_text(f"user = {user}\n{signer.config.read_text()}")
        with pytest.raises(ConfigError, match="user: must be a name or a positive number"):
            load(signer.config)


def test_a_secret_beside_the_policy_is_refused() -> None:
    """A signer that serves may read the policy's directory, so no secret may lie in it."""
    with signer_process() as signer:
        signer.configure(policy_file=signer.home / "policy.toml")
        with pytest.raises(ConfigError, match="must not lie in the directory of a policy"):
            load(signer.config)
