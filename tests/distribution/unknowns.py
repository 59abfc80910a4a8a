"""Distributions with UNKNOWN transactions: some that landed, some that never did."""

from collections.abc import Callable

from gateway.domain.outcomes import Verdict
from gateway.domain.plans import Distribution
from gateway.domain.resolutions import MARGIN_BLOCKS, Declaration
from gateway.domain.states import DistributionState
from gateway.workflows.distribution_resolutions import ResolutionWorkflows
from tests.distribution.checks import TOTAL
from tests.distribution.support import TOKEN, Desk
from tests.support.svm_chain import Timing

REASON = "looked up with two explorers: no such signature"
LONG_AGO = MARGIN_BLOCKS + 1_000


def undo(desk: Desk) -> None:
    """A fork takes back what was confirmed, for good: it never landed."""
    desk.chain.fork(10_000)


def hide(desk: Desk) -> None:
    """The node forgets what landed, although it did."""
    desk.chain.landed.clear()


async def parked(desk: Desk, lose: Callable[[Desk], None] = undo, count: int = 20) -> Distribution:
    """A distribution all of whose transactions were confirmed once and are not known any more."""
    desk.chain.advance(1_000)
    desk.chain.timing = Timing(confirm_after_blocks=1, finalize_after_blocks=400)
    planned = await desk.planned(count, TOTAL)

    def forget() -> None:
        heights = [landed.height for landed in desk.chain.landed.values()]
        if heights and desk.chain.height > max(heights) + 4:
            lose(desk)
            desk.chain.advance(600)

    desk.clock.during_sleep = forget
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await desk.engine.wait()
    desk.clock.during_sleep = lambda: None
    desk.chain.timing = Timing()
    found = await desk.workflows.get(planned.id)
    assert found.state is DistributionState.PARKED
    return found


async def signatures(desk: Desk, found: Distribution) -> list[str]:
    """The transactions of a distribution, each once, in order of the plan."""
    page, _ = await desk.workflows.list_transfers(found.id, 1000)
    return list(dict.fromkeys(item.transaction_signature for item in page.items))


def declares(
    signature: str, verdict: Verdict = Verdict.PAY_AGAIN, reason: str = REASON
) -> Declaration:
    """A declaration by an operator."""
    return Declaration(signature, verdict, reason, "olga", "unix:")


async def resolve(
    desk: Desk, found: Distribution, declaration: Declaration, etag: str = "", again: str = ""
) -> Distribution:
    """Resolves through a gateway's workflow."""
    return await ResolutionWorkflows(desk.database, desk.rpc).resolve(
        found.id, etag or found.etag, declaration, again or declaration.signature
    )
