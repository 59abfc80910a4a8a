"""The fuzz targets hold for every input of the corpus: our seeds, and whatever ever broke one."""

from pathlib import Path

import pytest

from signer_daemon.intent import parse_transaction
from signer_daemon.ledger import verify
from signer_daemon.vault.envelope import EnvelopeOpener
from tests.fuzz import files, secrets, transactions
from tests.fuzz.targets import CORPUS, TARGETS, corpus

INPUTS = [(name, path) for name in TARGETS for path in corpus(name)]
# Sealed over a plaintext of the fuzzer's choice, nothing but the wallet itself opens.
ACCEPTED_MIN = {"transaction": 15, "policy": 1, "audit_log": 3}


@pytest.mark.parametrize(("name", "path"), INPUTS, ids=[f"{n}-{p.name}" for n, p in INPUTS])
def test_input_of_the_corpus_is_handled(name: str, path: Path) -> None:
    """What must hold for this target holds for this input, accepted or refused."""
    assert TARGETS[name][0](path.read_bytes()) in {True, False}


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_reach_both_ends(name: str) -> None:
    """Each target's seeds include some that are accepted, or fuzzing would start at nothing, and
    some that are refused.
    """
    verdicts = [TARGETS[name][0](path.read_bytes()) for path in corpus(name)]
    assert verdicts.count(True) >= ACCEPTED_MIN.get(name, 1)
    assert name == "transaction" or False in verdicts
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


def test_a_parser_that_crashes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The positive control: an exception of another kind breaks the target."""

    def crash(_data: bytes) -> None:
        raise IndexError

    monkeypatch.setattr(transactions, "parse_transaction", crash)
    with pytest.raises(IndexError):
        transactions.transaction(b"\0")


def test_a_parser_that_reads_on_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The positive control: a parser that tolerates a byte more than the network breaks it."""
    parse = parse_transaction
    monkeypatch.setattr(transactions, "parse_transaction", lambda data: parse(data[:-1]))
    with pytest.raises(AssertionError):
        transactions.transaction((CORPUS / "transaction" / "seed-pay.-1").read_bytes() + b"\0")


def test_an_edit_that_verifies_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The positive control: a verifier that checks nothing breaks the audit target."""
    monkeypatch.setattr(files, "verify_file", lambda _path, _key: verify.Head())
    with pytest.raises(AssertionError):
        files.audit_log((CORPUS / "audit_log" / "seed-altered").read_bytes())


def test_a_secret_that_opens_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The positive control: an opener that forgets what was used breaks the envelope target."""
    monkeypatch.setattr(EnvelopeOpener, "_use_once", lambda *_: None)
    with pytest.raises(AssertionError, match="twice"):
        secrets.envelope((CORPUS / "envelope" / "seed-secret").read_bytes())
