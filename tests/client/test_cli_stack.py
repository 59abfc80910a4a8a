"""The `solward` command against a real gateway and a real signer."""

import base64
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from solward_client.cli import main
from solward_client.demo.samples import Transfer
from tests.support.processes import GatewayProcess, SignerProcess

PASSWORD = "correct horse battery"
BLOCKHASH = str(Pubkey(bytes(31) + b"\x01"))
Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def run(
    gateway_process: GatewayProcess,
    signer_process: SignerProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run a command with --json; return its exit code, its result and what it said on stderr."""
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    for name in [name for name in os.environ if name.startswith("SOLWARD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SOLWARD_TARGET", gateway_process.target)
    monkeypatch.setenv("SOLWARD_SIGNER_SOCKET", str(signer_process.socket))
    monkeypatch.setenv("SOLWARD_ADMIN_SOCKET", str(signer_process.admin_socket))

    def command(*argv: str, password_file: str = str(password)) -> tuple[int, Any, str]:
        code = main([*argv, "--json", "--password-file", password_file])
        shown = capsys.readouterr()
        return code, json.loads(shown.out) if shown.out else None, shown.err

    return command


def test_a_vault_from_its_master_to_a_signature(run: Run, tmp_path: Path) -> None:
    """Create, derive, list, tag, sign with a session and without one, check the policy, delete."""
    code, master, _ = run("master", "create", "--words", "12")
    assert (0, "0") == (code, str(master["derived_count"]))
    code, derived, _ = run("wallet", "derive", master["id"], "--count", "5", "--tag", "desk")
    assert {"first_index": 0, "count": 5, "created_count": 5} == derived
    _, again, _ = run("wallet", "derive", master["id"], "--count", "2")
    assert {"first_index": 5, "count": 2, "created_count": 2} == again

    _, desk, _ = run("wallet", "list", "--tag", "desk")
    assert [0, 1, 2, 3, 4] == [wallet["derivation_index"] for wallet in desk]
    first, second = desk[0], desk[1]
    _, tagged, _ = run("wallet", "tag", first["address"], "hot")
    assert ["desk", "hot"] == tagged["tags"]

    message = tmp_path / "message"
    message.write_bytes(b"to be signed")
    token = tmp_path / "session"
    assert 0 == run("session", "open", "--master", master["id"], "--out", str(token))[0]
    argv = ("sign", "message", str(message), "--wallet", first["id"])
    for extra in ((), ("--session", str(token))):
        _, signed, _ = run(*argv, *extra)
        public = Ed25519PublicKey.from_public_bytes(bytes(Pubkey.from_string(first["address"])))
        public.verify(bytes(Signature.from_string(signed["signature"])), b"to be signed")
    assert 0 == run("session", "close", str(token))[0]
    code, _, error = run(*argv, "--session", str(token))
    assert (1, "SESSION_INVALID") == (code, json.loads(error)["error"]["reason"])

    inside = tmp_path / "inside"
    wire = Transfer(0, first["address"], second["address"], 5, BLOCKHASH).wire
    inside.write_text(base64.b64encode(wire).decode())
    code, signed, _ = run("sign", "tx", str(inside), "--wallet", first["address"])
    assert (0, True) == (code, signed["is_complete"])

    code, _, error = run("wallet", "delete", second["id"])
    assert (0, "") == (code, error)
    assert 1 == run("wallet", "get", second["id"])[0]


def test_a_foreign_destination_is_denied_with_the_rule(run: Run, tmp_path: Path) -> None:
    """`policy explain` and `sign tx` both exit 1 and name the vault rule."""
    _, master, _ = run("master", "create")
    run("wallet", "derive", master["id"], "--count", "1")
    _, [wallet], _ = run("wallet", "list")
    outside = tmp_path / "outside"
    outside.write_bytes(Transfer(1, wallet["address"], str(Keypair().pubkey()), 5, BLOCKHASH).wire)
    argv = (str(outside), "--wallet", wallet["id"])

    code, verdict, _ = run("policy", "explain", *argv)
    assert (1, "dev/destinations: vault") == (code, verdict["verdicts"][0]["rule"])
    code, _, error = run("sign", "tx", *argv)
    facts = json.loads(error)["error"]
    assert (1, "POLICY_DENIED", "dev/destinations: vault") == (
        code,
        facts["reason"],
        facts["rule"],
    )


def test_an_imported_key_signs_and_changes_its_password(run: Run, tmp_path: Path) -> None:
    """A solana-keygen file goes in; after a rotation only the new password opens it."""
    pair = Keypair()
    key_file, new_password = tmp_path / "key.json", tmp_path / "new"
    key_file.write_text(json.dumps(list(bytes(pair))))
    new_password.write_text("another long password")

    code, wallet, _ = run("wallet", "import", str(key_file))
    assert (0, str(pair.pubkey()), -1) == (code, wallet["address"], wallet["derivation_index"])
    argv = ("wallet", "rotate-password", wallet["id"], "--new-password-file", str(new_password))
    assert 1 == run(*argv)[1]["rotated_wallet_count"]

    message = tmp_path / "message"
    message.write_bytes(b"to be signed")
    argv = ("sign", "message", str(message), "--wallet", wallet["id"])
    code, _, error = run(*argv)
    assert (1, "RECORD_REJECTED") == (code, json.loads(error)["error"]["reason"])
    assert 0 == run(*argv, password_file=str(new_password))[0]


def test_the_pinned_signer_key_is_the_one_that_the_signer_shows(run: Run) -> None:
    """`admin signer-key` gives the pin; any other stops the command before the password is sent."""
    _, shown, _ = run("admin", "signer-key")

    assert 0 == run("master", "create", "--signer-key", shown["signer_key"])[0]
    code, _, error = run("master", "create", "--signer-key", "00" * 32)
    assert (1, "SIGNER_KEY_CHANGED") == (code, json.loads(error)["error"]["reason"])


def test_a_session_is_narrowed(run: Run, tmp_path: Path) -> None:
    """A session for messages only, by one wallet, refuses another wallet and a transaction."""
    _, master, _ = run("master", "create")
    run("wallet", "derive", master["id"], "--count", "2")
    _, wallets, _ = run("wallet", "list")
    message, transaction, token = (tmp_path / name for name in ("message", "transaction", "token"))
    message.write_bytes(b"to be signed")
    first, second = (wallet["address"] for wallet in wallets)
    transaction.write_bytes(Transfer(0, first, second, 5, BLOCKHASH).wire)
    narrow = ("--index-last", "0", "--only", "messages", "--idle-ttl", "60")
    assert 0 == run("session", "open", "--master", master["id"], "--out", str(token), *narrow)[0]

    with_it = ("--session", str(token), "--wallet")
    assert 0 == run("sign", "message", str(message), *with_it, first)[0]
    for argv in (
        ("sign", "message", str(message), *with_it, second),
        ("sign", "tx", str(transaction), *with_it, first),
    ):
        code, _, error = run(*argv)
        assert (1, "SCOPE_DENIED") == (code, json.loads(error)["error"]["reason"])


def test_a_mnemonic_is_made_checked_and_sealed_by_the_operator(run: Run, tmp_path: Path) -> None:
    """The words go to a private file; what they are is told only as valid, english, 12."""
    out = tmp_path / "words"
    assert 0 == run("admin", "generate-mnemonic", "--bits", "128", "--out", str(out))[0]
    assert (12, 0o600) == (len(out.read_text().split()), stat.S_IMODE(out.stat().st_mode))

    code, valid, _ = run("admin", "validate-mnemonic", "--mnemonic-file", str(out))
    assert (0, {"valid": True, "language": "english", "word_count": 12}) == (code, valid)
    code, sealed, _ = run("admin", "import-master", "--mnemonic-file", str(out))
    assert (0, "english") == (code, sealed["language"])
    assert sealed["master"]["sealed_record"].startswith("solward1$mnemonic$")

    out.write_text(out.read_text().replace(out.read_text().split()[0], "nonsense", 1))
    code, valid, _ = run("admin", "validate-mnemonic", "--mnemonic-file", str(out))
    assert (1, False) == (code, valid["valid"])


def test_a_mnemonic_does_not_go_into_a_pipe(run: Run) -> None:
    """Without --out the words are for a terminal only."""
    code, shown, error = run("admin", "generate-mnemonic")

    assert (2, None) == (code, shown)
    assert "--out" in error


def test_the_operator_sees_what_is_in_force(run: Run) -> None:
    """`admin status` counts and `doctor` lists the measures as the kernel reports them."""
    run("master", "create")

    _, status, _ = run("admin", "status")
    code, report, _ = run("doctor")

    assert 1 == status["kdf_run_count"]
    assert run("admin", "signer-key")[1]["signer_key"] == report["signer_key"]
    assert all(measure["in_force"] for measure in report["measures"]) is (code == 0)
    assert {"not_dumpable", "no_core_dumps", "no_new_privs"} <= {
        measure["name"] for measure in report["measures"]
    }


def test_the_kill_switch_stops_signing(run: Run, tmp_path: Path) -> None:
    """Frozen, a wallet's signature is refused; thawed, it is given; revoked, a session is gone."""
    _, master, _ = run("master", "create")
    run("wallet", "derive", master["id"], "--count", "1")
    _, [wallet], _ = run("wallet", "list")
    message, token = tmp_path / "message", tmp_path / "session"
    message.write_bytes(b"to be signed")
    run("session", "open", "--master", master["id"], "--out", str(token))
    argv = ("sign", "message", str(message), "--wallet", wallet["id"], "--session", str(token))

    _, frozen, _ = run("admin", "freeze", "--address", wallet["address"])
    assert [f"wallet/{wallet['address']}"] == frozen["frozen"]
    code, _, error = run(*argv)
    assert (1, "FROZEN") == (code, json.loads(error)["error"]["reason"])
    assert {"frozen": []} == run("admin", "unfreeze", "--address", wallet["address"])[1]
    assert 0 == run(*argv)[0]
    assert {"revoked_count": 1} == run("admin", "revoke-sessions")[1]
    assert 1 == run(*argv)[0]


def test_a_policy_is_reloaded_when_its_version_rises(
    run: Run, signer_process: SignerProcess
) -> None:
    """The same file again is refused with its reason; a higher version is put in force."""
    code, _, error = run("admin", "reload-policy")
    assert (1, "POLICY_REJECTED") == (code, json.loads(error)["error"]["reason"])

    text = signer_process.policy.read_text()
    signer_process.policy.write_text(text.replace("version = 1", "version = 2"))
    assert 2 == run("admin", "reload-policy")[1]["policy_version"]


def test_an_audit_log_is_verified_and_an_altered_one_is_not(
    run: Run, signer_process: SignerProcess, tmp_path: Path
) -> None:
    """`audit verify` counts the records of the whole log and names the first that is wrong."""
    run("master", "create")
    config = str(signer_process.config)
    code, whole, _ = run("audit", "verify", "--config", config)
    count = len(signer_process.audit_log.read_bytes().splitlines())
    assert (0, count) == (code, whole["audit_records"])

    copy = tmp_path / "audit.log"
    copy.write_bytes(
        signer_process.audit_log.read_bytes().replace(b"create_master", b"other_event")
    )
    code, _, error = run("audit", "verify", "--config", config, "--log", str(copy))
    assert 1 == code
    assert "audit record 1" in json.loads(error)["error"]["text"]
