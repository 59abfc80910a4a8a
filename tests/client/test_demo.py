"""`solward demo`: what it is made of, and the whole of it at a small scale."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import psutil
import pytest
from solders.keypair import Keypair
from solders.message import to_bytes_versioned
from solders.transaction import VersionedTransaction

from solward_client.cli import main
from solward_client.demo.claims import Claims, refused
from solward_client.demo.samples import Transfer, is_signed
from solward_client.demo.scale import Scale
from solward_client.demo.screen import Screen
from solward_client.errors import DeniedError

SOLWARD = Path(sys.executable).with_name("solward")
BLOCKHASH = str(Keypair.from_seed(bytes(32)).pubkey())
KEYS = {
    "wallets",
    "recipients",
    "total_lamports",
    "received_lamports",
    "transactions",
    "refused",
    "audit_records",
    "audit_chain_ok",
    "seconds",
}


@pytest.mark.stack
@pytest.mark.localnet
@pytest.mark.timeout(300)
def test_the_main_job_runs_end_to_end() -> None:
    """200 wallets, 40 recipients, 2 transactions: every claim holds and the last line says so."""
    environment = {**os.environ, "DEMO_WALLETS": "200", "DEMO_RECIPIENTS": "40"}

    done = subprocess.run(
        [SOLWARD, "demo"], capture_output=True, text=True, env=environment, check=False
    )

    lines = done.stdout.splitlines()
    assert 0 == done.returncode, done.stdout + done.stderr
    result = json.loads(lines[-1])
    assert KEYS == set(result)
    assert (200, 40, 2, True) == (
        result["wallets"],
        result["recipients"],
        result["transactions"],
        result["audit_chain_ok"],
    )
    assert result["total_lamports"] == result["received_lamports"] > 0
    expected = ["POLICY_DENIED", "RECORD_REJECTED", "PASSWORD_RULES", "RATE_LIMITED"]
    assert expected == result["refused"]
    assert result["audit_records"] > 100
    # No terminal: nothing but lines of text.
    assert not [c for c in done.stdout if ord(c) < 32 and c != "\n"]


@pytest.mark.stack
@pytest.mark.localnet
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_stopped_leaves_nothing(number: signal.Signals, short_dir: Path) -> None:
    """Stopped in the middle it ends its processes, removes its files and exits with 130."""
    environment = {**os.environ, "TMPDIR": str(short_dir)}
    with subprocess.Popen([SOLWARD, "demo"], stdout=subprocess.PIPE, env=environment) as demo:
        assert demo.stdout is not None
        while b"Deriving" not in demo.stdout.readline():
            pass
        children = psutil.Process(demo.pid).children(recursive=True)
        demo.send_signal(number)
        demo.stdout.read()
        assert 130 == demo.wait(timeout=60)

    assert len(children) >= 4
    assert [] == [child for child in children if child.is_running()]
    assert [] == list(short_dir.iterdir())


@pytest.mark.parametrize(
    ("recipients", "expected"), [(1, 1), (20, 1), (21, 2), (40, 2), (1000, 50)]
)
def test_twenty_transfers_fill_a_transaction(recipients: int, expected: int) -> None:
    """The number of transactions is the number of recipients over 20, rounded up."""
    assert expected == Scale(10_000, recipients).transactions


@pytest.mark.parametrize(
    ("wallets", "recipients"), [(10, 8), (10, 0), (10_001, 10), (10_000, 2_001)]
)
def test_a_scale_that_shows_nothing_is_refused(wallets: int, recipients: int) -> None:
    """Too few wallets for the parts, too many for a request, more payments than a minute allows."""
    with pytest.raises(ValueError, match=r"wallets|recipients"):
        Scale(wallets, recipients)


def test_an_impossible_scale_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is started for it."""
    assert 2 == main(["demo", "--wallets", "10", "--recipients", "8"])
    assert capsys.readouterr().err.startswith("solward: recipients: ")


@pytest.mark.parametrize(("version", "first_byte"), [(0, 0x80), (1, 0x81)])
def test_a_sample_has_its_version_and_checks_out(version: int, first_byte: int) -> None:
    """The message that is verified is the one on the wire, and OpenSSL tells right from wrong."""
    pair, other = Keypair(), Keypair()
    sample = Transfer(version, str(pair.pubkey()), str(other.pubkey()), 1, BLOCKHASH)

    parsed = VersionedTransaction.from_bytes(sample.wire)
    assert first_byte == sample.message[0]
    assert to_bytes_versioned(parsed.message) == sample.message
    signature = bytes(pair.sign_message(sample.message))
    assert is_signed(str(pair.pubkey()), signature, sample.message)
    assert not is_signed(str(other.pubkey()), signature, sample.message)
    assert not is_signed(str(pair.pubkey()), signature, sample.message + b"\0")


def test_a_claim_that_does_not_hold_is_remembered() -> None:
    """What was not refused, or for another reason, fails its claim."""
    claims = Claims()
    denied = DeniedError(grpc.StatusCode.PERMISSION_DENIED, "no", reason="POLICY_DENIED")

    def fail() -> None:
        raise denied

    claims.refusal("right", "POLICY_DENIED", refused(fail))
    claims.refusal("other reason", "RATE_LIMITED", refused(fail))
    claims.refusal("not refused", "POLICY_DENIED", refused(lambda: "signed"))

    assert ["other reason", "not refused"] == claims.failed
    assert ["POLICY_DENIED", "POLICY_DENIED"] == claims.refused


def test_progress_without_a_terminal_is_a_few_lines() -> None:
    """A step of 1,000 parts takes five lines, each with no more than text."""
    out = io.StringIO()

    with Screen(out).progress("Deriving", 1000) as show:
        for done in range(0, 1001, 10):
            show(done)

    lines = out.getvalue().splitlines()
    assert (5, "Deriving: 200 of 1000") == (len(lines), lines[0])
    assert out.getvalue().isprintable() is False  # the newlines
    assert "".join(lines).isprintable()
