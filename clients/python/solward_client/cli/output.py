"""What a command prints: tables and bars on a terminal, tab-separated lines in a pipe, or JSON.

Results go to stdout; progress, prompts and errors to stderr.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, Protocol, TextIO

from google.protobuf.message import Message
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from solward_client.cli.plain import cell, flat, plain

ITEMS_SHOWN_MAX = 20


class Show(Protocol):
    """Updates a progress bar: so many of so many, and a note."""

    def __call__(self, done: int, total: int, note: str = "", /) -> None:
        """Show it."""
        ...


class Output:
    """Prints a command's result in the form that was asked for."""

    def __init__(
        self, *, as_json: bool, stdout: TextIO | None = None, stderr: TextIO | None = None
    ) -> None:
        """Take whether a program reads the result, and where to write (default: sys.stdout)."""
        self.as_json = as_json
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._request_id = ""

    def record(self, message: Message, *, hide: Sequence[str] = ()) -> None:
        """Print one message, a line for each field, without the fields in `hide`."""
        values = {key: value for key, value in plain(message).items() if key not in hide}
        self.values(values)

    def values(self, values: dict[str, Any]) -> None:
        """Print named values, a line for each; of those in others and in lists, too.

        A terminal shows lists up to a length; a pipe gets all.
        """
        if self.as_json:
            self._json(values)
            return
        is_terminal = self._stdout.isatty()
        rows = list(flat(values, ITEMS_SHOWN_MAX if is_terminal else None))
        width = max((len(key) for key, _ in rows), default=0)
        for key, text in rows:
            gap = " " * (width + 2 - len(key)) if is_terminal else "\t"
            self.line(f"{key}{gap}{text}")

    def table(self, messages: Iterable[Message], columns: Sequence[str]) -> None:
        """Print messages as rows with these fields as columns; as JSON, with all fields."""
        self.rows(map(plain, messages), columns)

    def rows(self, rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> None:
        """Print plain values as rows with these keys as columns; as JSON, all of them.

        A pipe gets each row as it comes, and nothing if there is an error before the first.
        """
        left = iter(rows)
        rows = chain(list(islice(left, 1)), left)
        if self.as_json:
            self._json_list(rows)
            return
        cells = ([cell(row[column]) for column in columns] for row in rows)
        if not self._stdout.isatty():
            self.line("\t".join(columns))
            for row in cells:
                self.line("\t".join(row))
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column.replace("_", " "), overflow="fold")
        for row in cells:
            table.add_row(*row)
        Console(file=self._stdout, highlight=False, markup=False).print(table)

    def line(self, text: str) -> None:
        """Print one line, whatever the form."""
        self._stdout.write(f"{text}\n")
        self._stdout.flush()

    def note(self, text: str) -> None:
        """Tell a person something that is no part of the result."""
        if not self.as_json:
            self._stderr.write(f"{text}\n")

    def event(self, name: str, facts: dict[str, Any]) -> None:
        """Tell a program what happens meanwhile: with JSON a line on stderr, else nothing."""
        if self.as_json:
            self._stderr.write(json.dumps({name: facts}) + "\n")
            self._stderr.flush()

    def repeat(self, request_id: str) -> None:
        """Let the error that follows say how to repeat the call without doing anything twice."""
        self._request_id = request_id

    def warning(self, text: str) -> None:
        """Tell a person, or a program, of a danger."""
        if self.as_json:
            self._stderr.write(json.dumps({"warning": text}) + "\n")
        else:
            self._stderr.write(f"solward: WARNING: {text}\n")

    def error(self, text: str, facts: dict[str, Any] | None = None) -> None:
        """Say why a command failed: one line, and one to repeat it by; or a JSON object."""
        if self.as_json:
            named = {"request_id": self._request_id} if self._request_id else {}
            self._stderr.write(
                json.dumps({"error": {"text": text, **(facts or {}), **named}}) + "\n"
            )
            return
        self._stderr.write(f"solward: {' '.join(text.split())}\n")
        if self._request_id:
            self.note(f"solward: to repeat it safely, give --request-id {self._request_id}")

    @contextmanager
    def progress(self, title: str) -> Iterator[Show]:
        """Show a bar on a terminal while the block runs, elsewhere a line for each new note."""
        if self.as_json or not self._stderr.isatty():
            yield self._lines()
            return
        console = Console(file=self._stderr)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=console) as bars:
            task = bars.add_task(title, total=None, note="")

            def show(done: int, total: int, note: str = "") -> None:
                bars.update(task, completed=done, total=total, note=note)

            yield show

    def _lines(self) -> Show:
        shown = ""

        def show(done: int, total: int, note: str = "") -> None:
            nonlocal shown
            line = f"{done} of {total}; {note}"
            if note and line != shown:
                self.note(line)
            shown = line

        return show

    def _json_list(self, rows: Iterable[Any]) -> None:
        if self._stdout.isatty():
            self._json(list(rows))
            return
        gap = ""
        self._stdout.write("[")
        for row in rows:
            self._stdout.write(gap + json.dumps(row))
            self._stdout.flush()
            gap = ", "
        self.line("]")

    def _json(self, value: Any) -> None:
        self.line(json.dumps(value, indent=2 if self._stdout.isatty() else None))


def duration(seconds: float) -> str:
    """Return a duration in whole seconds, such as "1:02:03" or "0:07"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
