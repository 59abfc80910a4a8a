"""Shared fixtures for every test, and a last look: no test may leave a process behind.

The tests may be shared out over several pytest processes (make test does). Each looks for what its
own tests left, and the one that started them for what is left of these.
"""

import psutil
import pytest

import tests.support.bip_utils_anywhere  # noqa: F401 - imported for its effect

pytest_plugins = ["tests.support.fixtures"]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if a child of ours is alive after the last fixture has been torn down."""
    left = [child for child in psutil.Process().children(recursive=True) if child.is_running()]
    if not left:
        return
    names = ", ".join(f"{child.pid} {' '.join(child.cmdline()[:4])}" for child in left)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(f"\nprocesses left behind by tests: {names}", red=True)
    session.exitstatus = pytest.ExitCode.TESTS_FAILED
