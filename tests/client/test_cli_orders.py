"""What plans are ordered with: exact amounts, inputs that fit together, ids to repeat them by."""

import json
from pathlib import Path
from uuid import UUID

import grpc
import pytest

from solward_client.cli import main
from solward_client.cli.amounts import lamports, scaled
from tests.client.fake_gateway import FakeGateway, wallet

MINT = "Mint1111"
PAYOUT = ["distribute", "create", "--source", wallet(0).id]
SEED = "ab" * 32


@pytest.fixture
def payout(gateway: FakeGateway, tmp_path: Path) -> list[str]:
    """A payout to one address that lacks nothing but its total."""
    file = tmp_path / "addresses"
    file.write_text("Recipient1\n")
    return [*PAYOUT, "--target", gateway.target, "--to-addresses", str(file)]


def test_sol_is_no_amount_of_a_token(
    gateway: FakeGateway, payout: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a mint "100sol" would be 100,000,000,000 of its base units: nothing is ordered."""
    assert 2 == main([*payout, "--total", "100sol", "--mint", MINT])
    assert "base units of the token" in capsys.readouterr().err
    assert [] == gateway.orders


@pytest.mark.parametrize(
    ("arguments", "total", "shown"),
    [
        (["--total", "1.5sol"], 1_500_000_000, "1.5 SOL"),
        (["--total", "100000000001", "--mint", MINT], 100_000_000_001, f"100000.000001 {MINT}"),
    ],
)
def test_a_plan_shows_its_total_in_whole_units(
    gateway: FakeGateway, payout: list[str], capsys: pytest.CaptureFixture[str],
    arguments: list[str], total: int, shown: str,
) -> None:  # fmt: skip
    """Beside base units, by the decimals that the mint says; JSON has integers only."""
    assert 0 == main([*payout, *arguments])
    lines = capsys.readouterr().out.splitlines()
    assert {f"total_amount\t{total}", f"total\t{shown}"} <= set(lines)
    assert [total] == [order.total_amount for order in gateway.orders]
    assert 0 == main([*payout, *arguments, "--json"])
    assert "total" not in json.loads(capsys.readouterr().out)


def test_a_seed_is_shown_as_it_is_given(
    payout: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """In hex: what is shown can be given as --seed to draw the same shares again."""
    assert 0 == main([*payout, "--total", "9", "--split", "random", "--seed", SEED, "--json"])
    assert SEED == json.loads(capsys.readouterr().out)["split"]["random"]["seed"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1500", 1500),
        ("1.0", 1),
        ("1.5sol", 1_500_000_000),
        ("0.000000001SOL", 1),
        ("0.0000000010sol", 1),
        ("1_000", 1000),
        ("0", 0),
        ("18446744073.709551615sol", 2**64 - 1),
    ],
)
def test_amounts_are_exact(text: str, expected: int) -> None:
    """Every digit counts; no float, no rounding."""
    assert expected == lamports(text)


@pytest.mark.parametrize(
    "text",
    [
        "1.5",
        "0.0000000001sol",
        f"1.{'0' * 40}1sol",
        "-1",
        "nan",
        "1e3",
        "1e9999999",
        "9" * 5_000,
        "\u0661\u0662",
        "1 sol",
        ".5sol",
        "18446744073709551616",
        "18446744073.709551616sol",
    ],
)
def test_what_is_no_amount_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Fractions of a base unit, exponents, digits of other scripts and more than u64."""
    with pytest.raises(SystemExit) as caught:
        main(["wallet", "trade", "Wallet0000", "--", text])
    assert 2 == caught.value.code
    assert "argument volume: " in capsys.readouterr().err


def test_whole_units_are_exact() -> None:
    """The largest amount keeps its last digit; 0 decimals have no point."""
    cases = [(2**64 - 1, 9), (7, 0), (0, 6), (1, 6), (1_500_000, 6)]
    expected = ["18446744073.709551615", "7", "0", "0.000001", "1.5"]
    assert expected == [scaled(*case) for case in cases]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--to-addresses", "-", "--lookup-tables", "-"], "stdin"),
        (["--to-wallets", "-", "--split", "weighted", "--weights", "-"], "stdin"),
        (["--to-wallets", "-", "--first-index", "0"], "--to-master"),
        (["--to-wallets", "-", "--count", "3"], "--to-master"),
    ],
)
def test_inputs_that_cannot_be_meant_together(
    gateway: FakeGateway, capsys: pytest.CaptureFixture[str], arguments: list[str], word: str
) -> None:
    """Two lists from one stdin, a range of no master: wrong usage, nothing is ordered."""
    assert 2 == main([*PAYOUT, "--target", gateway.target, "--total", "5", *arguments])
    assert word in capsys.readouterr().err
    assert [] == gateway.orders


@pytest.mark.parametrize("as_json", [False, True])
def test_a_lost_answer_names_the_request(
    gateway: FakeGateway, payout: list[str], capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    """The gateway may have stored the plan: whoever repeats the call by its id gets the same."""
    gateway.fail["CreateDistribution"] = [(grpc.StatusCode.DEADLINE_EXCEEDED, "too slow")]
    form = ["--json"] if as_json else []
    assert 1 == main([*payout, "--total", "5", *form])
    told = capsys.readouterr().err.strip()
    drawn = json.loads(told)["error"]["request_id"] if as_json else told.rpartition(" ")[2]
    assert 0 == main([*payout, "--total", "5", "--request-id", drawn])
    assert [str(UUID(drawn))] * 2 == [order.request_id for order in gateway.orders]


def test_gatherings_are_estimated(
    gateway: FakeGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a consolidation or a closing would cost is asked for with the order as it would be."""
    file = tmp_path / "wallets"
    file.write_text(f"{wallet(1).id}\n{wallet(2).id}\n")
    order = ["--wallets", str(file), "--to", wallet(3).id, "--target", gateway.target]
    assert 0 == main(["consolidate", "estimate", *order, "--mint", MINT])
    assert 0 == main(["reclaim", "estimate", *order, "--mode", "both"])
    moved, closed = (gateway.orders[0].consolidation, gateway.orders[1].closing)
    assert MINT == moved.mint
    assert [wallet(1).id, wallet(2).id] == moved.source_wallet_ids == closed.wallet_ids
    assert "refund_lamports\t77" in capsys.readouterr().out


def test_distributions_are_listed(gateway: FakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    """Newest first, in whole units, over pages; a list that is cut says so."""
    argv = ["distribute", "list", "--target", gateway.target]
    assert 0 == main(argv)
    cut = capsys.readouterr()
    assert 26 == len(cut.out.splitlines())
    assert "\t1.500000001 SOL\t" in cut.out
    assert "the newest 25; --all shows all\n" == cut.err
    assert 0 == main([*argv, "--all", "--json"])
    assert 102 == len(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    "arguments",
    [
        ["balance", "batch", "--tag", ""],
        ["balance", "batch", "--addresses", ""],
        ["balance", "tokens", "--wallets", ""],
        ["balance", "total", "--tag", "desk", "--mint", ""],
        [*PAYOUT, "--total", "5", "--to-wallets", "-", "--mint", ""],
        [*PAYOUT, "--total", "5", "--to-wallets", "-", "--lookup-tables", ""],
    ],
)
def test_what_is_empty_is_said(
    gateway: FakeGateway, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """A shell's variable that is not set is neither everything, nor SOL, nor a traceback."""
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--target", gateway.target])
    assert 2 == caught.value.code
    assert f"argument {arguments[-2]}: it is empty" in capsys.readouterr().err
    assert [] == gateway.calls
