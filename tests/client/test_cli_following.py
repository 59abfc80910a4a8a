"""`solward distribute execute` and `watch`: what is said while it runs, and at its end."""

import io
import json
from argparse import Namespace
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from google.protobuf.duration_pb2 import Duration

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client.cli.following import RECEIPTS_POLLS_MAX, follow
from solward_client.cli.output import Output, duration

COMPLETED, EXECUTING = pb.Distribution.STATE_COMPLETED, pb.Distribution.STATE_EXECUTING
BUSY = pb.WatchDistributionResponse(
    state=EXECUTING,
    transfer_counts=pb.TransferCounts(
        planned_count=10, in_flight_count=20, finalized_count=40, failed_count=3, unknown_count=2,
        cancelled_count=5,
    ),
    finalized_amount=1_234_567,
    transfers_per_kilosecond=2_500,
    remaining_duration=Duration(seconds=3_723),
    signing_wait_duration=Duration(seconds=58),
    last_error="the RPC node is away",
)  # fmt: skip


class Terminal(io.StringIO):
    """Takes a terminal's place."""

    def isatty(self) -> bool:
        """It is one."""
        return True


class Run:
    """Follows a distribution that was executed; `gets` answer one after the other, the last for
    ever. `naps` counts how often it waited.
    """

    def __init__(
        self,
        reports: Iterator[pb.WatchDistributionResponse],
        gets: Sequence[pb.Distribution],
        *,
        stderr: io.StringIO | None = None,
        as_json: bool = False,
    ) -> None:
        self.naps = 0
        stdout, stderr = io.StringIO(), stderr or io.StringIO()
        output = Output(as_json=as_json, stdout=stdout, stderr=stderr)
        context = SimpleNamespace(options=Namespace(distribution="d"), output=output)
        left = list(gets)
        distributions = SimpleNamespace(
            get=lambda _: left.pop(0) if len(left) > 1 else left[0], watch=lambda _: reports
        )
        solward = SimpleNamespace(distributions=distributions)
        self.code = follow(
            cast(Any, context), cast(Any, solward), until_paused=True, sleep=self._nap
        )
        self.out, self.err = stdout.getvalue(), stderr.getvalue()

    def _nap(self, _seconds: float) -> None:
        self.naps += 1


def ended(state: "pb.Distribution.State.ValueType" = COMPLETED, **counts: int) -> pb.Distribution:
    """A distribution of 80 that has ended, with receipts by their counts."""
    return pb.Distribution(
        state=state, transfer_count=80, reconciliation=pb.Reconciliation(**cast(Any, counts))
    )


def paused() -> Iterator[pb.WatchDistributionResponse]:
    """A distribution that runs dry; the watch would never end by itself."""
    counts = pb.TransferCounts(in_flight_count=20, planned_count=20)
    why = "INSUFFICIENT_FUNDS: it holds 5 lamports"
    state = pb.Distribution.STATE_PAUSED
    yield pb.WatchDistributionResponse(state=state, transfer_counts=counts, last_error=why)
    yield pb.WatchDistributionResponse(state=state, last_error=why)
    raise AssertionError("watched on")


def test_an_execution_that_is_paused_is_left() -> None:
    """What is in flight is waited for; then the reason and what to do are said: exit code 1."""
    done = Run(paused(), [ended(pb.Distribution.STATE_PAUSED)])
    assert 1 == done.code
    assert [
        "0 of 80; 20 in flight; 0 lamports moved; INSUFFICIENT_FUNDS: it holds 5 lamports",
        "0 of 80; 0 lamports moved; INSUFFICIENT_FUNDS: it holds 5 lamports",
        "it is paused: `solward distribute execute` goes on",
    ] == done.err.splitlines()


def test_a_report_is_a_line_in_a_pipe() -> None:
    """What is settled, every state that has transfers, what was moved, rate, waits and troubles."""
    token = ended()
    token.asset.mint = "Mint1111"
    done = Run(iter([BUSY, BUSY]), [token])
    assert (
        "48 of 80; 20 in flight; 3 failed; 2 unknown; 5 cancelled; 1,234,567 base units moved; "
        "2.5 transfers a second; the signer's limit holds it up for 0:58; about 1:02:03 left; "
        "the RPC node is away\n"
    ) == done.err


def test_a_report_is_an_object_for_a_program() -> None:
    """With --json a line on stderr for each report, with all its fields; stdout has the result."""
    done = Run(iter([BUSY, BUSY]), [ended()], as_json=True)
    (first, _) = [json.loads(line)["progress"] for line in done.err.splitlines()]
    assert (80, 20, 2_500, 58, 3_723) == (
        first["transfer_count"],
        first["transfer_counts"]["in_flight_count"],
        first["transfers_per_kilosecond"],
        first["signing_wait_duration"],
        first["remaining_duration"],
    )
    assert "COMPLETED" == json.loads(done.out)["state"]


def test_a_bar_shows_what_a_line_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the bar is filled by what is settled, and its text is the report's."""
    monkeypatch.setenv("COLUMNS", "300")
    done = Run(iter([BUSY]), [ended()], stderr=Terminal())
    assert "48/80" in done.err
    assert "20 in flight; 3 failed; 2 unknown; 5 cancelled; 1,234,567 lamports" in done.err
    assert "2.5 transfers a second" in done.err
    assert "about 1:02:03 left" in done.err


def test_the_end_says_what_it_cost() -> None:
    """Next to the estimate, in lamports, once the receipts are there."""
    pending, final = ended(pending_count=2), ended(matched_count=3)
    for each in (pending, final):
        each.estimate.MergeFrom(
            pb.CostEstimate(transaction_count=2, base_fee_lamports=10_000, rent_lamports=7)
        )
    final.paid.MergeFrom(pb.PaidCost(transaction_count=3, fee_lamports=15_000, rent_lamports=7))
    done = Run(iter([]), [pending, pending, pending, final])
    assert (0, 2) == (done.code, done.naps)
    assert [
        "transactions: 3, estimated 2",
        "fees in lamports: 15,000, estimated 10,000",
        "rent in lamports: 7, estimated 7",
    ] == done.err.splitlines()
    assert "15000" in done.out


def test_receipts_are_not_waited_for_for_ever() -> None:
    """After a minute it says that they are pending and that costs are those so far."""
    final = ended(pending_count=2)
    final.paid.fee_lamports = 5_000
    done = Run(iter([]), [final])
    assert (0, RECEIPTS_POLLS_MAX) == (done.code, done.naps)
    assert "fees in lamports: 5,000 so far, estimated 0\nreceipts pending: 2 " in done.err


@pytest.mark.parametrize("as_json", [False, True])
def test_a_receipt_that_differs_is_a_failure(as_json: bool) -> None:
    """All are paid, but not as planned: a warning, also to a program, and exit code 1."""
    done = Run(iter([]), [ended(differing_count=1, unavailable_count=4)], as_json=as_json)
    assert 1 == done.code
    assert "1 transactions did not do what the plan says" in done.err
    assert as_json or "no node has the record of 4 transactions" in done.err


def test_what_failed_has_advice() -> None:
    """How many are not paid, and where it says why: exit code 1."""
    final = ended(pb.Distribution.STATE_PARTIALLY_FAILED)
    final.transfer_counts.failed_count = 7
    done = Run(iter([]), [final])
    assert 1 == done.code
    assert "7 transfers FAILED and are not paid: `solward distribute transfers`" in done.err


def test_durations_are_read_at_a_glance() -> None:
    """Hours only where there are some."""
    assert ["0:07", "3:20", "1:02:03"] == [duration(s) for s in (7.2, 200, 3_723)]
