"""Benches run by `make bench` alone: their files are collected only when somebody names them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
Row = tuple[str, str, str, str]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect bench_*.py if the command line names this directory or a file in it."""
    arguments = parent.config.invocation_params.args
    named = [Path(parent.config.invocation_params.dir, arg.partition("::")[0]) for arg in arguments]
    is_meant = any(HERE in (path, *path.parents) for path in named)
    if is_meant and file_path.match("bench_*.py") and file_path not in named:
        return pytest.Module.from_parent(parent, path=file_path)
    return None


@pytest.fixture(scope="session")
def table() -> Iterator[Table]:
    """Rows of what was measured, printed at the end."""
    table = Table("what", "measured", "bare primitives", "ratio", title="CPU time")
    for column in table.columns[1:]:
        column.justify = "right"
    yield table
    console = Console(width=100)
    console.print()
    console.print(table)
