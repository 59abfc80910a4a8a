"""`solward distribute`: resolving what is UNKNOWN, estimates, what became of transfers."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client.calls import Caller
from solward_client.cli import main
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


def test_a_fee_is_that_of_the_transaction(
    gateway: FakeGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every transfer of a transaction shows its whole fee, and the column's name says so."""
    argv = ["distribute", "transfers", wallet(9).id, "--target", gateway.target]
    assert 0 == main([*argv, "--csv"])
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [("5000", "FINALIZED")] * 2 == [
        (row["transaction_fee_lamports"], row["state"]) for row in rows[:2]
    ]
    assert 0 == main([*argv, "--json"])
    listed = json.loads(capsys.readouterr().out)
    assert [(5_000, 2**63), (5_000, 2**63 + 1)] == [
        (item["transaction_fee_lamports"], item["amount"]) for item in listed[:2]
    ]
    assert "fee_lamports" not in listed[0].keys() | rows[0].keys()


def test_transfers_are_exported_as_csv(
    gateway: FakeGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """A header, then every transfer of every page, with its mint and decimals, quoted as CSV is."""
    argv = ["distribute", "transfers", wallet(9).id, "--csv", "--target", gateway.target]
    assert 0 == main(argv)
    header, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert (
        "position,source_address,recipient_address,amount,withheld_amount,mint,decimals,state,"
        "transaction_signature,slot,transaction_fee_lamports,receipt,error"
    ) == ",".join(header)
    asset = {"mint": "Mint", "decimals": "6"}
    shown = [dict(zip(header, row, strict=True)) for row in rows]
    assert shown == [{**each, **asset, "position": str(at)} for at, each in enumerate(shown)]
    assert ["FINALIZED", "FINALIZED", "FAILED"] == [each["state"] for each in shown]
    assert 'denied: "desk",\n2 rules' == shown[2]["error"]
