"""`solward up`: run a stack until Ctrl-C, and say where everything is."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from solward_client.devstack.errors import DevStackError
from solward_client.devstack.stack import DevStack, Endpoints, StackOptions

STATE_DIR = Path(".solward")
DONE, FAILED = 0, 1
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_up(
    state_dir: Path,
    options: StackOptions | None = None,
    *,
    ready: Callable[[Endpoints], None],
    failed: Callable[[str], None],
) -> int:
    """Run a stack until SIGINT, SIGTERM or SIGHUP, or until one of its processes ends.

    Calls `ready` once everything serves, or `failed` with what went wrong. Returns the exit code:
    0 after an asked-for stop, 1 otherwise. Whatever happens, nothing is left running. Call it from
    the main thread.
    """
    with _interruptible():
        try:
            with DevStack(state_dir, options) as stack:
                ready(stack.endpoints)
                stack.wait()
        except KeyboardInterrupt:
            return DONE
        except DevStackError as error:
            failed(str(error))
            return FAILED
    return DONE


def describe(endpoints: Endpoints) -> dict[str, Any]:
    """Return endpoints as plain values for printing; what is not ours to tell is left out."""
    return {name: str(value) for name, value in asdict(endpoints).items() if value is not None}


def shell_exports(endpoints: Endpoints) -> list[str]:
    """Return the lines that point the `solward` command of another terminal at this stack."""
    variables = {
        "SOLWARD_TARGET": endpoints.gateway,
        "SOLWARD_SIGNER_SOCKET": str(endpoints.signer_socket),
        "SOLWARD_ADMIN_SOCKET": str(endpoints.admin_socket),
    }
    return [f"export {name}={value}" for name, value in variables.items()]


@contextmanager
def _interruptible() -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        # The first asks us to stop; a second one, while we are stopping, would leave things undone.
        for stop in _STOP_SIGNALS:
            signal.signal(stop, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {stop: signal.signal(stop, interrupt) for stop in _STOP_SIGNALS}
    try:
        yield
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)
