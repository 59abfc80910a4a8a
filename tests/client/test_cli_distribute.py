"""`solward distribute`: resolving what is UNKNOWN, notes while it runs, costs at its end."""

import io
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from google.protobuf.duration_pb2 import Duration

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client.calls import Caller
from solward_client.cli import main
from solward_client.cli.following import follow
from solward_client.cli.output import Output, duration
from tests.client.fake_gateway import FakeGateway, wallet

MINT = "So11111111111111111111111111111111111111112"
RESOLVE = ["distribute", "resolve", wallet(9).id, "--etag", "E1", "--signature", "S"]
REASON = ["--reason", "two explorers do not know it"]


def test_a_transaction_is_resolved(gateway: FakeGateway) -> None:
    """The verdict, the reason and who says so reach the gateway."""
    argv = [*RESOLVE, "--signature-again", "S", "--verdict", "pay-again", *REASON]
    assert 0 == main([*argv, "--operator", "olga", "--target", gateway.target])
    assert [f"ResolveUnknown {pb.Resolution.VERDICT_PAY_AGAIN} olga"] == gateway.calls


@pytest.mark.parametrize(
    "argv",
    [
        [*RESOLVE, "--verdict", "pay-again", *REASON],
        [*RESOLVE, "--signature-again", "S", *REASON],
        [*RESOLVE, "--signature-again", "S", "--verdict", "pay-again"],
        [*RESOLVE, "--signature-again", "S", "--verdict", "forget", *REASON],
    ],
)
def test_nothing_is_resolved_by_half(gateway: FakeGateway, argv: list[str]) -> None:
    """The signature twice, the verdict and the reason: without one of them nothing is called."""
    with pytest.raises(SystemExit) as caught:
        main([*argv, "--target", gateway.target])
    assert 2 == caught.value.code
    assert [] == gateway.calls


class Terminal(io.StringIO):
    """Takes a terminal's place."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def run(reports: Iterator[Any], final: pb.Distribution, stderr: io.StringIO) -> int:
    """Follows a distribution that was executed."""
    output = Output(as_json=False, stdout=io.StringIO(), stderr=stderr)
    context = SimpleNamespace(options=Namespace(distribution="d"), output=output)
    distributions = SimpleNamespace(get=lambda _: final, watch=lambda _: reports)
    solward = SimpleNamespace(distributions=distributions)
    return follow(cast(Any, context), cast(Any, solward), until_paused=True)


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
    stderr = io.StringIO()
    assert 1 == run(paused(), pb.Distribution(state=pb.Distribution.STATE_PAUSED), stderr)
    assert [
        "INSUFFICIENT_FUNDS: it holds 5 lamports",
        "it is paused: `solward distribute execute` goes on",
    ] == stderr.getvalue().splitlines()


def test_the_end_says_what_it_cost() -> None:
    """Next to the estimate, in lamports; a terminal shows how long it still takes."""
    report = pb.WatchDistributionResponse(
        state=pb.Distribution.STATE_EXECUTING,
        last_error="the signer asks to wait 58.0 s",
        remaining_duration=Duration(seconds=3_723),
    )
    final = pb.Distribution(
        state=pb.Distribution.STATE_COMPLETED,
        transfer_count=40,
        estimate=pb.CostEstimate(transaction_count=2, base_fee_lamports=10_000, rent_lamports=7),
        paid=pb.PaidCost(transaction_count=3, fee_lamports=15_000, rent_lamports=7),
    )
    stderr = Terminal()
    assert 0 == run(iter([report]), final, stderr)
    shown = stderr.getvalue()
    assert "transactions: 3, estimated 2" in shown
    assert "fees in lamports: 15,000, estimated 10,000" in shown
    assert "refunds" not in shown
    assert "about" in shown


def test_durations_are_read_at_a_glance() -> None:
    """Hours only where there are some."""
    assert ["0:07", "3:20", "1:02:03"] == [duration(s) for s in (7.2, 200, 3_723)]


def test_an_estimate_is_asked_for_the_same_payout(
    gateway: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `estimate` takes reaches the gateway as what `create` takes does, the memo included."""
    asked: list[Any] = []
    read = Caller.read

    def look(caller: Caller, stub: Any, request: Any, *more: Any) -> Any:
        if not isinstance(request, pb.EstimateCostRequest):
            return read(caller, stub, request, *more)
        asked.append(request)
        return pb.EstimateCostResponse()

    def take(_caller: Caller, _stub: Any, request: Any, *_: Any) -> Any:
        asked.append(request)
        return pb.CreateDistributionResponse()

    monkeypatch.setattr(Caller, "read", look)
    monkeypatch.setattr(Caller, "write", take)
    to = tmp_path / "addresses"
    to.write_text(f"{MINT}\n")
    argv = ["--source", wallet(0).id, "--total", "5", "--to-addresses", str(to), "--mint", MINT]
    argv += ["--transfer-fee", "source", "--memo", "rent, May", "--target", gateway.target]
    for command in ("estimate", "create"):
        assert 0 == main(["distribute", command, *argv])
    estimate, create = asked
    assert estimate.memo == "rent, May"
    for name in ("source_wallet_id", "recipients", "total_amount", "split", "mint"):
        assert getattr(estimate, name) == getattr(create, name)
    assert (estimate.transfer_fee, estimate.memo) == (create.transfer_fee, create.memo)
