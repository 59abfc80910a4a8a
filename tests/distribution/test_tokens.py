"""Payouts and consolidations of tokens on the SVM: every unit arrives, or is refused in advance."""

from uuid import UUID

import pytest

from gateway.domain.errors import GatewayError, PreconditionFailedError
from gateway.domain.orders import (
    ConsolidationOrder,
    DistributionOrder,
    RecipientAddresses,
    TransferFee,
)
from gateway.domain.packing import TransactionVersion
from gateway.domain.splits import EvenSplit
from gateway.domain.states import DistributionState
from gateway.domain.token_planner import DEFAULT_MEMO
from gateway.domain.token_programs import TOKEN, TOKEN_2022
from tests.distribution.checks import assert_as_estimated
from tests.distribution.support import Desk
from tests.distribution.tokens import (
    CONFIDENTIAL_ACCOUNT,
    CONFIDENTIAL_MINT,
    CONFIDENTIAL_TERMS,
    CPI_GUARD,
    DEFAULT_STATE,
    FEE_AMOUNT,
    FEE_CONFIG,
    MEMO_TRANSFER,
    NON_TRANSFERABLE,
    PAUSABLE,
    TRANSFER_HOOK,
    TokenWorld,
    confidential,
    fee_config,
)
from tests.postgres.samples import address_of

V1 = TransactionVersion.V1


def payout(
    desk: Desk,
    world: TokenWorld,
    count: int,
    total: int,
    fee: TransferFee = TransferFee.UNSTATED,
) -> DistributionOrder:
    """An order to pay `count` addresses evenly."""
    recipients = RecipientAddresses(tuple(address_of(n, "token") for n in range(count)))
    return DistributionOrder(desk.source_id, recipients, total, EvenSplit(), world.mint, fee)


def received(world: TokenWorld, count: int) -> list[int]:
    """What the recipients hold."""
    return [world.amount(address_of(n, "token")) for n in range(count)]


