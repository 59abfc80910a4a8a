"""One child process of the stack: it cannot outlive us, is watched, and is stopped in order."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from solward_client.devstack.errors import StartupError

_LAUNCH = Path(__file__).with_name("_launch.py")
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Program:
    """What to start: `command[0]` is an absolute path; output is appended to `log`, mode 0600."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    user: str | None = None
    # Sent by the kernel should we die without a word. SIGKILL is certain; a server that has to
    # close its files in order (PostgreSQL) names the signal for that.
    orphan_signal: signal.Signals = signal.SIGKILL
    stop_signal: signal.Signals = signal.SIGTERM
    # Keep a pipe to its stdin open: the program ends when that closes.
    hold_stdin: bool = False
    capture_stdout: bool = False


class Process:
    """A running child.

    The kernel ties its life to the *thread* that made it: start it from one that lives as long,
    such as the main thread.
    """

    def __init__(self, program: Program) -> None:
        """Start the program. Raises OSError if that is not possible."""
        self.program = program
        log = os.open(program.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        launch = [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid())]
        try:
            self._child = subprocess.Popen(
                [*launch, str(int(program.orphan_signal)), program.user or "-", *program.command],
                stdin=subprocess.PIPE if program.hold_stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE if program.capture_stdout else log,
                stderr=log,
                env=dict(program.environment),
                cwd="/",
                # A Ctrl-C on the terminal is for us; we stop our children in order.
                start_new_session=True,
            )
        finally:
            os.close(log)

    @property
    def name(self) -> str:
        """The program's name, for messages."""
        return self.program.name

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._child.poll()

    def check_running(self) -> None:
        """Raise StartupError, with the log's tail, if the process has ended."""
        if (code := self.returncode) is not None:
            raise StartupError(self.name, f"ended with exit code {code}", self.program.log)

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Poll `ready` until it holds. Raises StartupError if the process ends or time is up."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            # It may have got ready and ended between two looks, as a command that runs once does.
            if self.returncode is not None and not ready():
                self.check_running()
            if time.monotonic() >= deadline:
                why = f"was not ready within {timeout_s:g} s"
                raise StartupError(self.name, why, self.program.log)
            time.sleep(_POLL_S)

    def read_line(self, timeout_s: float) -> bytes:
        """Return the next line of a captured stdout. Raises StartupError if none comes in time."""
        stdout = self._child.stdout
        if stdout is None:
            raise ValueError(f"{self.name}: stdout is not captured")
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            line = stdout.readline() if selector.select(timeout_s) else b""
        if not line.endswith(b"\n"):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(0.1 if line else 1)
            self.check_running()
            raise StartupError(self.name, "said nothing", self.program.log)
        return line

    def stop(self, timeout_s: float = 10) -> int:
        """Ask it to stop, kill it if it does not within `timeout_s`; return the exit code."""
        if self.returncode is None:
            self._child.send_signal(self.program.stop_signal)
        if self._child.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._child.stdin.close()
        try:
            self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        return self._reap()

    def kill(self) -> int:
        """Kill it (SIGKILL) and return the exit code."""
        self._child.kill()
        return self._reap()

    def _reap(self) -> int:
        code = self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        return code
