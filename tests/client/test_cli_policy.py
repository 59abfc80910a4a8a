"""`solward policy`: the signer's own reading of a policy file, with no signer."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from solward_client.cli import main
from solward_client.demo.samples import Transfer
from solward_client.policy import PolicyToolError, check_file

FINGERPRINT = "0123456789abcdef" * 2
BLOCKHASH = str(Pubkey(bytes(31) + b"\x01"))
ME, OTHER = str(Keypair.from_seed(bytes(32)).pubkey()), str(Keypair().pubkey())
POLICY = """version = 3
[[group]]
name = "desk"
master_fingerprints = ["*"]
index_last = 9
programs = ["system"]
lamports_per_transaction_max = 100_000
lamports_per_day_max = 1_000_000
destinations = "vault"
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy file that the signer accepts."""
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def payment(tmp_path: Path) -> Path:
    """5 lamports from us to somebody."""
    path = tmp_path / "payment"
    path.write_bytes(Transfer(0, ME, OTHER, 5, BLOCKHASH).wire)
    return path


def test_an_accepted_file_is_summed_up(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`policy check` exits 0 and tells version, digest and groups, as a table or as JSON."""
    assert 0 == main(["policy", "check", str(policy)])
    shown = capsys.readouterr()
    assert "desk" in shown.out
    assert "vault" in shown.out
    assert "look at" not in shown.err
    assert 0 == main(["policy", "check", str(policy), "--json"])
    facts = json.loads(capsys.readouterr().out)
    digest = hashlib.sha256(POLICY.encode()).hexdigest()
    assert (3, digest, []) == (facts["version"], facts["digest"], facts["warnings"])
    assert ["desk"] == [group["name"] for group in facts["groups"]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("index_last", "index_end"), "unknown key 'index_end'"),
        (("[[group]]\n", "[[group]\n"), "is not TOML"),
        (('destinations = "vault"\n', ""), "the key 'destinations' is missing"),
        (('["system"]', '["stake"]'), "programs"),
    ],
)
def test_a_file_that_no_signer_would_start_with(
    policy: Path, change: tuple[str, str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`policy check` exits 1 and says what is wrong, in the signer's own words."""
    policy.write_text(POLICY.replace(*change))
    assert 1 == main(["policy", "check", str(policy)])
    assert reason in capsys.readouterr().err


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file is refused, never taken for an empty policy."""
    assert 1 == main(["policy", "check", str(tmp_path / "none")])
    assert "cannot be read" in capsys.readouterr().err


def test_what_deserves_a_second_look_is_said(policy: Path) -> None:
    """A group that an earlier one hides, an open door, raw messages, trust: each is a warning; a
    group that still decides about somebody is none.
    """
    group = POLICY.removeprefix("version = 3\n")
    hidden = group.replace('"desk"', '"hidden"').replace("= 9", "= 5")
    wider = group.replace('"desk"', '"wider"').replace("= 9", "= 10")
    imported = group.replace('"desk"', '"imported"').replace('"*"', '"imported"')
    loose = (
        group.replace('"desk"', '"loose"')
        .replace("index_last = 9", 'index_first = 50\nmessage_signing = "raw"')
        .replace('"vault"', '"any"')
        .replace("lamports_per_day_max = 1_000_000\n", "")
    ) + f'[group.trusted_programs]\n"{OTHER}" = 1\n'
    policy.write_text(POLICY + hidden + wider + imported + loose)
    warnings = check_file(policy)["warnings"]
    assert ["hidden", "loose", "loose", "loose"] == [text.partition(":")[0] for text in warnings]
    assert "decides about no wallet: desk" in warnings[0]
    assert "no cap on what leaves in a day" in warnings[1]
    assert "signs any bytes" in warnings[2]
    assert f"trusts {OTHER}" in warnings[3]


def test_a_transaction_is_explained_without_a_signer(
    policy: Path, payment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`policy explain --policy` decodes the intent, names the rule that denies, and with the payee
    in the vault allows and says what each cap is asked for.
    """
    argv = ["policy", "explain", str(payment), "--policy", str(policy)]
    argv += ["--as", f"{FINGERPRINT}/7"]
    assert 1 == main(argv)
    shown = capsys.readouterr().out
    assert "desk/destinations: vault" in shown
    assert f"effect: 0: system/transfer lamports 5 by {ME} to {OTHER}" in shown
    assert 0 == main([*argv, "--vault", OTHER])
    shown = capsys.readouterr().out
    assert "desk/allowed" in shown
    assert "cap: desk/lamports_per_day_max: 1000000: needs 5005\n" in shown
    assert 0 == main([*argv, "--vault", OTHER, "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert ("v0", [ME], True) == (facts["version"], facts["signers"], facts["allowed"])
    assert (5005, 5000) == (
        facts["verdicts"][0]["outflow_lamports_max"],
        facts["verdicts"][0]["fee_lamports"],
    )


@pytest.mark.parametrize(
    ("claim", "rule"),
    [
        (f"{FINGERPRINT}/10", "no group"),
        ("imported", "no group"),
        (f"{ME}={FINGERPRINT}/9", "desk"),
    ],
)
def test_who_signs_is_what_is_claimed(
    policy: Path, payment: Path, claim: str, rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Index, import and address choose the group, as in the signer."""
    argv = ["policy", "explain", str(payment), "--policy", str(policy), "--as", claim, "--json"]
    assert 1 == main(argv)
    assert json.loads(capsys.readouterr().out)["verdicts"][0]["rule"].startswith(rule)


def test_what_cannot_be_explained(
    policy: Path, payment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bytes that are no transaction, somebody who does not sign it, a bad claim: 1, with a reason;
    neither a wallet nor a file, or both: wrong usage.
    """
    explain = ["policy", "explain", str(payment)]
    offline = [*explain, "--policy", str(policy), "--as"]
    assert 1 == main([*offline, f"{OTHER}={FINGERPRINT}/1"])
    assert "does not sign this transaction" in capsys.readouterr().err
    assert 1 == main([*offline, "somebody"])
    assert "FINGERPRINT/INDEX" in capsys.readouterr().err
    for argv in (explain, [*offline, "imported", "--wallet", ME], [*explain, "--policy", "x"]):
        assert 2 == main(argv)
    capsys.readouterr()
    payment.write_bytes(payment.read_bytes()[:-1])
    assert 1 == main([*offline, "imported"])
    assert "cut short" in capsys.readouterr().err


def test_the_signer_is_read_in_another_process_only() -> None:
    """The client that shows the result has none of the signer's code in it."""
    program = "import sys, solward_client.cli; print('signer_daemon' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert b"False\n" == done.stdout


def test_a_tool_that_ends_without_an_answer(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that says nothing is a failure, not an accepted policy."""
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(PolicyToolError, match="without an answer"):
        check_file(policy)