@pytest.mark.parametrize(("program", "decimals"), [(TOKEN, 0), (TOKEN, 9), (TOKEN_2022, 6)])
async def test_accounts_are_made_and_paid(any_desk: Desk, program: str, decimals: int) -> None:
    """Recipients without an account get one; the cost is the estimate to the lamport."""
    desk = any_desk
    world = TokenWorld(desk.chain, program, decimals)
    world.open(desk.source_address, 2**64 - 1)
    before = desk.balance(desk.source_address)
    done = await desk.done(payout(desk, world, 12, 2**64 - 1))

    assert (done.state, done.asset.decimals) == (DistributionState.COMPLETED, decimals)
    per_transaction = 10 if done.version is V1 else 9
    assert done.batch_count == -(-12 // per_transaction)
    assert sum(received(world, 12)) == 2**64 - 1 == done.tally.finalized_amount
    assert world.amount(desk.source_address) == 0
    paid = before - desk.balance(desk.source_address)
    assert paid == done.estimate.required_lamports
    assert done.estimate.new_account_count == 12
    assert done.fees_paid_lamports + done.estimate.rent_lamports == paid
    assert_as_estimated(done)


async def test_accounts_that_exist(any_desk: Desk) -> None:
    """19 transfers fit a legacy transaction, 60 a v1 one."""
    desk = any_desk
    world = TokenWorld(desk.chain)
    world.open(desk.source_address, 10**9)
    for number in range(60):
        world.open(address_of(number, "token"), 1)
    done = await desk.done(payout(desk, world, 60, 60))
    assert done.state is DistributionState.COMPLETED
    assert done.batch_count == (1 if done.version is V1 else 4)
    assert received(world, 60) == [2] * 60
    assert done.estimate.rent_lamports == 0


@pytest.mark.parametrize("fee", [TransferFee.RECIPIENT, TransferFee.SOURCE])
async def test_transfer_fees_are_borne_as_stated(any_desk: Desk, fee: TransferFee) -> None:
    """The recipients get the total less the fee, or exactly the total, as the order says."""
    desk = any_desk
    world = TokenWorld(desk.chain, TOKEN_2022, 6, {FEE_CONFIG: fee_config(250, 10**6)})
    world.open(desk.source_address, 10**9)
    done = await desk.done(payout(desk, world, 7, 1_000_003, fee))
    assert done.state is DistributionState.COMPLETED
    got = sum(received(world, 7))
    spent = 10**9 - world.amount(desk.source_address)
    assert spent == done.total_amount
    assert spent - got == done.estimate.withheld_amount > 0
    assert 1_000_003 == (got if fee is TransferFee.SOURCE else spent)
    assert_as_estimated(done)


async def test_required_memos_precede_their_transfers(any_desk: Desk) -> None:
    """A recipient whose account requires a memo gets one; the others do not."""
    desk = any_desk
    world = TokenWorld(desk.chain, TOKEN_2022)
    world.open(desk.source_address, 10**9)
    world.open(address_of(1, "token"), extensions={MEMO_TRANSFER: b"\1"})
    done = await desk.done(payout(desk, world, 3, 300))
    assert done.state is DistributionState.COMPLETED
    assert received(world, 3) == [100, 100, 100]
    assert_as_estimated(done)


async def test_a_consolidation_into_an_account_that_requires_memos(any_desk: Desk) -> None:
    """Each transfer has its memo, "payout", and arrives; the accounts are closed as ever."""
    desk = any_desk
    world = TokenWorld(desk.chain, TOKEN_2022)
    sources = await desk.wallets(8, 0)
    for _, address in sources:
        world.open(address, 5)
    (destination,) = await desk.wallets(1, 0, salt=1)
    world.open(destination[1], extensions={MEMO_TRANSFER: b"\1"})
    ids = tuple(wallet_id for wallet_id, _ in sources)
    done = await desk.done(ConsolidationOrder(ids, destination[0], desk.source_id, mint=world.mint))
    assert done.state is DistributionState.COMPLETED
    assert world.amount(destination[1]) == 40
    assert not any(world.exists(world.account_of(address)) for _, address in sources)
    signed = b"".join(item.transaction for item in desk.signer.items)
    assert signed.count(DEFAULT_MEMO.encode()) == 8
    assert_as_estimated(done)


async def test_accounts_of_a_freezing_mint_that_are_thawed(desk: Desk) -> None:
    """A mint that freezes new accounts is no hindrance where none has to be made."""
    world = TokenWorld(desk.chain, TOKEN_2022, 6, {DEFAULT_STATE: b"\2"})
    world.open(desk.source_address, 10**9)
    for number in range(3):
        world.open(address_of(number, "token"))
    done = await desk.done(payout(desk, world, 3, 300))
    assert done.state is DistributionState.COMPLETED
    assert received(world, 3) == [100, 100, 100]
    assert_as_estimated(done)


REFUSED = [
    ({NON_TRANSFERABLE: b""}, "non-transferable"),
    ({TRANSFER_HOOK: bytes(32) + b"\1" * 32}, "transfer hook"),
    ({PAUSABLE: bytes(32) + b"\1"}, "paused"),
    ({DEFAULT_STATE: b"\2"}, "freezes new accounts"),
    ({FEE_CONFIG: fee_config(100, 5)}, "say who bears it"),
]


@pytest.mark.parametrize(("extensions", "reason"), REFUSED)
async def test_what_cannot_be_moved_is_refused(
    desk: Desk, extensions: dict[int, bytes], reason: str
) -> None:
    """Mints whose tokens do not move are refused with the reason, and nothing is signed."""
    world = TokenWorld(desk.chain, TOKEN_2022, 6, extensions)
    world.open(desk.source_address, 10**9)
    with pytest.raises(GatewayError, match=reason):
        await desk.workflows.plan(payout(desk, world, 2, 100))
    assert desk.signer.items == []


async def test_accounts_that_cannot_send_or_receive_are_refused(desk: Desk) -> None:
    """Frozen accounts, no tokens, too few, no such mint: each is refused with the reason."""
    world = TokenWorld(desk.chain)
    with pytest.raises(PreconditionFailedError, match="no account of this token"):
        await desk.workflows.plan(payout(desk, world, 2, 100))
    world.open(desk.source_address, 99)
    with pytest.raises(PreconditionFailedError, match="holds 99") as caught:
        await desk.workflows.plan(payout(desk, world, 2, 100))
    assert caught.value.reason == "INSUFFICIENT_FUNDS"
    world.open(address_of(1, "token"), state=2)
    with pytest.raises(PreconditionFailedError, match=f"{address_of(1, 'token')} is frozen"):
        await desk.workflows.plan(payout(desk, world, 2, 50))
    world.open(desk.source_address, 100, state=2)
    with pytest.raises(PreconditionFailedError, match="frozen"):
        await desk.workflows.plan(payout(desk, world, 1, 50))
    no_mint = DistributionOrder(
        desk.source_id, RecipientAddresses((address_of(1),)), 1, EvenSplit(), address_of(2)
    )
    with pytest.raises(GatewayError, match="no such mint"):
        await desk.workflows.plan(no_mint)
    account = world.account_of(desk.source_address)
    to_account = DistributionOrder(
        desk.source_id, RecipientAddresses((account,)), 1, EvenSplit(), world.mint
    )
    with pytest.raises(GatewayError, match="name its owner"):
        await desk.workflows.plan(to_account)


async def test_accounts_that_take_confidential_transfers_only(desk: Desk) -> None:
    """A recipient's or receiver's that switched plain ones off is refused by name; one that did not
    is paid, and so is one with a CPI guard, which hinders no transfer but another program's.
    """
    world = TokenWorld(desk.chain, TOKEN_2022, 6, {CONFIDENTIAL_MINT: CONFIDENTIAL_TERMS})
    world.open(desk.source_address, 100, extensions={CPI_GUARD: b"\1"})
    closed = {CONFIDENTIAL_ACCOUNT: confidential(plain_credits=False)}
    words = f"{address_of(1, 'token')} takes confidential transfers only"
    world.open(address_of(0, "token"), extensions={CPI_GUARD: b"\1"})
    world.open(address_of(1, "token"), extensions=closed)
    with pytest.raises(PreconditionFailedError, match=words) as caught:
        await desk.workflows.plan(payout(desk, world, 3, 90))
    assert caught.value.field == "recipients"
    giver, receiver = await desk.wallets(2, 0)
    world.open(giver[1], 1)
    world.open(receiver[1], extensions=closed)
    gather = ConsolidationOrder((giver[0],), receiver[0], desk.source_id, mint=world.mint)
    with pytest.raises(PreconditionFailedError, match="confidential transfers only"):
        await desk.workflows.plan(gather)

    opened = {CONFIDENTIAL_ACCOUNT: confidential(plain_credits=True)}
    world.open(address_of(1, "token"), extensions=opened)
    done = await desk.done(payout(desk, world, 3, 60))
    assert (done.state, received(world, 3)) == (DistributionState.COMPLETED, [20, 20, 20])
    planned = await desk.workflows.create(str(UUID(int=2)), payout(desk, world, 3, 30))
    world.open(address_of(1, "token"), extensions=closed)
    await desk.workflows.execute(planned.id, planned.etag, b"session")
    await desk.engine.wait()
    assert received(world, 3) == [30, 0, 30]  # the token program refuses it, as was foreseen


@pytest.mark.parametrize("fee", [False, True])
async def test_consolidation_closes_what_it_empties(any_desk: Desk, fee: bool) -> None:
    """All tokens arrive less the fee, the accounts are gone and their rent is the payer's."""
    desk = any_desk
    extensions = {FEE_CONFIG: fee_config(100, 50)} if fee else {}
    world = TokenWorld(desk.chain, TOKEN_2022 if fee else TOKEN, 6, extensions)
    sources = await desk.wallets(13, 0)
    for number, (_, address) in enumerate(sources):
        withheld = {FEE_AMOUNT: (7).to_bytes(8, "little")} if fee and number == 3 else {}
        world.open(address, 1_000 + number, extensions=withheld)
    (destination,) = await desk.wallets(1, 0, salt=1)
    world.open(destination[1])
    before = desk.balance(desk.source_address)
    ids = tuple(wallet_id for wallet_id, _ in sources)
    done = await desk.done(ConsolidationOrder(ids, destination[0], desk.source_id, mint=world.mint))

    assert done.state is DistributionState.COMPLETED
    if not fee:
        assert done.batch_count == (2 if done.version is V1 else 3)
    total = sum(1_000 + number for number in range(13))
    assert world.amount(destination[1]) == total - done.estimate.withheld_amount
    assert not any(world.exists(world.account_of(address)) for _, address in sources)
    gained = desk.balance(desk.source_address) - before
    assert gained == done.estimate.refund_lamports - done.fees_paid_lamports
    assert_as_estimated(done)


async def test_the_receiving_account_is_made(desk: Desk) -> None:
    """Every transaction can make the destination's account, for any of them may be the first."""
    world = TokenWorld(desk.chain)
    sources = await desk.wallets(8, 0)
    for _, address in sources:
        world.open(address, 5)
    (destination,) = await desk.wallets(1, 0, salt=1)
    frozen = await desk.wallets(1, 0, salt=2)
    world.open(frozen[0][1], 5, state=2)
    before = desk.balance(desk.source_address)
    order = ConsolidationOrder(
        tuple(wallet_id for wallet_id, _ in [*sources, *frozen]),
        destination[0],
        desk.source_id,
        mint=world.mint,
    )
    done = await desk.done(order)
    assert done.state is DistributionState.COMPLETED
    assert world.amount(destination[1]) == 40
    assert [skip.reason for skip in done.skips] == ["frozen"]
    gained = desk.balance(desk.source_address) - before
    estimate = done.estimate
    assert gained == estimate.refund_lamports - done.fees_paid_lamports - estimate.rent_lamports
    assert UUID(int=0) not in done.unlock_wallet_ids
    assert_as_estimated(done)
