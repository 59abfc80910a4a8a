"""Progress of a distribution, as a stream that a person or a program can follow."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from gateway.domain.plans import Asset, Distribution, Tally
from gateway.domain.ports import Clock, Store
from gateway.domain.states import BatchState, DistributionState

_ENDS: Final = {
    DistributionState.COMPLETED,
    DistributionState.PARTIALLY_FAILED,
    DistributionState.CANCELLED,
    DistributionState.PARKED,
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a distribution is.

    `transfers_per_s` is the rate of finalized transfers since the watch began. `remaining_s` is
    what the rest should take: at the pace that the signer lets through while its limit holds
    signing up, else at that rate; None while neither is known. `signing_wait_s` is how long the
    signer has asked to wait before the next signature, 0 if it has not.
    """

    state: DistributionState
    tally: Tally
    transfers_per_s: float
    remaining_s: float | None
    last_error: str
    asset: Asset
    signing_wait_s: float = 0.0


async def watch(
    store: Store, clock: Clock, distribution_id: UUID, interval_s: float = 0.5
) -> AsyncIterator[Progress]:
    """Yields progress now, after every change, and last when a final or parked state is reached.

    Read from the database: whichever gateway works on it. Raises NotFoundError or
    StoreUnavailableError.
    """
    started_s = clock.monotonic_s()
    first: Distribution | None = None
    previous: Progress | None = None
    while True:
        async with store.read() as unit:
            found = await unit.distributions.get(distribution_id)
        first = first or found
        progress = _progress(found, first, clock.monotonic_s() - started_s)
        if previous is None or _differs(previous, progress):
            yield progress
            previous = progress
        if found.state in _ENDS:
            return
        await clock.sleep(interval_s)


def _progress(found: Distribution, first: Distribution, elapsed_s: float) -> Progress:
    counts = found.tally.transfers
    done = counts.get(BatchState.FINALIZED, 0)
    since = done - first.tally.transfers.get(BatchState.FINALIZED, 0)
    rate = since / elapsed_s if elapsed_s > 0 else 0.0
    return Progress(
        found.state,
        found.tally,
        rate,
        _remaining_s(found, rate),
        found.last_error,
        found.asset,
        found.pace.wait_s if counts.get(BatchState.PLANNED, 0) else 0.0,
    )


def _remaining_s(found: Distribution, transfers_per_s: float) -> float | None:
    """Returns how long what is left should take; None if nothing tells.

    A burst and then a wait, as limits by the minute make them, would make the rate so far look far
    too high after the burst and far too low after the wait.
    """
    counts = found.tally.transfers
    left = sum(counts.get(state, 0) for state in (BatchState.PLANNED, BatchState.IN_FLIGHT))
    unsigned = found.tally.batches.get(BatchState.PLANNED, 0)
    if left == 0:
        return 0.0
    if unsigned and found.pace.batches_per_kilosecond:
        return max(found.pace.wait_s, 1_000 * unsigned / found.pace.batches_per_kilosecond)
    return left / transfers_per_s if transfers_per_s > 0 else None


def _differs(one: Progress, other: Progress) -> bool:
    """Returns whether there is news: waits and the ETA are told by the second."""
    return (
        (one.state, one.tally, one.last_error) != (other.state, other.tally, other.last_error)
        or _moved(one.signing_wait_s, other.signing_wait_s)
        or _moved(one.remaining_s, other.remaining_s)
    )


def _moved(one_s: float | None, other_s: float | None) -> bool:
    if one_s is None or other_s is None:
        return one_s is not other_s
    return abs(one_s - other_s) >= 1
