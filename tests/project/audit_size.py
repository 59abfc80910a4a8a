"""Counts the lines of code that a reader of the signer has to audit. `make audit-size` prints them.

A line of code is one that holds a token which is neither a comment nor part of a docstring: blank
lines, comments and documentation cost a reader nothing.
"""

import ast
import io
import sys
import tokenize
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SIGNER = REPOSITORY / "signer_daemon"
# What the design aims at.
SIGNER_LINES_AIM = 1250
SECRET_ROOMS_LINES_AIM = 400
SECRET_ROOMS = "vault"

_LAYOUT = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}


def code_lines(source: str) -> int:
    """Return how many lines of a module hold code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _LAYOUT:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - _docstring_lines(ast.parse(source)))


def rooms() -> dict[str, int]:
    """Return the lines of code of each room of the signer, largest first; "." is its top level."""
    counts: dict[str, int] = {}
    for path in SIGNER.rglob("*.py"):
        inside = path.relative_to(SIGNER).parts
        room = inside[0] if len(inside) > 1 else "."
        counts[room] = counts.get(room, 0) + code_lines(path.read_text(encoding="utf-8"))
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _docstring_lines(tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            lines.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


def main() -> None:
    """Print the table."""
    counts = rooms()
    for room, count in counts.items():
        sys.stdout.write(f"{count:6}  signer_daemon/{room if room != '.' else '*.py'}\n")
    secret = counts.get(SECRET_ROOMS, 0)
    sys.stdout.write(f"{sum(counts.values()):6}  in all (aim: {SIGNER_LINES_AIM})\n")
    sys.stdout.write(f"{secret:6}  where secrets are handled (aim: {SECRET_ROOMS_LINES_AIM})\n")


if __name__ == "__main__":
    main()
