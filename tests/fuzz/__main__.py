"""`python -m tests.fuzz [--seconds 60] [TARGET ...]`: every target in a process of its own.

Starts from the corpus and from what earlier runs found (.build/fuzz/found). An input that breaks a
target is kept in .build/fuzz, and belongs into tests/fuzz/corpus with the fix.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from signer_daemon.intent.instructions import ROLES
from signer_daemon.policy.loader import _DOCUMENT_KEYS, _GROUP_KEYS, _PROGRAMS
from tests.fuzz.targets import CORPUS, TARGETS

BUILD = Path(__file__).parents[2] / ".build" / "fuzz"
MEMORY = Path("/dev/shm")  # opening files on a disk would take most of the time
_RUNS = re.compile(rb"Done (\d+) runs in (\d+) second")
_COVERAGE = re.compile(rb"cov: (\d+)")


def main() -> int:
    """Return 0 if nothing broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=int, default=60, help="in all; default 60")
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], metavar="TARGET")
    options = parser.parse_args()
    names = options.targets or list(TARGETS)
    whole = sum(TARGETS[name][1] for name in names)
    broken = [
        name
        for name in names
        if not fuzz(name, max(1, options.seconds * TARGETS[name][1] // whole))
    ]
    for name in broken:
        sys.stdout.write(f"{name}: BROKEN, the input is in {BUILD}\n")
    return 1 if broken else 0


def fuzz(name: str, seconds: int) -> bool:
    """Run one target. Return whether it held."""
    found = BUILD / "found" / name
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        words = Path(scratch) / "dictionary"
        words.write_text(dictionary(name))
        command = [sys.executable, "-m", "tests.fuzz.one", name]
        command += [
            f"-max_total_time={seconds}",
            "-max_len=4200",
            "-timeout=5",
            "-rss_limit_mb=2048",
        ]
        command += [f"-dict={words}", f"-artifact_prefix={BUILD}/{name}-"]
        done = subprocess.run(
            [*command, str(found), str(CORPUS / name)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": scratch},
            check=False,
        )
    runs, coverage = _RUNS.search(done.stdout), _COVERAGE.findall(done.stdout)
    if done.returncode or runs is None:
        report = done.stdout[max(0, done.stdout.rfind(b" === Uncaught")) :]
        sys.stdout.write(report[-8000:].decode(errors="replace"))
        return False
    facts = f"{int(runs[1]):>9,} runs in {int(runs[2])} s, coverage {int(coverage[-1])}"
    sys.stdout.write(f"{name:<17} {facts}\n")
    sys.stdout.flush()
    return True


def dictionary(name: str) -> str:
    """Words that a target's language is made of, in libFuzzer's form."""
    words: list[bytes] = []
    if name == "policy":
        texts = [*_DOCUMENT_KEYS, *_GROUP_KEYS, *_PROGRAMS, *_PROGRAMS.values(), *ROLES]
        texts += ["[[group]]", "[group.trusted_programs]", "unlimited", "vault", "any", "imported"]
        words = [text.encode() for text in texts]
    elif name == "audit_log":
        words = [b'"event":"open_segment"', b'"previous":', b'"count":', b'"mac":', b'"key_id":']
        words += [b'"seq":0', b'"time_ms":1']
    elif name == "transaction":
        words = [bytes([byte]) for byte in (0x80, 0x81)]
        words += [number.to_bytes(4, "little") for number in range(13)]
    return "".join(quoted(word) + "\n" for word in words) or "\n"


def quoted(word: bytes) -> str:
    """A word of libFuzzer's dictionary."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"'


if __name__ == "__main__":
    sys.exit(main())
