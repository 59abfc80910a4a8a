"""A source that runs dry: the distribution pauses, nothing is signed, and money lets it go on."""

from uuid import UUID

import pytest
from solders.account import Account
from solders.pubkey import Pubkey

from gateway.adapters.postgres import Database
from gateway.domain import sweep_packing
from gateway.domain.orders import (
    ConsolidationOrder,
    DistributionOrder,
    FeePayment,
    RecipientAddresses,
)
from gateway.domain.plans import Distribution
from gateway.domain.splits import EvenSplit
from gateway.domain.states import BatchState, DistributionState
from tests.distribution.checks import TOTAL, assert_paid_once, sends
from tests.distribution.support import TOKEN, Desk, open_desk
from tests.distribution.tokens import TokenWorld
from tests.postgres.samples import address_of
from tests.support.svm_rpc import SvmRpc

HELD = 10**7


def hold(desk: Desk, address: str, lamports: int) -> None:
    """Sets what an address holds."""
    desk.chain.fund(Pubkey.from_string(address), lamports - desk.balance(address))


def spend_tokens(desk: Desk, account: str, amount: int) -> None:
    """Sets what a token account holds, all else as it is."""
    key = Pubkey.from_string(account)
    found = desk.chain.svm.get_account(key)
    assert found is not None
    data = found.data[:64] + amount.to_bytes(8, "little") + found.data[72:]
    changed = Account(found.lamports, data, found.owner, executable=False, rent_epoch=0)
    desk.chain.svm.set_account(key, changed)


async def again(desk: Desk, found: Distribution) -> Distribution:
    """Executes once more, to the run's end."""
    await desk.workflows.execute(found.id, found.etag, TOKEN)
    await desk.engine.wait()
    return await desk.workflows.get(found.id)


async def paused(desk: Desk, planned: Distribution, lamports: int) -> Distribution:
    """Lets the money go after the execution was approved: it has to be paused."""
    found = await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    hold(desk, desk.source_address, lamports)
    await desk.engine.wait()
    found = await desk.workflows.get(planned.id)
    assert found.state is DistributionState.PAUSED
    assert found.last_error.startswith("INSUFFICIENT_FUNDS: ")
    return found


async def test_a_source_without_money_signs_nothing(desk: Desk) -> None:
    """Short of lamports it pauses with the numbers; funded and executed again, it pays all."""
    planned = await desk.planned(40, TOTAL)
    found = await paused(desk, planned, TOTAL)
    assert f"{desk.source_address} holds {TOTAL} lamports" in found.last_error
    assert desk.signer.items == []
    assert desk.node.count("sendTransaction") == 0

    hold(desk, desk.source_address, planned.estimate.required_lamports)
    done = await again(desk, found)
    assert (done.state, done.last_error) == (DistributionState.COMPLETED, "")
    assert_paid_once(await desk.paid(done))
    assert desk.balance(desk.source_address) == 0


async def test_executing_without_money_pauses_again(desk: Desk) -> None:
    """An execution does not help by itself, and does no harm."""
    planned = await desk.planned(20, TOTAL)
    found = await paused(desk, planned, 0)
    found = await again(desk, found)
    assert found.state is DistributionState.PAUSED
    assert "holds 0 lamports" in found.last_error
    assert desk.signer.items == []


async def test_less_than_the_rent_floor_may_not_be_left(desk: Desk) -> None:
    """One lamport too many would fail on chain, so it counts as too few."""
    planned = await desk.planned(20, TOTAL)
    found = await paused(desk, planned, planned.estimate.required_lamports + 1)
    assert "less than the rent floor" in found.last_error


