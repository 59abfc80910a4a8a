"""Compute limits and prices of plans on the SVM: measured, kept to, and refused by name."""

import pytest
from solders.account import Account
from solders.message import MessageV1
from solders.pubkey import Pubkey

from gateway.adapters.postgres import Database
from gateway.domain.errors import ChainUnavailableError, PreconditionFailedError
from gateway.domain.orders import (
    ClosingOrder,
    ConsolidationOrder,
    DistributionOrder,
    Order,
    RecipientAddresses,
    RecipientIds,
)
from gateway.domain.packing import TransactionVersion
from gateway.domain.splits import EvenSplit
from gateway.domain.states import DistributionState
from gateway.domain.token_programs import TOKEN, TOKEN_2022
from gateway.workflows.distribution_planning import PlanningConfig
from tests.distribution.support import Desk, open_desk
from tests.distribution.tokens import FEE_CONFIG, MEMO_TRANSFER, TokenWorld, fee_config
from tests.postgres.samples import address_of
from tests.support.svm_chain import SYSTEM_PROGRAM, Landed
from tests.support.svm_rpc import SvmRpc

CLOCK = "SysvarC1ock11111111111111111111111111111111"
TOTAL = 10**9
PRICE = 10_000


def limit_of(landed: Landed) -> int:
    """A transaction's compute limit."""
    message = landed.transaction.message
    if isinstance(message, MessageV1):
        return message.config.compute_unit_limit or 0
    return int.from_bytes(bytes(message.instructions[0].data)[1:5], "little")


def usages(desk: Desk) -> list[tuple[int, int]]:
    """Units used and the limit, of all that landed, in order."""
    landed = desk.chain.landed.values()
    return [(item.outcome.units_consumed, limit_of(item)) for item in landed]


def paying(desk: Desk, world: TokenWorld, count: int) -> DistributionOrder:
    """An order to pay 10 tokens to each of `count` addresses."""
    recipients = tuple(address_of(number, "limits") for number in range(count))
    return DistributionOrder(
        desk.source_id, RecipientAddresses(recipients), 10 * count, EvenSplit(), world.mint
    )


async def sweep(desk: Desk, world: TokenWorld, count: int) -> ConsolidationOrder:
    """An order to gather what `count` sources hold in an account that is not there yet."""
    sources = await desk.wallets(count, 0)
    for _, address in sources:
        world.open(address, 5)
    (destination,) = await desk.wallets(1, 0, salt=1)
    ids = tuple(wallet_id for wallet_id, _ in sources)
    return ConsolidationOrder(ids, destination[0], desk.source_id, mint=world.mint)


@pytest.mark.parametrize(
    ("program", "fee"), [(TOKEN, False), (TOKEN_2022, False), (TOKEN_2022, True)]
)
async def test_token_transactions_keep_to_measured_limits(
    any_desk: Desk, program: str, fee: bool
) -> None:
    """Accounts made, memos, sweeps and closings: no transaction lacks units or asks for half as
    many again as it uses, although the search for an account's address takes as long as it takes.
    """
    desk = any_desk
    extensions = {FEE_CONFIG: fee_config(100, 5)} if fee else {}
    world = TokenWorld(desk.chain, program, 6, extensions)
    orders: list[Order] = [await sweep(desk, world, 12)]
    if not fee:
        world.open(desk.source_address, 10**6)
        if program == TOKEN_2022:
            world.open(address_of(2, "limits"), extensions={MEMO_TRANSFER: b"\1"})
        desk.chain.fund(Pubkey.from_string(world.account_of(address_of(5, "limits"))), 1)
        orders.append(paying(desk, world, 40))
    (other,) = await desk.wallets(1, 0, salt=2)
    for number in range(20):
        world.open(other[1], address=address_of(number, "aux"))
    orders.append(ClosingOrder((other[0],), desk.source_id))
    swept = 0
    for request, order in enumerate(orders, start=1):
        done = await desk.done(order, request)
        assert (done.state, done.last_error) == (DistributionState.COMPLETED, "")
        swept = swept or done.batch_count
    assert all(used <= limit for used, limit in usages(desk))
    # Of the sweeps only the first makes the account into which they go; each could be that one.
    assert all(limit <= 1.5 * used + 600 for used, limit in usages(desk)[swept:])


async def test_sol_transactions_keep_to_measured_limits(any_desk: Desk) -> None:
    """188 units for each transfer that uses 150, and 600 for what comes before them."""
    done = await any_desk.executed(62, TOTAL)
    assert done.state is DistributionState.COMPLETED
    counts = [20, 20, 20, 2] if done.version is TransactionVersion.LEGACY else [62]
    limits = sorted(map(limit_of, any_desk.chain.landed.values()))
    assert limits == sorted(600 + 188 * count for count in counts)


