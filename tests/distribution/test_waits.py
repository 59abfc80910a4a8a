"""The signer's limits hold up those that reached them, and nobody else."""

from uuid import UUID

import pytest

from gateway.domain.custody import SignedTransaction, SignItem, SignOutcome
from gateway.domain.orders import ConsolidationOrder, FeePayment
from gateway.domain.plans import Distribution
from gateway.domain.states import BatchState, DistributionState
from gateway.workflows.distribution_run import RunConfig
from tests.distribution.checks import TOTAL, assert_paid_once
from tests.distribution.support import TOKEN, Desk, slow_down

HELD = 10**8
# Few polls: what is waited for here takes minutes.
CALM = RunConfig(batches_per_round=4, in_flight_max=12, poll_s=3.0, lease_s=30.0)
WAIT_S = 60.0
DAY_S = 2 * WAIT_S  # a day, as far as it matters


@pytest.fixture(autouse=True)
def calm(desk: Desk) -> None:
    """Makes the desk's engine poll seldom."""
    desk.engine._config = CALM


def capped(desk: Desk, addresses: set[str], until_s: float) -> None:
    """Whatever one of these signs has to wait until then."""

    def script(item: SignItem) -> SignOutcome | None:
        left_s = until_s - desk.clock.elapsed_s
        if left_s <= 0 or addresses.isdisjoint(wallet.address for wallet in item.wallets):
            return None
        return slow_down(round(1000 * left_s))

    desk.signer.script = script


def limited(desk: Desk, address: str, count: int) -> None:
    """One wallet signs so many times in any minute."""
    signed_at: list[float] = []

    def script(item: SignItem) -> SignOutcome | None:
        now = desk.clock.elapsed_s
        recent = [at for at in signed_at if at > now - WAIT_S]
        if address not in {wallet.address for wallet in item.wallets}:
            return None
        if len(recent) < count:
            signed_at.append(now)
            return None
        return slow_down(round(1000 * (recent[0] + WAIT_S - now)))

    desk.signer.script = script


def count_rounds(desk: Desk) -> list[bool]:
    """Notes for each call of the signer whether it signed anything."""
    rounds: list[bool] = []
    real = desk.signer.sign_transactions

    async def sign(*args: object) -> list[SignOutcome]:
        outcomes = await real(*args)  # type: ignore[arg-type]  # passed through
        rounds.append(any(isinstance(item, SignedTransaction) for item in outcomes))
        return outcomes

    desk.signer.sign_transactions = sign  # type: ignore[method-assign,assignment]  # a spy
    return rounds


async def drained(
    desk: Desk, count: int, payment: FeePayment | None
) -> tuple[Distribution, list[str]]:
    """A consolidation of so many wallets and their addresses; None for another's payment."""
    sources = await desk.wallets(count, HELD)
    (destination,) = await desk.wallets(1, HELD, salt=1)
    order = ConsolidationOrder(
        tuple(wallet_id for wallet_id, _ in sources),
        destination[0],
        None if payment else desk.source_id,
        payment or FeePayment.EACH_SOURCE,
    )
    plan = await desk.workflows.create(str(UUID(int=7)), order)
    return plan, [address for _, address in sources]


async def finalized_before(desk: Desk, plan: Distribution, seconds: float) -> int:
    """Executes to the end; returns how many batches were finalized before so many seconds."""
    found = 0
    plain_sleep = desk.clock.sleep

    async def sleep(seconds_more: float) -> None:
        nonlocal found
        await plain_sleep(seconds_more)
        if desk.clock.elapsed_s < seconds:
            tally = (await desk.workflows.get(plan.id)).tally
            found = tally.batches.get(BatchState.FINALIZED, 0)

    desk.clock.sleep = sleep  # type: ignore[method-assign,assignment]  # a spy
    await desk.workflows.execute(plan.id, plan.etag, TOKEN)
    await desk.engine.wait()
    done = await desk.workflows.get(plan.id)
    assert (done.state, done.last_error) == (DistributionState.COMPLETED, "")
    return found


async def test_who_waits_holds_nobody_up(desk: Desk) -> None:
    """The first four wallets, as many as one round takes, wait: eight others are done meanwhile,
    and nobody is asked about twice before the time is over.
    """
    plan, sources = await drained(desk, 12, FeePayment.EACH_SOURCE)
    capped(desk, set(sources[:4]), WAIT_S)
    assert await finalized_before(desk, plan, WAIT_S) == 8
    assert len(desk.signer.items) == 4 + 8 + 4
    assert [desk.balance(address) for address in sources] == [0] * 12


async def test_a_day_s_wait_of_one_that_others_pay_for(desk: Desk) -> None:
    """A source that waits for hours keeps its own transaction back; its payer signs the others."""
    plan, sources = await drained(desk, 40, None)
    capped(desk, set(sources[:8]), DAY_S)
    assert await finalized_before(desk, plan, DAY_S) == plan.batch_count - 1
    assert desk.clock.elapsed_s > DAY_S
    assert len(desk.signer.items) == plan.batch_count + 1


async def test_one_source_is_not_asked_about_again_and_again(desk: Desk) -> None:
    """24 transactions of one source at 10 a minute: in each minute one call may sign nothing."""
    planned = await desk.planned(24 * 20, TOTAL)
    limited(desk, desk.source_address, 10)
    rounds = count_rounds(desk)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await desk.engine.wait()
    done = await desk.workflows.get(planned.id)
    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))
    assert rounds.count(False) <= 2


async def test_a_payer_s_limit_where_others_sign_too(desk: Desk) -> None:
    """It cannot be told whose limit it was. Still one call in a minute is in vain, not one for
    every few transactions.
    """
    plan, _ = await drained(desk, 24 * 8, None)
    limited(desk, desk.source_address, 10)
    rounds = count_rounds(desk)
    await desk.workflows.execute(plan.id, plan.etag, TOKEN)
    await desk.engine.wait()
    assert (await desk.workflows.get(plan.id)).state is DistributionState.COMPLETED
    assert rounds.count(False) <= 3


async def test_executing_again_asks_at_once(desk: Desk) -> None:
    """Limits may have been lifted: whoever executes again need not wait for what was said."""
    planned = await desk.planned(40, TOTAL)
    capped(desk, {desk.source_address}, DAY_S)

    def lift() -> None:
        if desk.clock.elapsed_s > 10 and desk.signer.items:
            desk.signer.script = lambda _: None
            desk.engine.start(planned.id, TOKEN)

    desk.clock.during_sleep = lift
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await desk.engine.wait()
    done = await desk.workflows.get(planned.id)
    assert (done.state, done.last_error) == (DistributionState.COMPLETED, "")
    assert desk.clock.elapsed_s < 60
