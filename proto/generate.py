"""Generates the Python stubs (`clients/python/solward`) from the protos, or checks them.

Usage: `python proto/generate.py [--check]`. With --check nothing is written; stubs that differ are
named and the exit code is 1. The versions in requirements.lock make the output reproducible.
"""

import argparse
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

PROTO_ROOT = Path(__file__).resolve().parent
STUBS_ROOT = PROTO_ROOT.parent / "clients" / "python"
PACKAGE = "solward"
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"


def generate(protos: Path, out: Path) -> None:
    """Generate messages, services and their types for every proto under `protos` into `out`.

    Raises RuntimeError if protoc refuses; it has said why on stderr.
    """
    sources = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    plugins = Path(sysconfig.get_path("scripts"))
    arguments = [
        "protoc",
        f"--proto_path={protos}",
        f"--proto_path={WELL_KNOWN}",
        f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}",
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet:{out}",
        *sources,
    ]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc failed")
    # protoc makes no packages, and a wheel forgets namespace packages.
    for directory in [path for path in (out / PACKAGE).rglob("*") if path.is_dir()]:
        _write_package(directory, out)
    _write_package(out / PACKAGE, out)
    (out / PACKAGE / "py.typed").touch()


def differences(expected: Path, actual: Path) -> list[str]:
    """Name the files under `expected` and `actual` that are missing, left over or not the same."""
    theirs, ours = _contents(expected), _contents(actual)
    return sorted(
        str(path) for path in theirs.keys() | ours.keys() if theirs.get(path) != ours.get(path)
    )


def main(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, name what differs")
    check = parser.parse_args(arguments).check
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(PROTO_ROOT, fresh)
        stale = differences(fresh / PACKAGE, STUBS_ROOT / PACKAGE)
        if check and stale:
            print("stubs differ from the protos; run `make proto`:", *stale, sep="\n  ")
            return 1
        if not check:
            _replace(fresh / PACKAGE, STUBS_ROOT / PACKAGE)
            print(f"{len(stale)} stub files changed")
    return 0


def _write_package(directory: Path, out: Path) -> None:
    name = ".".join(directory.relative_to(out).parts)
    (directory / "__init__.py").write_text(f'"""Generated from proto/: {name}."""\n')


def _contents(root: Path) -> dict[Path, bytes]:
    files = [path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(root): path.read_bytes() for path in files}


def _replace(fresh: Path, target: Path) -> None:
    wanted = _contents(fresh)
    for path in _contents(target).keys() - wanted.keys():
        (target / path).unlink()
    for path, content in wanted.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_bytes(content)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
