"""The fuzz targets: functions of bytes that tell whether these were accepted, and raise if what
must hold does not. Run by `make fuzz` with coverage-guided inputs, and by pytest with the corpus.
"""

from collections.abc import Callable
from pathlib import Path

from tests.fuzz import files, secrets, transactions

Target = Callable[[bytes], bool]

CORPUS = Path(__file__).with_name("corpus")
# Seconds in sixty.
TARGETS: dict[str, tuple[Target, int]] = {
    "transaction": (transactions.transaction, 20),
    "record": (secrets.record, 6),
    "record_plaintext": (secrets.record_plaintext, 6),
    "envelope": (secrets.envelope, 8),
    "policy": (files.policy, 12),
    "audit_log": (files.audit_log, 8),
}


def corpus(name: str) -> list[Path]:
    """The inputs that a target is tried with in every test run: seeds, and faults of old."""
    return sorted((CORPUS / name).iterdir())