async def test_an_unfunded_source_is_planned_with_fixed_bounds(database: Database) -> None:
    """Its plan holds when it has been funded with what the plan requires, to the lamport."""
    with SvmRpc() as node:
        desk = await open_desk(database, node, 0, PlanningConfig(TransactionVersion.LEGACY, PRICE))
        planned = await desk.planned(25, TOTAL)
        assert planned.estimate.priority_fee_lamports == 66 + 21
        desk.chain.fund(Pubkey.from_string(desk.source_address), planned.estimate.required_lamports)
        await desk.workflows.execute(planned.id, planned.etag, b"session")
        await desk.engine.wait()
        done = await desk.workflows.get(planned.id)
        assert (done.state, desk.balance(desk.source_address)) == (DistributionState.COMPLETED, 0)
        await desk.close()


async def test_a_plan_that_cannot_work_is_refused_by_name(any_desk: Desk) -> None:
    """Lamports to a sysvar, which our own list of wallets has: the program, its error and the
    recipient are named; nothing is kept.
    """
    async with any_desk.database.transaction() as unit:
        clock_id = await unit.wallets.insert_imported(
            address=CLOCK, encrypted_private_key="sealed", key_group="group", ownership_tag="tag"
        )
    recipients = RecipientIds((clock_id, *[one for one, _ in await any_desk.wallets(2, 0)]))
    order = DistributionOrder(any_desk.source_id, recipients, TOTAL, EvenSplit())
    words = f"the System program: ReadonlyLamportChange .*to {CLOCK}"
    for call in (any_desk.workflows.plan, any_desk.workflows.estimate):
        with pytest.raises(PreconditionFailedError, match=words) as caught:
            await call(order)
        assert caught.value.reason == "TRANSACTION_REJECTED"
    assert (await any_desk.workflows.list_page()).items == []


WORTHLESS: list[object] = [
    {"err": None, "logs": None, "unitsConsumed": 0},
    {"err": None, "logs": None},
    {"err": None, "logs": [], "unitsConsumed": 2**64 - 1},
    {"err": "BlockhashNotFound", "logs": []},
    {"err": "SignatureFailure", "logs": []},
    {"err": {"InstructionError": [99, {"Custom": 6}]}, "logs": []},
    {"err": {"InsufficientFundsForRent": {"account_index": 0}}, "logs": []},
]


async def test_worthless_simulations_leave_the_fixed_bounds(desk: Desk) -> None:
    """Nodes that simulate nothing, lie, or fail for reasons of their own refuse no plan."""
    for value in WORTHLESS:
        answer = {"context": {"slot": 2_000}, "value": value}
        desk.node.faults.result("simulateTransaction", answer, times=None)
        plan = await desk.workflows.plan(desk.order(25, TOTAL))
        assert {item.move.compute_units for item in plan.transfers} == {300}
        desk.node.faults.clear()
    desk.node.faults.error("simulateTransaction", -32601, "Method not found", times=None)
    plan = await desk.workflows.plan(desk.order(25, TOTAL))
    assert {item.move.compute_units for item in plan.transfers} == {300}


async def test_a_node_that_is_behind_measures_nothing(desk: Desk) -> None:
    """An answer of before the readings may fail for what is not there yet: it is not believed."""
    stale = {
        "context": {"slot": 1},
        "value": {"err": {"InstructionError": [2, {"Custom": 6}]}, "logs": []},
    }
    desk.node.faults.result("simulateTransaction", stale, times=None)
    plan = await desk.workflows.plan(desk.order(25, TOTAL))
    assert {item.move.compute_units for item in plan.transfers} == {300}


