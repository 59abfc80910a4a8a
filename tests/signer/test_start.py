"""What the signer does not start with: one clear line, exit code 1, nothing served or told."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.signer.client import connected
from tests.signer.process import SignerProcess, StartRefused, signer_process

Arrangement = Callable[[SignerProcess], object]


def edit(path: str, old: str, new: str) -> Arrangement:
    """Change a text in one of the process's files."""

    def change(signer: SignerProcess) -> None:
        file: Path = getattr(signer, path)
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    return change


def remove(path: str) -> Arrangement:
    """Take a file away."""
    return lambda signer: getattr(signer, path).unlink()


def _empty(log: Path) -> None:
    log.write_bytes(b"")


def _remove_all(log: Path) -> None:
    for path in log.parent.iterdir():
        path.unlink()


def configure(**changes: Any) -> Arrangement:
    """Give configuration keys other values."""
    return lambda signer: signer.configure(**changes)


def both_sources(signer: SignerProcess) -> None:
    """MASTER_PASSWORD by file and by environment."""
    signer.environment["MASTER_PASSWORD"] = signer.master_password


def after_a_run(change: Callable[[Path], object]) -> Arrangement:
    """Change the log of a signer that has run."""

    def arrange(signer: SignerProcess) -> None:
        signer.start()
        with connected(signer) as client:
            client.signer.CreateMasterWallet(client.create_master("a password for the log"))
        signer.stop()
        change(signer.audit_log)

    return arrange


def _alter(log: Path) -> None:
    log.write_bytes(log.read_bytes().replace(b'"outcome":"ok"', b'"outcome":"no"', 1))


def _drop_first(log: Path) -> None:
    log.write_bytes(log.read_bytes().split(b"\n", 1)[1])


def _drop_last(log: Path) -> None:
    log.write_bytes(log.read_bytes()[:-1].rpartition(b"\n")[0] + b"\n")


def _other_secrets(log: Path) -> None:
    (log.parents[1] / "key").write_bytes(os.urandom(32))


def _open_to_all(signer: SignerProcess) -> None:
    signer.state.mkdir()
    signer.state.chmod(0o777)


REFUSALS: list[tuple[str, Arrangement, str]] = [
    ("no configuration", remove("config"), "signer.toml"),
    ("configuration is no TOML", edit("config", "state_dir =", "state_dir"), "signer.toml"),
    ("unknown key", configure(state_dri="/x"), "state_dri: unknown key"),
    ("unknown limit", configure(limits={"worker": 1}), "limits.worker: unknown key"),
    ("unknown secret", configure(secrets={"key_file": "/x"}), "secrets.key_file: unknown key"),
    ("missing key", configure(state_dir=None), "state_dir: missing"),
    ("relative path", configure(state_dir="state"), "state_dir: must be an absolute path"),
    ("limit of 0", configure(limits={"workers": 0}), "limits.workers: must be an integer"),
    ("limit too high", configure(limits={"kdf_concurrency": 5}), "limits.kdf_concurrency"),
    ("no policy", remove("policy"), "policy"),
    ("unknown policy key", edit("policy", "programs", "program"), "unknown key 'program'"),
    ("no policy group", edit("policy", "[[group]]", "[[groups]]"), "unknown key 'groups'"),
    ("policy value", edit("policy", '"vault"', '"volt"'), "destinations"),
    ("secret for all", lambda signer: signer.key_file.chmod(0o604), "others can neither read"),
    ("password for all", lambda signer: signer.password_file.chmod(0o644), "others can neither"),
    ("no secret file", remove("key_file"), "key: No such file"),
    ("two sources", both_sources, "MASTER_PASSWORD: more than one source"),
    (
        "no source",
        configure(secrets={"encryption_key_file": None}),
        "ENCRYPTION_KEY: no source",
    ),
    (
        "short password",
        lambda signer: signer.password_file.write_text(signer.master_password[:31]),
        "MASTER_PASSWORD: the password has fewer than 32 characters",
    ),
    (
        "short key",
        lambda signer: signer.key_file.write_bytes(signer.encryption_key[:31]),
        "ENCRYPTION_KEY: must be 32 bytes",
    ),
    ("state directory for all", _open_to_all, "state: mode is 777, at most 700 allowed"),
    ("state directory cannot be", configure(state_dir="/proc/solward"), "/proc/solward"),
    ("no such group", configure(socket_group="no-such-group"), "no-such-group"),
    ("log altered", after_a_run(_alter), "audit record 0: "),
    ("log without its start", after_a_run(_drop_first), "audit record 0: "),
    ("log cut short", after_a_run(_drop_last), "removed: the head counts 2 records"),
    ("log of other secrets", after_a_run(_other_secrets), "audit record"),
    ("log removed", after_a_run(Path.unlink), "audit.log is not there: restore it"),
    ("log emptied", after_a_run(_empty), "removed: the head counts 2 records"),
    # Whoever can do this would have every limit and freeze forgotten.
    ("log removed, and all beside it", after_a_run(_remove_all), "audit.log is not there"),
]


@pytest.fixture
def signer() -> Iterator[SignerProcess]:
    """A signer that has not started."""
    with signer_process() as process:
        yield process


@pytest.mark.parametrize(
    ("arrange", "told"), [pytest.param(a, t, id=name) for name, a, t in REFUSALS]
)
def test_it_does_not_start(signer: SignerProcess, arrange: Arrangement, told: str) -> None:
    """One line that names the cause, exit code 1, no traceback, no secret, no socket."""
    arrange(signer)
    before, said = signer.errors if (signer.home / "errors").exists() else "", signer.output
    with pytest.raises(StartRefused) as refused:
        signer.start()
    errors = refused.value.errors.removeprefix(before)
    assert 1 == refused.value.code
    assert errors.startswith("signer: cannot run: ")
    assert told in errors
    assert 1 == errors.count("\n")
    assert said == refused.value.output
    for secret in (signer.master_password, signer.encryption_key.hex(), "Traceback"):
        assert secret not in errors
    assert not signer.socket.exists()
    assert not signer.admin_socket.exists()


def test_it_starts_with_secrets_from_each_source(signer: SignerProcess) -> None:
    """A file, a variable (raw hex), NAME_FILE and a systemd credential give the same signer."""
    ids = []
    credentials = signer.home / "credentials"
    credentials.mkdir()
    for name, secret in (
        ("ENCRYPTION_KEY", signer.encryption_key),
        ("MASTER_PASSWORD", signer.master_password.encode()),
    ):
        (credentials / name).touch(0o600)
        (credentials / name).write_bytes(secret)
    from_environment = {"encryption_key_file": None, "master_password_file": None}
    for secrets, variables in (
        ({}, {}),
        (
            from_environment,
            {
                "ENCRYPTION_KEY": signer.encryption_key.hex(),
                "MASTER_PASSWORD": signer.master_password,
            },
        ),
        (
            from_environment,
            {
                "ENCRYPTION_KEY_FILE": str(signer.key_file),
                "MASTER_PASSWORD_FILE": str(signer.password_file),
            },
        ),
        (from_environment, {"CREDENTIALS_DIRECTORY": str(credentials)}),
    ):
        signer.configure(secrets=secrets)
        signer.environment = dict(variables)
        signer.start()
        with connected(signer) as client:
            ids.append(client.key.box_public_key)
        signer.stop()
    assert 1 == len(set(ids))
