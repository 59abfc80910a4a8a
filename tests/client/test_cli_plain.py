"""Messages as rows: what a person approves is all there, by name."""

import io

from solward.gateway.v1 import distribution_service_pb2 as pb
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
