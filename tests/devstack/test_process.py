"""A child of the stack is watched, stopped in order, and cannot outlive its parent."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from solward_client.devstack.errors import StartupError
from solward_client.devstack.process import Process, Program

SLEEPER = "import signal, sys; print('up', flush=True); signal.pause()"


def program(directory: Path, source: str, **options: object) -> Program:
    """Return a Python one-liner as a program whose stdout is captured."""
    return Program(
        name="child",
        command=[sys.executable, "-c", source],
        log=directory / "log",
        environment={},
        capture_stdout=True,
        **options,  # type: ignore[arg-type]  # the tests below name real fields
    )


def test_a_child_that_ends_early_is_an_error_that_shows_its_log(tmp_path: Path) -> None:
    """The message names the program, its exit code, and the end of what it wrote."""
    child = Process(
        program(tmp_path, "import sys; print('no such disk', file=sys.stderr); exit(3)")
    )
    with pytest.raises(StartupError) as caught:
        child.read_line(10)
    child.kill()
    assert "child ended with exit code 3\n    no such disk" == str(caught.value)


def test_a_child_that_is_not_ready_in_time_is_an_error(tmp_path: Path) -> None:
    """Waiting ends after the given time, with the program's name."""
    child = Process(program(tmp_path, SLEEPER))
    with pytest.raises(StartupError, match=r"^child was not ready within 0.05 s"):
        child.wait_until(lambda: False, 0.05)
    child.kill()


def test_a_child_that_gets_ready_and_ends_between_two_looks_is_no_error(tmp_path: Path) -> None:
    """A command that runs once is waited for by its end, whenever that comes."""
    child = Process(program(tmp_path, "print('done')"))
    looks = iter((False, True))

    def ready() -> bool:
        # The first look is before it ends, and by the second it has ended.
        seen = next(looks, True)
        child._child.wait(10)
        return seen

    child.wait_until(ready, 10)
    assert 0 == child.kill()


def test_stop_asks_first_and_kills_who_does_not_listen(tmp_path: Path) -> None:
    """A child that ignores SIGTERM is killed after the timeout; a polite one ends by itself."""
    polite = Process(program(tmp_path, SLEEPER))
    deaf = Process(
        program(tmp_path, f"import signal; signal.signal(15, signal.SIG_IGN); {SLEEPER}")
    )
    for child in (polite, deaf):
        assert b"up\n" == child.read_line(10)
    assert (-signal.SIGTERM, -signal.SIGKILL) == (polite.stop(10), deaf.stop(0.05))


def test_the_log_is_private_and_is_appended_to(tmp_path: Path) -> None:
    """Two runs write to one file that only its owner reads."""
    for word in ("first", "second"):
        child = Process(program(tmp_path, f"import os; os.write(2, b'{word}\\n'); print()"))
        child.read_line(10)
        child.stop()
    assert ("first\nsecond\n", 0o600) == (
        (tmp_path / "log").read_text(),
        (tmp_path / "log").stat().st_mode & 0o777,
    )


PARENT = """
import sys
from pathlib import Path
from solward_client.devstack.process import Process, Program
command = [sys.executable, "-c", sys.argv[2]]
child = Process(Program("child", command, Path(sys.argv[1]), {}, capture_stdout=True))
child.read_line(10)
print(child.pid, flush=True)
sys.stdin.read()
"""


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """After SIGKILL of the parent the kernel ends the child: nobody has to be alive to do it."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log"), SLEEPER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with parent:
        assert parent.stdout is not None
        descriptor = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        ended, _, _ = select.select([descriptor], [], [], 10)
        os.close(descriptor)
    assert [descriptor] == ended