@pytest.mark.parametrize(
    ("amount", "recipients", "lands"),
    [
        (650_239, 1, False),  # its fee would leave a lamport less than the floor
        (650_240, 1, True),
        (2 * 650_239, 21, False),
        (2 * 650_240, 40, True),
        (40_000, 40, True),  # never rent-exempt: it may fall as it likes
    ],
)
async def test_the_fee_may_not_break_the_rent_floor_on_the_way(
    database: Database, svm_rpc: SvmRpc, amount: int, recipients: int, lands: bool
) -> None:
    """A source that ends at zero lands if the fees alone leave it what is rent-exempt, whichever
    transaction comes last; otherwise it pauses, for nothing of it would ever get into a block.
    """
    desk = await open_desk(database, svm_rpc, lamports=0)
    order = desk.order(recipients, amount, EvenSplit())
    assert isinstance(order.recipients, RecipientAddresses)
    for address in order.recipients.addresses:
        hold(desk, address, 650_240)
    planned = await desk.workflows.create(str(UUID(int=1)), order)
    hold(desk, desk.source_address, planned.estimate.required_lamports)
    found = await again(desk, planned)
    if not lands:
        assert found.state is DistributionState.PAUSED
        assert "less than the rent floor on the way" in found.last_error
        assert desk.signer.items == []
        hold(desk, desk.source_address, planned.estimate.required_lamports + 650_240)
        found = await again(desk, found)
    assert (found.state, found.last_error) == (DistributionState.COMPLETED, "")
    assert desk.balance(desk.source_address) == (0 if lands else 650_240)
    await desk.close()


async def test_a_source_funded_to_the_lamport_is_never_paused(
    database: Database, svm_rpc: SvmRpc
) -> None:
    """What is in flight is counted, and not twice: rounds that overlap pay everything."""
    desk = await open_desk(database, svm_rpc, lamports=0)
    planned = await desk.planned(400, TOTAL)
    hold(desk, desk.source_address, planned.estimate.required_lamports)
    done = await again(desk, planned)
    assert (done.state, done.last_error) == (DistributionState.COMPLETED, "")
    assert_paid_once(await desk.paid(done))
    assert desk.balance(desk.source_address) == 0
    await desk.close()


async def test_money_that_goes_while_some_is_in_flight(desk: Desk) -> None:
    """What is signed is followed to its end first; the pause and its reason stay."""
    planned = await desk.planned(400, TOTAL)
    desk.chain.hold = True
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await sends(desk, 4)
    hold(desk, desk.source_address, TOTAL)
    desk.chain.release()
    hold(desk, desk.source_address, 0)
    await desk.engine.wait()
    found = await desk.workflows.get(planned.id)
    assert found.state is DistributionState.PAUSED
    assert "holds 0 lamports" in found.last_error
    assert BatchState.IN_FLIGHT not in found.tally.batches
    signed = len(desk.signer.items)
    assert found.tally.batches[BatchState.FINALIZED] == signed < 20
    hold(desk, desk.source_address, 2 * TOTAL)
    done = await again(desk, found)
    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))
    assert len(desk.signer.items) == 20


async def test_a_payout_costs_one_read_a_round(desk: Desk) -> None:
    """Weighing is one getMultipleAccounts, however many recipients there are."""
    planned = await desk.planned(80, TOTAL)
    before = desk.node.count("getMultipleAccounts")
    done = await again(desk, planned)
    assert done.state is DistributionState.COMPLETED
    assert desk.node.count("getMultipleAccounts") - before == 1


async def test_tokens_that_are_gone(desk: Desk) -> None:
    """Too few tokens, or too few lamports for the recipients' rent, pause it as well."""
    world = TokenWorld(desk.chain)
    account = world.open(desk.source_address, 1_000)
    recipients = RecipientAddresses(tuple(address_of(n, "dry") for n in range(12)))
    order = DistributionOrder(desk.source_id, recipients, 600, EvenSplit(), world.mint)
    planned = await desk.workflows.create(str(UUID(int=1)), order)
    spend_tokens(desk, account, 599)
    found = await again(desk, planned)
    assert found.state is DistributionState.PAUSED
    assert f"the token account {account} holds 599 base units" in found.last_error
    spend_tokens(desk, account, 600)
    hold(desk, desk.source_address, planned.estimate.required_lamports - 1)
    found = await again(desk, found)
    assert f"{planned.estimate.required_lamports}" in found.last_error
    assert desk.signer.items == []
    hold(desk, desk.source_address, planned.estimate.required_lamports)
    done = await again(desk, found)
    assert done.state is DistributionState.COMPLETED
    assert [world.amount(address_of(n, "dry")) for n in range(12)] == [50] * 12


