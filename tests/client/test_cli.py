"""The `solward` command: what it prints, how it exits, where it takes secrets from."""

import base64
import json
import os
import stat
from pathlib import Path

import grpc
import pytest

from solward_client.cli import build_parser, main
from solward_client.cli.inputs import read_private_key, read_transaction
from tests.client.fake_gateway import MASTER, TOKEN, FakeGateway, wallet

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def environment(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command reaches the fake gateway and nothing of the developer's own."""
    for name in [name for name in os.environ if name.startswith("SOLWARD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SOLWARD_TARGET", gateway.target)


@pytest.fixture
def password_file(tmp_path: Path) -> str:
    """A file with a password and the newline that editors add."""
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    return str(path)


def test_json_is_one_object_with_integers(capsys: pytest.CaptureFixture[str]) -> None:
    """A program reads a u64 as an integer, not as protobuf's string, and every field's name."""
    assert 0 == main(["wallet", "get", wallet(0).id, "--json"])

    shown = json.loads(capsys.readouterr().out)
    assert (wallet(0).id, 2**64 - 1, 0, None, []) == (
        shown["id"],
        shown["volume_lamports"],
        shown["derivation_index"],
        shown["create_time"],
        shown["tags"],
    )


def test_a_pipe_gets_tab_separated_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal a list has a header, a line for each wallet and no control character."""
    assert 0 == main(["wallet", "list"])

    lines = capsys.readouterr().out.splitlines()
    assert 6 == len(lines)
    assert wallet(4).address == lines[5].split("\t")[1]
    assert not any(
        ord(character) < 32 and character != "\t" for line in lines for character in line
    )


def test_options_stand_before_or_after_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`solward --json master list` and `solward master list --json` are the same."""
    main(["--json", "master", "list"])
    before = capsys.readouterr().out
    main(["master", "list", "--json"])

    assert before == capsys.readouterr().out
    assert MASTER.id == json.loads(before)[0]["id"]


def test_a_list_says_that_there_is_more(capsys: pytest.CaptureFixture[str]) -> None:
    """--limit cuts and says so; --all does not."""
    main(["wallet", "list", "--limit", "2"])
    limited = capsys.readouterr()
    main(["wallet", "list", "--limit", "2", "--all"])
    everything = capsys.readouterr()

    assert (3, 6) == (len(limited.out.splitlines()), len(everything.out.splitlines()))
    assert ("the first 2; --all shows all\n", "") == (limited.err, everything.err)


def test_a_refusal_is_one_line_and_exit_code_1(
    gateway: FakeGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reason, the words and the rule, on stderr, without a traceback."""
    gateway.deny = {
        "code": grpc.StatusCode.PERMISSION_DENIED,
        "reason": "POLICY_DENIED",
        "message": "the policy\ndenies",
        "rule": "desk/destinations: vault",
    }

    assert 1 == main(["master", "get", MASTER.id])

    shown = capsys.readouterr()
    expected = "solward: POLICY_DENIED: the policy denies (rule desk/destinations: vault)\n"
    assert ("", expected) == (shown.out, shown.err)


def test_a_refusal_for_a_program_is_json(
    gateway: FakeGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json the error is an object with the same facts."""
    gateway.deny = {
        "code": grpc.StatusCode.RESOURCE_EXHAUSTED,
        "reason": "RATE_LIMITED",
        "message": "no signature left",
        "retry_ms": 1500,
    }

    assert 1 == main(["master", "get", MASTER.id, "--json"])

    error = json.loads(capsys.readouterr().err)["error"]
    assert ("RATE_LIMITED", "RESOURCE_EXHAUSTED", 1500) == (
        error["reason"],
        error["code"],
        error["retry_delay_ms"],
    )


def test_a_missing_gateway_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing says where the gateway is: exit code 2 and what to give."""
    monkeypatch.delenv("SOLWARD_TARGET")

    assert 2 == main(["master", "list"])
    assert "--target" in capsys.readouterr().err


def test_a_gateway_that_does_not_answer_is_exit_code_1(
    password_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No socket there: one line that says UNAVAILABLE."""
    argv = ["wallet", "trade", "Wallet0000", "5", "--target", "unix:/nonexistent/gateway.sock"]

    assert 1 == main(argv)
    shown = capsys.readouterr().err
    assert shown.startswith("solward: UNAVAILABLE: ")
    assert 1 == len(shown.splitlines())


@pytest.mark.parametrize(
    "argv", [["wallet", "derive", MASTER.id], ["nonsense"], ["sign"], ["distribute", "pay"]]
)
def test_wrong_usage_is_exit_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What the parser refuses exits with 2, as argparse does."""
    with pytest.raises(SystemExit) as caught:
        main(argv)

    assert 2 == caught.value.code
    assert "usage: solward" in capsys.readouterr().err


def test_derive_reports_what_it_did(
    gateway: FakeGateway, password_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The newline at the end of a password file is not part of the password."""
    argv = ["wallet", "derive", MASTER.id, "--count", "4", "--password-file", password_file]

    assert 0 == main([*argv, "--json"])

    expected = {"first_index": 5, "count": 4, "created_count": 4}
    assert expected == json.loads(capsys.readouterr().out)
    assert [PASSWORD.encode()] == [secret for secret, _binding in gateway.secrets]


def test_a_session_file_is_private_and_is_not_overwritten(
    gateway: FakeGateway, password_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The token goes to a new 0600 file, never to stdout; an existing file ends the new session."""
    out = tmp_path / "session"
    argv = ["session", "open", "--master", MASTER.id, "--out", str(out)]

    assert 0 == main([*argv, "--password-file", password_file])
    shown = capsys.readouterr()
    encoded = base64.b64encode(TOKEN).decode()
    assert (encoded, 0o600) == (out.read_text().strip(), stat.S_IMODE(out.stat().st_mode))
    assert encoded not in shown.out + shown.err
    assert 2 == main([*argv, "--password-file", password_file])
    assert ["OpenSession", "OpenSession", "CloseSession"] == [
        call for call in gateway.calls if call.endswith("Session")
    ]


def test_signing_without_a_session_opens_one_and_closes_it(
    gateway: FakeGateway, password_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`sign tx` takes raw bytes or base64 and leaves no session behind."""
    path = tmp_path / "transaction"
    path.write_bytes(b"\x01" + bytes(64))
    argv = ["sign", "tx", str(path), "--wallet", "Wallet0000", "--password-file", password_file]

    assert 0 == main([*argv, "--json"])

    signed = json.loads(capsys.readouterr().out)
    assert path.read_bytes() == base64.b64decode(signed["transaction"])
    assert ["GetWalletByAddress", "OpenSession", "SignTransaction", "CloseSession"] == gateway.calls


def test_a_payout_is_executed_by_its_etag_and_watched_to_the_end(
    gateway: FakeGateway, password_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`distribute execute` keeps its session open until the watch ends, then closes it."""
    argv = ["distribute", "execute", wallet(9).id, "--etag", "E1"]

    assert 0 == main([*argv, "--password-file", password_file, "--json"])

    assert "COMPLETED" == json.loads(capsys.readouterr().out)["state"]
    assert [
        "GetWallet",
        "OpenSession",
        "ExecuteDistribution E1",
        "WatchDistribution",
        "WatchDistribution",
        "CloseSession",
    ] == gateway.calls


def test_a_policy_that_denies_is_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`policy explain` prints the rule and the effects, and exits 1."""
    path = tmp_path / "transaction"
    path.write_bytes(b"\x01" + bytes(64))

    assert 1 == main(["policy", "explain", str(path), "--wallet", "Wallet0000"])

    shown = capsys.readouterr().out
    assert "desk/destinations: vault" in shown
    assert "effect: pays 5 lamports to Foreign" in shown


def test_two_inputs_cannot_share_stdin(capsys: pytest.CaptureFixture[str]) -> None:
    """A key and its password both from stdin is refused before either is read."""
    assert 2 == main(["wallet", "import", "-", "--password-file", "-"])
    assert "solward: only one input can come from stdin\n" == capsys.readouterr().err


def test_payouts_consolidations_and_reclaims_are_offered() -> None:
    """There is a command for each kind of plan that the gateway makes."""
    shown = build_parser().format_help()

    assert {"distribute", "consolidate", "reclaim"} <= set(shown.split())


def test_a_transaction_file_is_raw_or_base64(tmp_path: Path) -> None:
    """Both spellings of the same transaction read the same."""
    wire = b"\x01" + bytes(range(200))
    raw, text = tmp_path / "raw", tmp_path / "text"
    raw.write_bytes(wire)
    text.write_text(base64.b64encode(wire).decode() + "\n")

    assert [wire, wire] == [read_transaction(str(raw)), read_transaction(str(text))]


def test_a_key_file_names_its_own_address(tmp_path: Path) -> None:
    """A solana-keygen file of RFC 8032's first key gives that key's public half as the address."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    path = tmp_path / "key.json"
    path.write_text(json.dumps(list(seed + public)))

    address, key = read_private_key(str(path))

    assert ("FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z", seed + public) == (address, key)
