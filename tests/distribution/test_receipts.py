"""Receipts: the chain's record against the plan, to the unit, and whatever a record may say."""

import dataclasses
from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.amounts import U64_MAX
from gateway.domain.attempts import LandedAttempt, Receipt
from gateway.domain.history import TokenReading, TransactionDetails
from gateway.domain.instructions import Instruction
from gateway.domain.orders import (
    ConsolidationOrder,
    DistributionOrder,
    RecipientAddresses,
    TransferFee,
)
from gateway.domain.plans import Receipts
from gateway.domain.reconciliation import compare
from gateway.domain.splits import EvenSplit
from gateway.domain.states import DistributionState
from gateway.domain.token_programs import TOKEN_2022
from gateway.workflows import distribution_receipts
from tests.distribution.checks import TOTAL, assert_as_estimated
from tests.distribution.support import Desk
from tests.distribution.tokens import FEE_CONFIG, MEMO_TRANSFER, TokenWorld, fee_config
from tests.postgres.samples import address_of

Record = tuple[LandedAttempt, Sequence[str], TransactionDetails]


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    """Everything that is compared during the test."""
    seen: list[Record] = []

    def spy(attempt: LandedAttempt, accounts: Sequence[str], landed: TransactionDetails) -> Receipt:
        seen.append((attempt, accounts, landed))
        return compare(attempt, accounts, landed)

    monkeypatch.setattr(distribution_receipts, "compare", spy)
    return seen


def altered(landed: TransactionDetails) -> list[TransactionDetails]:
    """Every record that differs from this one in one number, account or token."""
    found = [
        dataclasses.replace(landed, error="InstructionError"),
        dataclasses.replace(landed, fee_lamports=landed.fee_lamports + 1),
        dataclasses.replace(landed, keys=[*landed.keys[1:], landed.keys[0]]),
    ]
    for at in range(len(landed.keys)):
        for change in (1, -1):
            after = [*landed.post_balances]
            after[at] += change
            found.append(dataclasses.replace(landed, post_balances=after))
    for at, token in enumerate(landed.post_tokens):
        others = [*landed.post_tokens[:at], *landed.post_tokens[at + 1 :]]
        more = dataclasses.replace(token, amount=token.amount + 1)
        foreign = dataclasses.replace(token, mint=address_of(1, "mint"))
        found += [
            dataclasses.replace(landed, post_tokens=tokens)
            for tokens in (others, [*others, more], [*others, foreign])
        ]
    found += [
        dataclasses.replace(
            landed, pre_tokens=[*landed.pre_tokens[:at], *landed.pre_tokens[at + 1 :]]
        )
        for at in range(len(landed.pre_tokens))
    ]
    return found


def assert_nothing_hides(records: list[Record]) -> None:
    """The record matches, and not one other does."""
    for attempt, accounts, landed in records:
        assert compare(attempt, accounts, landed).verdict == "matched"
        for other in altered(landed):
            assert compare(attempt, accounts, other).verdict.startswith("differs: ")


async def test_a_payout_of_a_token_with_a_fee(desk: Desk, records: list[Record]) -> None:
    """Accounts made, memos, fees withheld: every lamport and unit is accounted for."""
    world = TokenWorld(desk.chain, TOKEN_2022, 6, {FEE_CONFIG: fee_config(250, 10**6)})
    world.open(desk.source_address, 10**9)
    world.open(address_of(1, "pay"), 5, extensions={MEMO_TRANSFER: b"\1"})
    recipients = RecipientAddresses(tuple(address_of(n, "pay") for n in range(3)))
    order = DistributionOrder(
        desk.source_id,
        recipients,
        3_000,
        EvenSplit(),
        world.mint,
        transfer_fee=TransferFee.RECIPIENT,
    )
    assert_as_estimated(await desk.done(order))
    assert_nothing_hides(records)


async def test_a_consolidation_of_a_token(desk: Desk, records: list[Record]) -> None:
    """The receiving account is made by whoever is first, the emptied ones give their rent back."""
    world = TokenWorld(desk.chain)
    sources = await desk.wallets(8, 0)
    for number, (_, address) in enumerate(sources):
        world.open(address, 5 + number, excess_lamports=number)
    (destination,) = await desk.wallets(1, 0, salt=1)
    ids = tuple(wallet_id for wallet_id, _ in sources)
    order = ConsolidationOrder(ids, destination[0], desk.source_id, mint=world.mint)
    done = await desk.done(order)
    assert_as_estimated(done)
    assert [2, 2] == [done.batch_count, len(records)]
    assert_nothing_hides(records)
    for attempt, accounts, landed in records:
        # Surfpool goes on listing what was closed, as it was before.
        gone = [one for one in landed.pre_tokens if not landed.post_balances[one.account_index]]
        assert gone
        listing = dataclasses.replace(landed, post_tokens=[*landed.post_tokens, *gone])
        assert compare(attempt, accounts, listing).verdict == "matched"


async def test_a_payout_of_sol(desk: Desk, records: list[Record]) -> None:
    """Amounts and the fee, of every account, the System program's included."""
    assert_as_estimated(await desk.executed(3, TOTAL))
    assert_nothing_hides(records)