REFUSALS = {
    "it cannot decode v1": (-32602, "failed to deserialize", TransactionVersion.LEGACY),
    "it simulates nothing": (-32601, "Method not found", TransactionVersion.LEGACY),
    "it is behind": (-32005, "Node is behind", None),
    "its budget is used up": (-32429, "too many requests", None),
    "it has an error": (-32603, "Internal error", None),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_chooses_legacy_and_an_outage_nothing(
    database: Database, svm_rpc: SvmRpc, name: str
) -> None:
    """Legacy is for nodes that say they do not know v1, not for those that say nothing of it."""
    code, message, version = REFUSALS[name]
    desk = await open_desk(database, svm_rpc, planning=PlanningConfig())
    desk.node.faults.error("simulateTransaction", code, message, times=None)
    if version is None:
        with pytest.raises(ChainUnavailableError):
            await desk.workflows.plan(desk.order(25, TOTAL))
    else:
        assert (await desk.workflows.plan(desk.order(25, TOTAL))).version is version
    await desk.close()


async def test_an_outage_chooses_no_format(database: Database, svm_rpc: SvmRpc) -> None:
    """Nothing is planned while simulations alone are not to be had; then v1 is."""
    desk = await open_desk(database, svm_rpc, planning=PlanningConfig())
    desk.node.faults.http_error("simulateTransaction", 429, times=None)
    with pytest.raises(ChainUnavailableError):
        await desk.workflows.plan(desk.order(25, TOTAL))
    desk.node.faults.clear()
    desk.node.faults.body("simulateTransaction", b"{}", times=None)
    with pytest.raises(ChainUnavailableError):
        await desk.workflows.plan(desk.order(25, TOTAL))
    desk.node.faults.clear()
    plan = await desk.workflows.plan(desk.order(25, TOTAL))
    assert plan.version is TransactionVersion.V1
    await desk.close()


RECENT = [
    ([], 5),
    ([0] * 150, 5),
    ([0] * 100 + [70] * 50, 5),
    ([0] * 74 + [70] * 76, 70),
    ([2**64 - 1] * 150, 1_000),
]


async def test_the_price_follows_what_landed(database: Database, svm_rpc: SvmRpc) -> None:
    """The median of recent prices between floor and cap, whatever a node claims; zeros count."""
    config = PlanningConfig(TransactionVersion.LEGACY, 5, 1_000)
    desk = await open_desk(database, svm_rpc, planning=config)
    for prices, expected in RECENT:
        recent = [{"slot": n, "prioritizationFee": price} for n, price in enumerate(prices)]
        desk.node.faults.result("getRecentPrioritizationFees", recent)
        plan = await desk.workflows.plan(desk.order(3, TOTAL))
        assert plan.compute_unit_price == expected
    await desk.close()


async def test_the_price_is_asked_for_contended_accounts(desk: Desk) -> None:
    """The payer and, of tokens, the account that is paid from or into, and the mint."""
    world = TokenWorld(desk.chain)
    gather = await sweep(desk, world, 2)
    world.open(desk.source_address, 10**6)
    asked: list[list[str]] = []
    into = ""
    for order in (desk.order(3, TOTAL), paying(desk, world, 3), gather):
        plan = await desk.workflows.plan(order)
        calls = [at for name, at in desk.node.calls if name == "getRecentPrioritizationFees"]
        asked.append(calls[-1][0])
        into = world.account_of(plan.destination[0]) if plan.destination else ""
    source = desk.source_address
    assert asked == [
        [source],
        [source, world.account_of(source), world.mint],
        [source, into, world.mint],
    ]


async def test_fees_with_a_price_are_the_estimate(any_desk: Desk) -> None:
    """Base and priority fee of accounts made and paid equal the estimate to the lamport."""
    desk = any_desk
    world = TokenWorld(desk.chain, TOKEN_2022)
    world.open(desk.source_address, 10**6)
    before = desk.balance(desk.source_address)
    done = await desk.done(paying(desk, world, 30))
    estimate = done.estimate
    assert done.state is DistributionState.COMPLETED
    assert estimate.priority_fee_lamports > 0
    assert before - desk.balance(desk.source_address) == estimate.required_lamports
    fees = estimate.base_fee_lamports + estimate.priority_fee_lamports
    assert done.fees_paid_lamports == fees
    assert done.receipts.matched == done.batch_count
    assert {item.outcome.fee_lamports > 5_000 for item in desk.chain.landed.values()} == {True}


async def test_too_much_data_is_found_when_the_plan_is_made(
    database: Database, svm_rpc: SvmRpc
) -> None:
    """The plan is simulated with the limit that is signed: a v1 one that would load more than
    64 KiB of wallets' data is refused, a legacy one, which says nothing of it, is carried out.
    """
    huge = address_of(7, "huge")
    account = Account(10**9, bytes(70_000), SYSTEM_PROGRAM, False, 0)
    svm_rpc.chain.svm.set_account(Pubkey.from_string(huge), account)
    for version in (TransactionVersion.V1, TransactionVersion.LEGACY):
        desk = await open_desk(database, svm_rpc, planning=PlanningConfig(version))
        order = DistributionOrder(
            desk.source_id, RecipientAddresses((address_of(1), huge)), TOTAL, EvenSplit()
        )
        if version is TransactionVersion.V1:
            with pytest.raises(PreconditionFailedError, match="more data") as caught:
                await desk.workflows.plan(order)
            assert caught.value.reason == "TRANSACTION_REJECTED"
        else:
            assert (await desk.done(order)).state is DistributionState.COMPLETED
        await desk.close()
