"""The policy is asked when a plan is made, and the format is what the cluster runs."""

from uuid import UUID

import pytest

from gateway.adapters.postgres import Database
from gateway.domain.addresses import decode_base58
from gateway.domain.custody import SignItem
from gateway.domain.errors import PolicyDeniedError
from gateway.domain.orders import ConsolidationOrder
from gateway.domain.packing import TransactionVersion
from gateway.workflows.distribution_planning import PlanningConfig
from tests.distribution.support import Desk, open_desk
from tests.postgres.samples import address_of
from tests.support.svm_rpc import SvmRpc

TOTAL = 10**12
RULE = "desk/destinations: vault"


async def test_a_plan_that_the_policy_refuses_is_not_stored(desk: Desk) -> None:
    """The refusal names the rule; neither estimate, dry run nor plan gets past it."""
    desk.signer.denial = lambda _: RULE
    order = desk.order(45, TOTAL // 10)
    for call in (desk.workflows.plan, desk.workflows.estimate):
        with pytest.raises(PolicyDeniedError) as caught:
            await call(order)
        assert (caught.value.rule, caught.value.reason) == (RULE, "POLICY_DENIED")
    with pytest.raises(PolicyDeniedError):
        await desk.workflows.create(str(UUID(int=1)), order)
    assert (await desk.workflows.list_page()).items == []
    assert desk.signer.items == []


async def test_every_transaction_is_asked_about(desk: Desk) -> None:
    """All 500 are judged, in order, as the very bytes that would be signed."""
    plan = await desk.workflows.plan(desk.order(10_000, TOTAL // 10))
    assert [batch.total_amount for batch in plan.batches] == [
        sum(amounts(item)) for item in desk.signer.judged
    ]


async def test_one_bad_transaction_in_500_is_enough(desk: Desk) -> None:
    """A refusal of the 251st alone refuses the plan."""
    bad = address_of(5_010, "pay")
    desk.signer.denial = lambda item: RULE if decode_base58(bad) in item.transaction else ""
    with pytest.raises(PolicyDeniedError) as caught:
        await desk.workflows.plan(desk.order(10_000, TOTAL // 10))
    assert caught.value.rule == RULE


async def test_caps_are_compared_with_the_whole_plan(desk: Desk) -> None:
    """What each of 150 transactions needs is added up; a minute's rate is waited for instead."""
    order = desk.order(3_000, TOTAL // 10)
    desk.signer.caps = {"desk/lamports_per_day_max: 9": 150, "desk/signatures_per_minute: 9": 9}
    await desk.workflows.plan(order)
    desk.signer.caps = {"desk/lamports_per_day_max: 9": 149}
    with pytest.raises(PolicyDeniedError, match="needs 150") as caught:
        await desk.workflows.plan(order)
    assert caught.value.rule == "desk/lamports_per_day_max: 9"
    desk.signer.caps = {"desk/signatures_per_minute: 0": 0}
    with pytest.raises(PolicyDeniedError):
        await desk.workflows.plan(order)


async def test_all_signers_of_a_transaction_are_judged_together(desk: Desk) -> None:
    """Eight sources and their payer are nine wallets of one item."""
    sources = await desk.wallets(8, 10**8)
    ids = tuple(wallet_id for wallet_id, _ in sources)
    (destination,) = await desk.wallets(1, 0, salt=1)
    await desk.workflows.plan(ConsolidationOrder(ids, destination[0], desk.source_id))
    (item,) = desk.signer.judged
    assert len(item.wallets) == 9
    assert [proof.address for proof in item.vault_destinations] == [destination[1]]


async def test_the_newest_format_that_runs(database: Database, svm_rpc: SvmRpc) -> None:
    """v1 where a v1 transaction simulates, legacy where the node refuses it."""
    desk = await open_desk(database, svm_rpc, planning=PlanningConfig(None))
    plan = await desk.workflows.plan(desk.order(1_000, TOTAL // 10))
    assert (plan.version, len(plan.batches)) == (TransactionVersion.V1, 17)
    desk.node.faults.result(
        "simulateTransaction",
        {"context": {"slot": 1}, "value": {"err": "UnsupportedVersion", "logs": []}},
    )
    plan = await desk.workflows.plan(desk.order(1_000, TOTAL // 10))
    assert plan.version is TransactionVersion.LEGACY
    desk.node.faults.error("simulateTransaction", -32602, "failed to deserialize", times=None)
    plan = await desk.workflows.plan(desk.order(1_000, TOTAL // 10))
    assert (plan.version, len(plan.batches)) == (TransactionVersion.LEGACY, 50)
    await desk.close()


@pytest.mark.parametrize(
    ("version", "transactions"), [(TransactionVersion.LEGACY, 500), (TransactionVersion.V1, 162)]
)
async def test_ten_thousand_recipients(
    database: Database, svm_rpc: SvmRpc, version: TransactionVersion, transactions: int
) -> None:
    """10,000 recipients of SOL are 500 legacy or 162 v1 transactions, stored as planned."""
    desk = await open_desk(database, svm_rpc, planning=PlanningConfig(version))
    planned = await desk.planned(10_000, TOTAL // 10)
    assert (planned.batch_count, planned.transfer_count) == (transactions, 10_000)
    assert planned.estimate.base_fee_lamports == transactions * 5_000
    await desk.close()


def amounts(item: SignItem) -> list[int]:
    """The amounts of an item's System transfers."""
    marker = b"\x02\x00\x00\x00"
    wire = item.transaction
    found: list[int] = []
    at = wire.find(b"\x0c" + marker)
    while at >= 0:
        found.append(int.from_bytes(wire[at + 5 : at + 13], "little"))
        at = wire.find(b"\x0c" + marker, at + 13)
    return found