async def test_an_account_that_somebody_made_first(desk: Desk) -> None:
    """It costs no rent then: the record matches, and what was paid is less than estimated."""
    world = TokenWorld(desk.chain)
    world.open(desk.source_address, 10**9)
    recipients = RecipientAddresses(tuple(address_of(n, "pay") for n in range(2)))
    order = DistributionOrder(desk.source_id, recipients, 200, EvenSplit(), world.mint)
    planned = await desk.workflows.create(str(UUID(int=1)), order)
    world.open(address_of(0, "pay"))
    await desk.workflows.execute(planned.id, planned.etag, b"session")
    await desk.engine.wait()
    done = await desk.workflows.get(planned.id)
    assert (done.state, done.receipts) == (DistributionState.COMPLETED, Receipts(matched=1))
    assert done.paid.rent_lamports * 2 == done.estimate.rent_lamports


async def test_a_record_that_differs_is_shown(desk: Desk) -> None:
    """A lying or broken record decides nothing: paid is paid, and the difference is listed."""
    real = desk.rpc.get_transaction_details

    async def lying(signature: str) -> TransactionDetails | None:
        found = await real(signature)
        return found and dataclasses.replace(
            found,
            post_balances=[found.post_balances[0] - 7, *found.post_balances[1:]],
            slot=U64_MAX,
        )

    desk.rpc.get_transaction_details = lying  # type: ignore[method-assign]  # a lie
    done = await desk.executed(3, TOTAL)
    assert (done.state, done.receipts) == (DistributionState.COMPLETED, Receipts(differing=1))
    page, _ = await desk.workflows.list_transfers(done.id)
    assert page.items[0].receipt.startswith(f"differs: {desk.source_address} changed by ")


async def test_an_outage_spoils_no_receipt(desk: Desk) -> None:
    """While no node can be asked, a record is waited for; then it matches."""
    desk.node.faults.error("getTransaction", -32005, "Node is unhealthy", times=40)
    done = await desk.executed(3, TOTAL)
    assert (DistributionState.COMPLETED, Receipts(matched=1)) == (done.state, done.receipts)


async def test_a_record_that_comes_late_is_compared(desk: Desk) -> None:
    """What no node had is asked for again by the sweep, later and later, and matches then."""
    real = desk.rpc.get_transaction_details

    async def forgotten(signature: str) -> TransactionDetails | None:
        return None

    desk.rpc.get_transaction_details = forgotten  # type: ignore[method-assign]  # no node has it
    done = await desk.executed(3, TOTAL)
    assert (DistributionState.COMPLETED, Receipts(unavailable=1)) == (done.state, done.receipts)
    desk.rpc.get_transaction_details = real  # type: ignore[method-assign]  # as it was
    async with desk.database.read() as unit:
        assert [] == await unit.distributions.unsettled()
    async with desk.database.transaction() as unit:
        await unit.connection.execute(
            "UPDATE attempts SET receipt_due_at = receipt_due_at - interval '61 seconds'"
        )
    async with desk.database.read() as unit:
        assert [done.id] == await unit.distributions.unsettled()
    desk.engine.start(done.id, b"")
    await desk.engine.wait()
    mended = await desk.workflows.get(done.id)
    assert Receipts(matched=1) == mended.receipts
    assert mended.paid.fee_lamports == mended.fees_paid_lamports > 0
    async with desk.database.read() as unit:
        assert [] == await unit.distributions.unsettled()


async def test_an_instruction_that_is_not_understood(desk: Desk, records: list[Record]) -> None:
    """Whoever adds one to plans adds it here: nothing is taken for matched unread."""
    await desk.executed(1, TOTAL)
    ((attempt, accounts, landed),) = records
    unknown = dataclasses.replace(attempt, prologue=[Instruction(address_of(5), (), b"\1")])
    assert "is not understood" in compare(unknown, accounts, landed).verdict


numbers = st.integers(0, U64_MAX)


@given(st.data())
def test_any_record_gives_a_verdict(data: st.DataObject) -> None:
    """Whatever numbers a node sends, the comparison says something and does not fail.

    The slot is what the record says: that it fits its column is PostgreSQL's affair, and shown by
    test_a_record_that_differs_is_shown.
    """
    keys = [address_of(n, "key") for n in range(4)]
    tokens = st.lists(
        st.builds(
            TokenReading,
            account_index=st.integers(0, 3),
            mint=st.sampled_from(keys),
            owner=st.just(""),
            amount=numbers,
            decimals=st.just(6),
        ),
        unique_by=lambda token: token.account_index,
    )
    balances = st.lists(numbers, min_size=4, max_size=4)
    landed = data.draw(
        st.builds(
            TransactionDetails,
            slot=numbers,
            block_time_s=st.none(),
            version=st.just("legacy"),
            keys=st.just(keys),
            error=st.just(""),
            fee_lamports=st.just(5),
            pre_balances=balances,
            post_balances=balances,
            pre_tokens=tokens,
            post_tokens=tokens,
        )
    )
    receipt = compare(LandedAttempt("s", b"", 5, []), keys, landed)
    assert receipt.verdict == "matched" or receipt.verdict.startswith("differs: ")
    assert receipt.slot == landed.slot
