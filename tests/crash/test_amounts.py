"""Amounts above 2**53, where a float would lie, and up to u64's end go through every layer."""

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from solders.pubkey import Pubkey

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client.cli import main as cli
from tests.crash.accounts import settle_accounts
from tests.crash.conftest import MakeDesk, unspent_signer
from tests.crash.desk import Desk
from tests.gateway.processes import status_code
from tests.gateway.support import new_id
from tests.postgres.samples import address_of

U64_MAX = 2**64 - 1
AMOUNTS = (2**53 + 1, 2**63 + 1, U64_MAX - 5000)


@pytest.fixture(scope="module")
def desk(make_desk: MakeDesk) -> Iterator[Desk]:
    """A desk whose signer never signs: what is spent lessens what policy lets one plan."""
    with unspent_signer() as signer:
        yield make_desk(signer=signer)


def order(desk: Desk, total: int, *, validate_only: bool) -> pb.CreateDistributionRequest:
    """An order to pay all of it to one recipient."""
    assert desk.source is not None
    return pb.CreateDistributionRequest(
        request_id=new_id(),
        source_wallet_id=desk.source.id,
        recipients=pb.Recipients(
            addresses=pb.RecipientAddresses(addresses=[address_of(total, "u64")])
        ),
        total_lamports=total,
        split=pb.Split(even=pb.EvenSplit()),
        validate_only=validate_only,
    )


@pytest.mark.parametrize("total", AMOUNTS)
def test_more_than_exists_is_planned(desk: Desk, total: int) -> None:
    """Planned with validate_only, and stored and read again: not a lamport is lost on the way."""
    distributions = desk.client().distributions
    shown = distributions.CreateDistribution(order(desk, total, validate_only=True)).distribution
    assert total == shown.total_lamports
    stored = distributions.CreateDistribution(order(desk, total, validate_only=False)).distribution
    found = desk.get(stored)
    (transfer,) = desk.transfers(stored)
    assert (total, total) == (found.total_lamports, transfer.amount_lamports)
    assert total + 5000 == found.estimate.required_lamports
    (row,) = desk.fetch(
        "SELECT amount::text AS text FROM transfers WHERE distribution_id = $1::text::uuid",
        stored.id,
    )
    assert str(total) == row["text"]


def test_a_fee_over_the_end_is_refused(desk: Desk) -> None:
    """u64's largest number and a fee exceed u64: INVALID_ARGUMENT, not a small number."""
    with pytest.raises(grpc.RpcError) as caught:
        desk.client().distributions.CreateDistribution(order(desk, U64_MAX, validate_only=True))
    assert status_code(caught.value) is grpc.StatusCode.INVALID_ARGUMENT


def test_more_than_a_float_can_hold_is_paid(make_desk: MakeDesk) -> None:
    """2**53 + 1 lamports leave a source that has 2**62 and arrive, to the lamport."""
    desk = make_desk()
    desk.fund(2**62)
    plan = desk.plan(1, 2**53 + 1)
    desk.execute(plan)
    done = desk.finish(plan)
    settle_accounts(desk, plan)
    assert pb.Distribution.STATE_COMPLETED == done.state
    assert 2**53 + 1 == done.finalized_lamports


def test_a_balance_keeps_every_digit(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """u64's end minus 7 goes from the node's JSON through gateway, gRPC and CLI as it is."""
    address = address_of(7, "rich")
    held = U64_MAX - 7
    desk.node.chain.fund(Pubkey.from_string(address), held)
    target = desk.gateways[0].target
    assert cli(["balance", "get", address, "--json", "--target", target]) == 0
    assert held == json.loads(capsys.readouterr().out)["balance_lamports"]


def test_the_command_line_keeps_every_digit(
    desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """An estimate's sum through the CLI is its total and the fee, in lamports and as SOL."""
    assert desk.source is not None
    recipients = tmp_path / "recipients"
    recipients.write_text(address_of(8, "u64"))
    for total in ("18446744073709546615", "18446744073.709546615sol"):
        words = ["--source", desk.source.id, "--to-addresses", str(recipients), "--total", total]
        target = ["--json", "--target", desk.gateways[0].target]
        assert cli(["distribute", "estimate", *words, *target]) == 0
        assert U64_MAX == json.loads(capsys.readouterr().out)["required_lamports"]
