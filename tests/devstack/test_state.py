"""The state directory: private, used by one stack at a time, its secrets made once."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from solward_client.devstack.errors import DevStackError, StateInUseError
from solward_client.devstack.state import ENCRYPTION_KEY, MASTER_PASSWORD, StateDir


@pytest.fixture
def root() -> Iterator[Path]:
    """A place for a state directory that does not exist yet."""
    with tempfile.TemporaryDirectory(prefix="sw-") as directory:
        yield Path(directory) / "state"


def test_secrets_are_made_once_and_only_their_owner_reads_them(root: Path) -> None:
    """The second run finds the first run's secrets: long enough, mode 0600, in a 0700 directory."""
    found = []
    for _ in range(2):
        with closing(StateDir(root)) as state:
            files = state.secret_files()
            found.append({name: path.read_text() for name, path in files.items()})
            assert {0o600} == {path.stat().st_mode & 0o777 for path in files.values()}
    assert found[0] == found[1]
    assert 32 == len(bytes.fromhex(found[0]["encryption_key_file"]))
    assert len(found[0]["master_password_file"]) >= 32
    assert 0o700 == root.stat().st_mode & 0o777


def test_secrets_that_come_from_elsewhere_are_not_made(root: Path) -> None:
    """What is omitted gets no file."""
    with closing(StateDir(root)) as state:
        assert {"master_password_file"} == state.secret_files(omit=[ENCRYPTION_KEY]).keys()
        assert {} == state.secret_files(omit=[ENCRYPTION_KEY, MASTER_PASSWORD])
    assert ["master_password"] == [path.name for path in (root / "secrets").iterdir()]


def test_one_stack_at_a_time(root: Path) -> None:
    """A second stack on the same directory is refused, and may start once the first has gone."""
    with closing(StateDir(root)), pytest.raises(StateInUseError, match="another stack is running"):
        StateDir(root)
    StateDir(root).close()


def test_a_directory_that_others_may_write_to_is_refused(root: Path) -> None:
    """Whoever can write to the directory could swap the policy."""
    root.mkdir()
    root.chmod(0o777)
    with pytest.raises(DevStackError, match="others may write to it"):
        StateDir(root)


def test_sockets_go_elsewhere_when_the_path_is_too_long(root: Path) -> None:
    """However deep the state directory lies, socket paths fit; nothing stays after closing."""
    deep = root / ("d" * 60) / ("e" * 60)
    with closing(StateDir(deep)) as state:
        assert len(str(state.run / "gateway" / "gateway.sock.lock")) <= 107
        assert 0o700 == state.run.stat().st_mode & 0o777
        assert deep not in state.run.parents
    assert not state.run.exists()


def test_what_a_killed_stack_left_in_run_is_cleared(root: Path) -> None:
    """A stale socket cannot stop the next start."""
    stale = root / "run" / "signer" / "signer.sock"
    stale.parent.mkdir(parents=True)
    stale.touch()
    root.chmod(0o700)
    with closing(StateDir(root)):
        assert not stale.exists()
