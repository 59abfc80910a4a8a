"""Resolving with several providers, and while the chain's own word arrives."""

from collections.abc import Callable, Sequence

import pytest

from gateway.adapters.solana_rpc import (
    Endpoint,
    EndpointLimits,
    EndpointPool,
    SolanaRpc,
    statements,
)
from gateway.domain.attempts import AttemptMove
from gateway.domain.chain import LapsedTransaction, LapseReading
from gateway.domain.errors import PreconditionFailedError
from gateway.domain.outcomes import Verdict
from gateway.domain.states import AttemptState
from gateway.workflows.distribution_resolutions import ResolutionWorkflows
from tests.distribution.checks import TOTAL
from tests.distribution.support import Desk
from tests.distribution.unknowns import LONG_AGO, declares, hide, parked, resolve, signatures, undo
from tests.support.svm_chain import SvmChain
from tests.support.svm_rpc import SvmRpc


def two_providers(desk: Desk, other: SvmRpc) -> SolanaRpc:
    """The desk's node and another one; one of them suffices to prove an expiry."""
    limits = EndpointLimits(timeout_s=5)
    endpoints = [Endpoint(node.url, limits) for node in (desk.node, other)]
    return SolanaRpc(EndpointPool(endpoints, desk.clock, jitter=lambda: 0.0))


async def test_one_silent_provider_is_one_too_many(desk: Desk) -> None:
    """The other proves that it did not land; the silent one may know better."""
    found = await parked(desk)
    (signature,) = await signatures(desk, found)
    desk.chain.advance(LONG_AGO)
    with SvmRpc(desk.chain) as other:
        rpc = two_providers(desk, other)
        workflows = ResolutionWorkflows(desk.database, rpc)
        other.faults.http_error("getSignatureStatuses", 503, times=None)
        with pytest.raises(PreconditionFailedError, match="1 of the providers did not answer"):
            await workflows.resolve(found.id, found.etag, declares(signature), signature)
        other.faults.clear()
        resolved = await workflows.resolve(found.id, found.etag, declares(signature), signature)
        await rpc.close()
    assert len(resolved.resolutions) == 1


async def test_one_provider_that_knows_it_is_enough_to_refuse(desk: Desk) -> None:
    """The first forgot it, the second did not: nothing is declared away."""
    remembering = SvmChain()

    def forget(desk: Desk) -> None:
        remembering.svm = desk.chain.svm
        remembering.landed = dict(desk.chain.landed)
        desk.chain.landed.clear()

    found = await parked(desk, forget)
    (signature,) = await signatures(desk, found)
    desk.chain.advance(LONG_AGO)
    remembering.height = desk.chain.height
    with SvmRpc(remembering) as other:
        rpc = two_providers(desk, other)
        workflows = ResolutionWorkflows(desk.database, rpc)
        for verdict in (Verdict.PAY_AGAIN, Verdict.GIVE_UP):
            declaration = declares(signature, verdict)
            with pytest.raises(PreconditionFailedError, match="nothing is resolved"):
                await workflows.resolve(found.id, found.etag, declaration, signature)
        await rpc.close()
    assert await desk.workflows.get(found.id) == found


@pytest.mark.parametrize("lose", [undo, hide])
async def test_a_busy_payers_balance_is_the_operators_to_vouch_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, lose: Callable[[Desk], None]
) -> None:
    """More transactions than are read: all else must be proved, and what is kept says so."""
    found = await parked(desk, lose)
    (signature,) = await signatures(desk, found)
    desk.chain.advance(LONG_AGO)
    await desk.done(desk.order(3, TOTAL), request=2)
    desk.chain.advance(LONG_AGO)
    if lose is hide:
        with pytest.raises(PreconditionFailedError, match="not what the list comes to"):
            await resolve(desk, found, declares(signature))
    monkeypatch.setattr(statements, "_LISTED_MAX", 1)
    (kept,) = (await resolve(desk, found, declares(signature, Verdict.GIVE_UP))).resolutions
    assert "the payer's balance was not accounted for" in kept.evidence


async def test_the_chain_may_be_faster(desk: Desk) -> None:
    """Found finalized by another gateway after the providers were asked: refused."""
    found = await parked(desk)
    (signature,) = await signatures(desk, found)
    desk.chain.advance(LONG_AGO)
    real = desk.rpc.get_lapsed_statuses

    async def slow(items: Sequence[LapsedTransaction]) -> list[LapseReading]:
        readings = await real(items)
        async with desk.database.transaction() as unit:
            move = AttemptMove(signature, AttemptState.FINALIZED, "", 5)
            await unit.distributions.move_attempts(found.id, [move])
        return readings

    desk.rpc.get_lapsed_statuses = slow  # type: ignore[method-assign]  # a spy
    for verdict in (Verdict.PAY_AGAIN, Verdict.GIVE_UP):
        with pytest.raises(PreconditionFailedError, match="is finalized, not unknown"):
            await resolve(desk, found, declares(signature, verdict))
    assert (await desk.workflows.get(found.id)).resolutions == []
