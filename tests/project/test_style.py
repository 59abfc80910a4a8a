"""House style that no linter checks, kept by tests."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project.audit_size import code_lines

REPOSITORY = Path(__file__).resolve().parents[2]
GENERATED = REPOSITORY / "clients" / "python" / "solward"
FILE_LINES_MAX = 300
TOP_LEVEL = {
    *("proto", "signer_daemon", "gateway", "clients", "migrations", "tests", "deploy", "docs"),
    *("pyproject.toml", "Makefile", "README.md", "CHANGELOG.md", "LICENSE", "buf.yaml"),
    *("requirements.lock", "requirements-node.lock"),
}
# `noqa: S105 - why` and `type: ignore[attr-defined]  # why`: codes, then words.
_NOQA = re.compile(r"noqa(?::\s*(?P<codes>[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)(?P<reason>.*))?")
_IGNORE = re.compile(r"type:\s*ignore(?P<codes>\[[a-z-]+(?:,\s*[a-z-]+)*\])?(?P<reason>.*)")


def _tracked(suffix: str = "") -> list[Path]:
    """Return the repository's files: committed, staged or new, and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout
    paths = [REPOSITORY / name.decode() for name in listed.split(b"\0") if name]
    return [path for path in paths if path.name.endswith(suffix) and path.is_file()]


def _sources() -> list[Path]:
    return [path for path in _tracked(".py") if GENERATED not in path.parents]


def _name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def test_files_are_at_most_300_lines() -> None:
    """No source file is longer than a reader's patience."""
    counts = {_name(path): len(path.read_text().splitlines()) for path in _sources()}
    assert {} == {name: count for name, count in counts.items() if count > FILE_LINES_MAX}


def test_every_test_says_what_it_claims() -> None:
    """Each test function has a docstring."""
    silent = [
        f"{_name(path)}:{node.lineno} {node.name}"
        for path in _sources()
        if path.name.startswith("test_")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert [] == silent


def test_every_lint_exception_carries_its_codes_and_its_reason() -> None:
    """A suppression names what it suppresses and says why."""
    bare = [
        f"{_name(path)}:{line} {comment}"
        for path in _sources()
        for line, comment in _comments(path.read_text())
        if _is_bare(comment)
    ]
    assert [] == bare


def test_only_the_known_entries_stand_at_the_top() -> None:
    """The repository's first page is the one that the design shows."""
    found = {path.relative_to(REPOSITORY).parts[0] for path in _tracked()}
    assert set() == {name for name in found if not name.startswith(".")} - TOP_LEVEL


@pytest.mark.parametrize(
    ("comment", "bare"),
    [
        ("# noqa", True),
        ("# noqa: S105", True),
        ("# noqa: S105, S106 -", True),
        ("# noqa: S105 - the variable's name", False),
        ("# type: ignore", True),
        ("# type: ignore[attr-defined]", True),
        ("# type: ignore[attr-defined]  # missing from the stub", False),
        ("# nothing to see", False),
    ],
)
def test_a_bare_exception_is_recognised(comment: str, bare: bool) -> None:
    """The checker above sees what it is there to see."""
    assert bare == _is_bare(comment)


def test_code_lines_are_counted_without_words() -> None:
    """Blank lines, comments and docstrings are not code; a long string and a call are."""
    source = (
        '"""Doc\n\nstring."""\n\n# why\ndef f():  # why\n    """Doc."""\n    return """a\nb"""\n'
    )
    assert 3 == code_lines(source)


def _comments(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _is_bare(comment: str) -> bool:
    for pattern in (_NOQA, _IGNORE):
        found = pattern.search(comment)
        if found is not None:
            reason = re.sub(r"[^a-z]", "", (found["reason"] or "").lower())
            return not found["codes"] or len(reason) < 3
    return False
