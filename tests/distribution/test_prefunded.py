"""Lamports that anybody sent ahead to where a token account is to be made."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from solders.account import Account
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.rent import Rent
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import TransactionMetadata

from gateway.adapters.solana_tx import SoldersTransactions
from gateway.domain.orders import ConsolidationOrder, DistributionOrder, RecipientAddresses
from gateway.domain.packing import TransactionVersion
from gateway.domain.plans import Asset, Distribution
from gateway.domain.ports import ComputeBudget
from gateway.domain.splits import EvenSplit
from gateway.domain.states import BatchState, DistributionState
from gateway.domain.token_planner import Holder, creation
from gateway.domain.token_programs import NATIVE_MINT, TOKEN, TOKEN_2022
from tests.distribution.checks import assert_as_estimated
from tests.distribution.support import TOKEN as SESSION
from tests.distribution.support import Desk
from tests.distribution.tokens import TokenWorld
from tests.postgres.samples import address_of

RENT = 1_488_440  # of 165 bytes, as SPL Token has them
FLOOR = 650_240
EACH = 10
SOME = [0, 1, RENT - 1, RENT, RENT + 7]
PER_TRANSACTION = {TransactionVersion.LEGACY: 7, TransactionVersion.V1: 8}


def recipient(number: int) -> str:
    """Somebody who has no account yet."""
    return address_of(number, "ahead")


def set_ahead(desk: Desk, world: TokenWorld, lamports: Sequence[int]) -> None:
    """Sets what is held where each recipient's account is to be made."""
    for number, amount in enumerate(lamports):
        address = world.account_of(recipient(number))
        desk.chain.fund(Pubkey.from_string(address), amount - desk.balance(address))


def paying(desk: Desk, world: TokenWorld, count: int) -> DistributionOrder:
    """An order to pay `count` recipients the same."""
    addresses = RecipientAddresses(tuple(map(recipient, range(count))))
    return DistributionOrder(desk.source_id, addresses, EACH * count, EvenSplit(), world.mint)


def assert_all_paid(world: TokenWorld, count: int) -> None:
    """Everybody has what was planned."""
    assert [world.amount(recipient(number)) for number in range(count)] == [EACH] * count


async def executed(desk: Desk, planned: Distribution) -> Distribution:
    """Executes a plan to the end of its run."""
    await desk.workflows.execute(planned.id, planned.etag, SESSION)
    await desk.engine.wait()
    return await desk.workflows.get(planned.id)


@pytest.mark.parametrize("program", [TOKEN, TOKEN_2022])
@pytest.mark.parametrize("held", [*SOME, 2 * RENT])
def test_the_trace_is_what_the_machine_says(program: str, held: int) -> None:
    """Making an account takes as many entries of the instruction trace as are reckoned with."""
    svm = LiteSVM()
    svm.set_rent(Rent.with_lamports_per_byte(5080))
    world = TokenWorld(type("Chain", (), {"svm": svm})(), program)
    payer = Keypair()
    svm.airdrop(payer.pubkey(), 10**10)
    account = Pubkey.from_string(world.account_of(recipient(1)))
    if held:
        svm.set_account(account, Account(held, b"", Pubkey.default(), False, 0))
    rent = svm.minimum_balance_for_rent_exemption(165 if program == TOKEN else 170)
    holder = Holder(recipient(1), str(account), None, held_lamports=held)
    asset = Asset(world.mint, program, world.decimals)
    step = creation(str(payer.pubkey()), holder, asset, holder.missing_lamports(rent))
    wire = SoldersTransactions().compile(
        TransactionVersion.LEGACY,
        str(payer.pubkey()),
        [step],
        str(svm.latest_blockhash()),
        ComputeBudget(0, 0),
    )
    message = VersionedTransaction.from_bytes(wire).message
    before = svm.get_balance(payer.pubkey()) or 0
    result = svm.send_transaction(VersionedTransaction(message, [payer]))
    assert isinstance(result, TransactionMetadata)
    (inner,) = result.inner_instructions()
    assert 1 + len(inner) == step.trace_entries
    assert before - (svm.get_balance(payer.pubkey()) or 0) == 5_000 + holder.missing_lamports(rent)


