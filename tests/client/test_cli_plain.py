"""Messages as rows: what a person approves is all there, by name."""

import argparse
import io
from collections.abc import Iterator
from typing import Any

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client.cli.inputs import UsageError, seconds
from solward_client.cli.output import ITEMS_SHOWN_MAX, Output
from tests.client.test_cli_following import Terminal


def shown(message: pb.Distribution, stdout: io.StringIO) -> dict[str, str]:
    """The rows of a message, by their keys."""
    Output(as_json=False, stdout=stdout).record(message)
    gap = "\t" if not stdout.isatty() else None
    return {line.split(gap, 1)[0]: line for line in stdout.getvalue().splitlines()}


def test_messages_in_messages_are_rows_of_their_own() -> None:
    """A plan's estimate and counts are read field by field; none is a program's dict."""
    plan = pb.Distribution(
        estimate=pb.CostEstimate(base_fee_lamports=10_000, rent_lamports=7),
        split=pb.Split(even=pb.EvenSplit()),
        unlock_wallet_ids=["a", "b"],
    )
    rows = shown(plan, io.StringIO())
    assert "estimate.base_fee_lamports\t10000" == rows["estimate.base_fee_lamports"]
    assert "estimate.rent_lamports\t7" == rows["estimate.rent_lamports"]
    assert "split.even\tyes" == rows["split.even"]
    assert "unlock_wallet_ids\ta,b" == rows["unlock_wallet_ids"]
    assert "reconciliation\t" == rows["reconciliation"]
    assert not any("{" in line for line in rows.values())


def test_lists_are_whole_in_a_pipe_and_bounded_on_a_terminal() -> None:
    """What a plan leaves out, one by one; a terminal says how many more there are."""
    plan = pb.Distribution(
        skipped=[pb.SkippedAccount(address=f"A{at}", reason="it is frozen") for at in range(1_500)],
        unlock_wallet_ids=map(str, range(1_500)),
    )
    rows = shown(plan, io.StringIO())
    assert "skipped.1499.reason\tit is frozen" == rows["skipped.1499.reason"]
    assert rows["unlock_wallet_ids"].endswith(",1499")
    rows = shown(plan, Terminal())
    assert rows[f"skipped.{ITEMS_SHOWN_MAX - 1}.address"].endswith(f" A{ITEMS_SHOWN_MAX - 1}")
    assert f"skipped.{ITEMS_SHOWN_MAX}.address" not in rows
    assert rows["skipped"].endswith(" ... and 1,480 more")
    assert rows["unlock_wallet_ids"].endswith(",19 ... and 1,480 more")


@pytest.mark.parametrize("as_json", [False, True])
def test_rows_are_printed_as_they_come(as_json: bool) -> None:
    """A pipe has the rows so far, whatever comes of the rest; an error before any prints none."""
    stdout = io.StringIO()
    output = Output(as_json=as_json, stdout=stdout)

    def rows() -> Iterator[dict[str, Any]]:
        assert "" == stdout.getvalue()
        yield {"name": "one"}
        assert "one" in stdout.getvalue()
        yield {"name": "two"}

    output.rows(rows(), ["name"])
    shown = stdout.getvalue()
    assert (['[{"name": "one"}, {"name": "two"}]'] if as_json else ["name", "one", "two"]) == (
        shown.splitlines()
    )

    def refused() -> Iterator[dict[str, Any]]:
        if shown:
            raise UsageError("refused")
        yield {}

    with pytest.raises(UsageError):
        output.rows(refused(), ["name"])
    assert shown == stdout.getvalue()


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e9", "soon"])
def test_a_timeout_is_a_number_of_seconds(text: str) -> None:
    """More than nothing, at most a day."""
    with pytest.raises(argparse.ArgumentTypeError):
        seconds(text)
    assert 7_200.5 == seconds("7200.5")