async def test_a_fee_payer_without_money(desk: Desk) -> None:
    """A consolidation whose fee payer is empty pauses; its sources are not touched."""
    sources = await desk.wallets(8, HELD)
    (payer,) = await desk.wallets(1, 10**6, salt=1)
    ids = tuple(wallet_id for wallet_id, _ in sources)
    order = ConsolidationOrder(ids, desk.source_id, payer[0])
    planned = await desk.workflows.create(str(UUID(int=1)), order)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    hold(desk, payer[1], 0)
    await desk.engine.wait()
    found = await desk.workflows.get(planned.id)
    assert found.state is DistributionState.PAUSED
    assert f"{payer[1]} holds 0 lamports" in found.last_error
    assert [desk.balance(address) for _, address in sources] == [HELD] * 8


@pytest.mark.parametrize(
    ("payment", "failed"), [(FeePayment.EACH_SOURCE, 1), (FeePayment.FIRST_SOURCE, 8)]
)
async def test_a_source_that_pays_its_fee_and_spent(
    desk: Desk, payment: FeePayment, failed: int
) -> None:
    """It fails before anything is signed. Where it pays for others, they go with it, unharmed."""
    sources = await desk.wallets(8, HELD)
    ids = tuple(wallet_id for wallet_id, _ in sources)
    order = ConsolidationOrder(ids, desk.source_id, None, payment)
    planned = await desk.workflows.create(str(UUID(int=1)), order)
    hold(desk, sources[0][1], HELD - 1)
    done = await again(desk, planned)
    assert done.tally.transfers.get(BatchState.FAILED, 0) == failed
    page, _ = await desk.workflows.list_transfers(planned.id)
    errors = {item.error for item in page.items if item.state is BatchState.FAILED}
    assert len(errors) == 1
    assert f"{sources[0][1]} holds {HELD - 1} lamports and was to give" in errors.pop()
    left = [desk.balance(address) for _, address in sources]
    assert left.count(0) == 8 - failed
    assert done.fees_paid_lamports == (8 - failed) * 5_000


async def test_a_fee_that_the_runtime_refuses(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that could never pay its fee, in a plan that was made all the same, fails unsigned:
    it would be signed again and again.
    """
    sources = await desk.wallets(1, 652_000)
    order = ConsolidationOrder((sources[0][0],), desk.source_id, None, FeePayment.EACH_SOURCE)
    monkeypatch.setattr(sweep_packing, "may_be_left", lambda *_: True)
    planned = await desk.workflows.create(str(UUID(int=1)), order)
    done = await again(desk, planned)
    assert done.state is DistributionState.PARTIALLY_FAILED
    page, _ = await desk.workflows.list_transfers(planned.id)
    assert "would hold 647000 lamports after its fee, under the rent floor" in page.items[0].error
    assert desk.signer.items == []


async def test_a_token_source_that_changed(desk: Desk) -> None:
    """One whose tokens are other than planned fails alone, unsigned; its neighbours are swept."""
    world = TokenWorld(desk.chain)
    sources = await desk.wallets(6, 0)
    for _, address in sources:
        world.open(address, 100)
    (destination,) = await desk.wallets(1, 0, salt=1)
    ids = tuple(wallet_id for wallet_id, _ in sources)
    order = ConsolidationOrder(ids, destination[0], desk.source_id, mint=world.mint)
    planned = await desk.workflows.create(str(UUID(int=1)), order)
    changed = world.account_of(sources[2][1])
    spend_tokens(desk, changed, 101)
    done = await again(desk, planned)
    assert done.tally.transfers == {BatchState.FINALIZED: 5, BatchState.FAILED: 1}
    page, _ = await desk.workflows.list_transfers(planned.id)
    (bad,) = [item for item in page.items if item.state is BatchState.FAILED]
    assert f"its token account {changed} holds 101 base units, planned were 100" == bad.error
    assert world.amount(destination[1]) == 500
    assert len(desk.signer.items) == done.paid.transaction_count