@pytest.mark.parametrize("ahead", ["some", "all"])
async def test_the_plan_is_what_happens(any_desk: Desk, ahead: str) -> None:
    """30 recipients, some or all with lamports ahead: so many transactions as planned, none fails,
    and fees and rent are the estimate to the lamport.
    """
    desk = any_desk
    world = TokenWorld(desk.chain)
    world.open(desk.source_address, 10**6)
    lamports = [SOME[n % 5] if ahead == "some" else 1 for n in range(30)]
    set_ahead(desk, world, lamports)
    before = desk.balance(desk.source_address)
    done = await desk.done(paying(desk, world, 30))

    assert (done.state, done.last_error) == (DistributionState.COMPLETED, "")
    assert_all_paid(world, 30)
    assert done.batch_count == len(desk.chain.landed)
    if ahead == "all":
        assert done.batch_count == -(-30 // PER_TRANSACTION[done.version])
    assert done.estimate.rent_lamports == sum(max(0, RENT - held) for held in lamports)
    assert done.estimate.new_account_count == 30
    assert before - desk.balance(desk.source_address) == done.estimate.required_lamports
    assert_as_estimated(done)


async def test_lamports_sent_after_the_plan_was_made(any_desk: Desk) -> None:
    """The transactions are too long then and are halved; all are paid, and all records match."""
    desk = any_desk
    for request, program in enumerate((TOKEN, TOKEN_2022), start=1):
        world = TokenWorld(desk.chain, program)
        world.open(desk.source_address, 10**6)
        planned = await desk.workflows.create(str(UUID(int=request)), paying(desk, world, 30))
        set_ahead(desk, world, [1 + n % 2 * RENT for n in range(30)])
        done = await executed(desk, planned)
        assert (done.state, done.tally.transfers) == (
            DistributionState.COMPLETED,
            {BatchState.FINALIZED: 30},
        )
        assert_all_paid(world, 30)
        assert done.receipts.matched == done.tally.batches[BatchState.FINALIZED]
        assert done.paid.fee_lamports + done.paid.rent_lamports <= done.estimate.maximum_lamports
        assert done.paid.rent_lamports < done.estimate.rent_lamports


async def test_lamports_that_are_gone_again(desk: Desk) -> None:
    """Who makes the account and closes it takes them back: it costs what it costs, and no more than
    the estimate's maximum.
    """
    world = TokenWorld(desk.chain)
    world.open(desk.source_address, 10**6)
    set_ahead(desk, world, [RENT] * 12)
    planned = await desk.workflows.create(str(UUID(int=1)), paying(desk, world, 12))
    assert planned.estimate.rent_lamports == 0
    set_ahead(desk, world, [0] * 12)
    done = await executed(desk, planned)
    assert (done.state, done.receipts.matched) == (DistributionState.COMPLETED, done.batch_count)
    assert done.paid.rent_lamports == 12 * RENT
    assert done.paid.fee_lamports + done.paid.rent_lamports <= done.estimate.maximum_lamports


async def test_wrapped_sol_keeps_what_was_sent_ahead(desk: Desk) -> None:
    """On top of the rent it is the recipient's from the start: the record matches."""
    world = TokenWorld(desk.chain, decimals=9, mint=NATIVE_MINT)
    account = world.open(desk.source_address, 10**6, native=True)
    desk.chain.fund(Pubkey.from_string(account), 10**6)
    set_ahead(desk, world, SOME)
    done = await desk.done(paying(desk, world, 5))
    assert done.state is DistributionState.COMPLETED
    assert [world.amount(recipient(number)) for number in range(5)] == [10, 10, 10, 10, 17]
    assert_as_estimated(done)


async def test_money_is_weighed_account_by_account(desk: Desk) -> None:
    """A source funded to the lamport for accounts of which each costs something else pays all; one
    that would be left with less than an account may hold, on the way or in the end, signs nothing.
    """
    world = TokenWorld(desk.chain)
    world.open(desk.source_address, 10**6)
    source = Pubkey.from_string(desk.source_address)
    # Two transactions, the second of accounts that cost nothing: only the fee is left for it.
    set_ahead(desk, world, [0] * 9 + [RENT] * 7)
    planned = await desk.workflows.create(str(UUID(int=1)), paying(desk, world, 16))
    required = 9 * RENT + 2 * 5_000
    assert (planned.batch_count, planned.estimate.required_lamports) == (2, required)
    for left in (0, 1, FLOOR - 1):
        desk.chain.fund(source, required + left - desk.balance(desk.source_address))
        found = await executed_short(desk, planned)
        assert "less than the rent floor" in found.last_error
    desk.chain.fund(source, required + FLOOR - desk.balance(desk.source_address))
    assert (await executed(desk, planned)).state is DistributionState.COMPLETED
    assert desk.balance(desk.source_address) == FLOOR

    # The same the other way round: what nobody sent ahead is dear, all of them are enough.
    other = TokenWorld(desk.chain)
    other.open(desk.source_address, 10**6)
    set_ahead(desk, other, [RENT] * 6 + [0] * 10)
    planned = await desk.workflows.create(str(UUID(int=2)), paying(desk, other, 16))
    required = planned.estimate.required_lamports
    assert required == 10 * RENT + 5_000 * planned.batch_count
    desk.chain.fund(source, required - desk.balance(desk.source_address))
    done = await executed(desk, planned)
    assert (done.state, done.last_error) == (DistributionState.COMPLETED, "")
    assert desk.balance(desk.source_address) == 0


async def executed_short(desk: Desk, planned: Distribution) -> Distribution:
    """Executes a plan whose payer is short: it is paused, and nothing is signed."""
    held = desk.balance(desk.source_address)
    desk.chain.fund(Pubkey.from_string(desk.source_address), 10**9)
    await desk.workflows.execute(planned.id, planned.etag, SESSION)
    desk.chain.fund(Pubkey.from_string(desk.source_address), -(10**9))
    assert desk.balance(desk.source_address) == held
    await desk.engine.wait()
    found = await desk.workflows.get(planned.id)
    assert found.state is DistributionState.PAUSED
    assert desk.signer.items == []
    return found


@pytest.mark.parametrize("held", SOME)
async def test_a_receiving_account_with_lamports_ahead(any_desk: Desk, held: int) -> None:
    """A consolidation makes it for what it lacks, and its payer is weighed with that."""
    desk = any_desk
    world = TokenWorld(desk.chain)
    sources = await desk.wallets(12, 0)
    for _, address in sources:
        world.open(address, 5)
    (destination,) = await desk.wallets(1, 0, salt=1)
    account = Pubkey.from_string(world.account_of(destination[1]))
    if held:
        desk.chain.fund(account, held)
    ids = tuple(wallet_id for wallet_id, _ in sources)
    order = ConsolidationOrder(ids, destination[0], desk.source_id, mint=world.mint)
    planned = await desk.workflows.create(str(UUID(int=1)), order)
    required = planned.estimate.required_lamports
    assert planned.estimate.rent_lamports == max(0, RENT - held)
    payer = Pubkey.from_string(desk.source_address)
    desk.chain.fund(payer, required + FLOOR - 1 - desk.balance(desk.source_address))
    await executed_short(desk, planned)
    desk.chain.fund(payer, 1)
    done = await executed(desk, planned)
    assert (done.state, world.amount(destination[1])) == (DistributionState.COMPLETED, 60)
    gained = desk.balance(desk.source_address) - required - FLOOR
    assert gained == done.estimate.refund_lamports - required
    assert_as_estimated(done)
