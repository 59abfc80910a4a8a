"""What a person sees of the demonstration: bars and a table, or plain lines without a terminal."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

# So many lines show how far a step is where there is no bar.
_PLAIN_STEPS = 5


class Screen:
    """Writes to stdout. Without a terminal there is no control character and no colour."""

    def __init__(self, stdout: TextIO | None = None) -> None:
        """Take where to write (default: sys.stdout)."""
        self._stdout = stdout or sys.stdout
        self._is_terminal = self._stdout.isatty()

    def say(self, text: str) -> None:
        """Write one line."""
        self._stdout.write(f"{text}\n")
        self._stdout.flush()

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show how far a step is; call the value with how much is done."""
        if not self._is_terminal:
            yield self._plain_progress(title, total)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=Console(file=self._stdout)) as bars:
            task = bars.add_task(title, total=total)
            yield lambda done: bars.update(task, completed=done)

    def _plain_progress(self, title: str, total: int) -> Callable[[int], None]:
        shown = 0

        def show(done: int) -> None:
            nonlocal shown
            step = done * _PLAIN_STEPS // total
            if step > shown:
                shown = step
                self.say(f"{title}: {done} of {total}")

        return show

    def table(self, title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
        """Show a table."""
        if not self._is_terminal:
            self.say(f"\n{title}")
            for row in rows:
                self.say("  ".join(row))
            return
        table = Table(title=title, title_justify="left")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*row)
        Console(file=self._stdout, highlight=False, markup=False).print(table)

    def result(self, values: dict[str, Any]) -> None:
        """Write the last line, for programs."""
        self.say(json.dumps(values))
