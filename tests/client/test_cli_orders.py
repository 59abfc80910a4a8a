"""What payouts are ordered with: amounts to the base unit, inputs that cannot be meant together."""

import json
from pathlib import Path

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
