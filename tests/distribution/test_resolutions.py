"""An operator resolves what is UNKNOWN: never against a provider's word, and never by accident."""

import asyncio
from collections.abc import Mapping

import pytest

from gateway.adapters.solana_rpc.statements import Statement, StatementReader
from gateway.domain.chain import LapseReading
from gateway.domain.errors import (
    EtagMismatchError,
    GatewayError,
    InvalidArgumentError,
    NotFoundError,
    PreconditionFailedError,
)
from gateway.domain.outcomes import Verdict
from gateway.domain.resolutions import require_absent
from gateway.domain.states import BatchState, DistributionState
from tests.distribution.checks import assert_paid_once, attempt_states
from tests.distribution.support import TOKEN, Desk
from tests.distribution.unknowns import (
    LONG_AGO,
    REASON,
    declares,
    hide,
    parked,
    resolve,
    signatures,
)


async def test_what_did_not_land_is_paid_again(desk: Desk) -> None:
    """A fork took the payment back for good: declared so, it is paid by another transaction."""
    found = await parked(desk)
    (signature,) = await signatures(desk, found)
    desk.chain.advance(LONG_AGO)
    resolved = await resolve(desk, found, declares(signature))
    assert resolved.state is DistributionState.PAUSED
    assert resolved.tally.transfers == {BatchState.PLANNED: 20}
    (kept,) = resolved.resolutions
    assert (kept.signature, kept.verdict) == (signature, Verdict.PAY_AGAIN)
    assert (kept.reason, kept.operator, kept.peer) == (REASON, "olga", "unix:")
    assert (kept.first_transfer, kept.transfer_count) == (0, 20)
    assert "no provider knows it" in kept.evidence

    await desk.workflows.execute(found.id, found.etag, TOKEN)
    await desk.engine.wait()
    desk.chain.advance(1_000)
    done = await desk.workflows.get(found.id)
    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))
    assert await attempt_states(desk) == {"expired": 1, "finalized": 1}
    assert done.resolutions == resolved.resolutions


async def test_what_did_not_land_is_given_up(desk: Desk) -> None:
    """Given up, its transfers are listed as not paid, with who said so and why."""
    found = await parked(desk)
    (signature,) = await signatures(desk, found)
    desk.chain.advance(LONG_AGO)
    done = await resolve(desk, found, declares(signature, Verdict.GIVE_UP))
    assert done.state is DistributionState.PARTIALLY_FAILED
    assert done.tally.transfers == {BatchState.FAILED: 20}
    page, _ = await desk.workflows.list_transfers(found.id, 100)
    assert {f"declared by olga not to have landed: {REASON}"} == {x.error for x in page.items}
    assert done.fees_paid_lamports == 0
    assert [held for _, held in await desk.paid(done)] == [0] * 20


async def test_one_of_several(desk: Desk) -> None:
    """Each transaction is resolved by itself; the distribution stays parked until the last is."""
    found = await parked(desk, count=60)
    one, two, three = await signatures(desk, found)
    desk.chain.advance(LONG_AGO)
    first = await resolve(desk, found, declares(one))
    second = await resolve(desk, found, declares(two, Verdict.GIVE_UP))
    assert [first.state, second.state] == [DistributionState.PARKED] * 2
    third = await resolve(desk, found, declares(three, Verdict.GIVE_UP))
    assert third.state is DistributionState.PAUSED
    assert third.tally.transfers == {BatchState.PLANNED: 20, BatchState.FAILED: 40}
    assert "waits for ExecuteDistribution" in third.last_error
    await desk.workflows.cancel(found.id)
    await desk.engine.wait()
    cancelled = await desk.workflows.get(found.id)
    assert cancelled.state is DistributionState.CANCELLED
    assert [held for _, held in await desk.paid(cancelled)] == [0] * 60


async def test_a_parked_distribution_can_be_cancelled(desk: Desk) -> None:
    """While it is cancelled it pays nobody again; what is unknown is resolved by giving it up."""
    found = await parked(desk)
    (signature,) = await signatures(desk, found)
    await desk.workflows.cancel(found.id)
    await desk.engine.wait()
    cancelled = await desk.workflows.get(found.id)
    assert (DistributionState.PARKED, True) == (cancelled.state, cancelled.is_cancelled)
    desk.chain.advance(LONG_AGO)
    with pytest.raises(PreconditionFailedError, match="was cancelled"):
        await resolve(desk, found, declares(signature))
    given_up = await resolve(desk, found, declares(signature, Verdict.GIVE_UP))
    assert given_up.state is DistributionState.CANCELLED


@pytest.mark.parametrize("verdict", [Verdict.PAY_AGAIN, Verdict.GIVE_UP])
async def test_a_signature_that_a_provider_knows_is_refused(desk: Desk, verdict: Verdict) -> None:
    """Nobody can declare away what landed: the providers' word stands against the operator's."""
    remembered = dict(desk.chain.landed)

    def forget(desk: Desk) -> None:
        remembered.update(desk.chain.landed)
        hide(desk)

    found = await parked(desk, forget)
    (signature,) = await signatures(desk, found)
    desk.chain.landed.update(remembered)
    desk.chain.advance(LONG_AGO)
    with pytest.raises(PreconditionFailedError, match="a provider knows it: finalized"):
        await resolve(desk, found, declares(signature, verdict))
    assert await desk.workflows.get(found.id) == found

    landed = await resolve(desk, found, declares(signature, Verdict.LANDED))
    assert landed.state is DistributionState.COMPLETED
    assert landed.resolutions == []
    assert_paid_once(await desk.paid(landed))
    assert landed == await resolve(desk, found, declares(signature, Verdict.LANDED))


async def test_landed_is_not_taken_from_anybodys_word(desk: Desk) -> None:
    """Without a finalized status, "landed" changes nothing."""
    found = await parked(desk)
    (signature,) = await signatures(desk, found)
    desk.chain.advance(LONG_AGO)
    with pytest.raises(PreconditionFailedError, match="no provider has a finalized status"):
        await resolve(desk, found, declares(signature, Verdict.LANDED))
    assert await desk.workflows.get(found.id) == found


async def test_what_expired_only_just_now_is_refused(desk: Desk) -> None:
    """The finalized height must be well past the last valid one, not just past it."""
    found = await parked(desk)
    (signature,) = await signatures(desk, found)
    with pytest.raises(PreconditionFailedError, match="may still land"):
        await resolve(desk, found, declares(signature))
    async with desk.database.read() as unit:
        attempt = await unit.distributions.attempt(found.id, signature)
    finalized = desk.chain.height_at("finalized")
    desk.chain.advance(attempt.last_valid_block_height + 1_000 - finalized)
    with pytest.raises(PreconditionFailedError, match="may still land"):
        await resolve(desk, found, declares(signature))
    desk.chain.advance()
    assert (await resolve(desk, found, declares(signature))).resolutions


async def test_a_node_without_the_history_proves_nothing(desk: Desk) -> None:
    """A node that begins after the transaction was signed cannot say that it did not land."""
    found = await parked(desk)
    (signature,) = await signatures(desk, found)
    desk.chain.advance(LONG_AGO)
    desk.chain.first_available_slot = desk.chain.slot
    with pytest.raises(PreconditionFailedError, match="history begins after"):
        await resolve(desk, found, declares(signature))


def test_every_provider_has_to_answer() -> None:
    """One that is silent may be the one that knows: its silence is a refusal."""
    attempt = None
    with pytest.raises(PreconditionFailedError, match="1 of the providers did not answer"):
        require_absent(
            LapseReading(None, is_absent=True, silent_count=1),
            attempt,  # type: ignore[arg-type]  # not looked at
        )


async def test_a_node_that_is_away_changes_nothing(desk: Desk) -> None:
    """Without an answer nothing is resolved."""
    found = await parked(desk)
    (signature,) = await signatures(desk, found)
    desk.chain.advance(LONG_AGO)
    desk.node.faults.http_error("getSignatureStatuses", 503, times=None)
    with pytest.raises(GatewayError, match="RPC node"):
        await resolve(desk, found, declares(signature))
    desk.node.faults.clear()
    assert await desk.workflows.get(found.id) == found


Bad = tuple[dict[str, str], type[GatewayError], str]
MISTAKES: list[Bad] = [
    ({"etag": "other"}, EtagMismatchError, "etag"),
    ({"again": "x" * 88}, InvalidArgumentError, "transaction_signature_again"),
    ({"reason": "because"}, InvalidArgumentError, "reason"),
    ({"reason": "x" * 1001}, InvalidArgumentError, "reason"),
    ({"reason": "a reason\nwith a line of its own"}, InvalidArgumentError, "reason"),
    ({"signature": "1" * 88}, NotFoundError, "transaction_signature"),
]


async def test_mistakes_are_refused(desk: Desk) -> None:
    """Another etag, a signature not repeated or not there, a bad reason: each names its field."""
    found = await parked(desk)
    (signature,) = await signatures(desk, found)
    desk.chain.advance(LONG_AGO)
    for change, error, field in MISTAKES:
        declaration = declares(
            change.get("signature", signature), reason=change.get("reason", REASON)
        )
        with pytest.raises(error) as caught:
            await resolve(desk, found, declaration, change.get("etag", ""), change.get("again", ""))
        assert field == caught.value.field
    assert await desk.workflows.get(found.id) == found


async def test_only_what_is_unknown_is_resolved(desk: Desk) -> None:
    """A finalized payment cannot be declared away, not even with a repeated signature."""
    done = await desk.executed(20, 10**9)
    (signature,) = await signatures(desk, done)
    desk.chain.advance(LONG_AGO)
    for verdict in (Verdict.PAY_AGAIN, Verdict.GIVE_UP):
        with pytest.raises(PreconditionFailedError, match="is finalized, not unknown"):
            await resolve(desk, done, declares(signature, verdict))
    other = await desk.planned(5, 10**9, request=2)
    with pytest.raises(NotFoundError):
        await resolve(desk, other, declares(signature))


async def test_a_repeated_call_changes_nothing(desk: Desk) -> None:
    """The same declaration again is answered alike; another verdict on the same one is refused."""
    found = await parked(desk)
    (signature,) = await signatures(desk, found)
    desk.chain.advance(LONG_AGO)
    first = await resolve(desk, found, declares(signature))
    assert first == await resolve(desk, found, declares(signature, reason="said otherwise"))
    with pytest.raises(PreconditionFailedError, match="resolved before, as pay_again"):
        await resolve(desk, found, declares(signature, Verdict.GIVE_UP))
    await desk.workflows.execute(found.id, found.etag, TOKEN)
    await desk.engine.wait()
    await resolve(desk, found, declares(signature))
    desk.chain.advance(1_000)
    assert_paid_once(await desk.paid(found))


@pytest.mark.parametrize(
    ("verdicts", "winners"),
    [
        ((Verdict.PAY_AGAIN, Verdict.PAY_AGAIN), 2),
        ((Verdict.PAY_AGAIN, Verdict.GIVE_UP), 1),
    ],
)
async def test_two_gateways_race(desk: Desk, verdicts: tuple[Verdict, ...], winners: int) -> None:
    """At the same moment: one declaration is stored, and whoever says otherwise is refused."""
    found = await parked(desk)
    (signature,) = await signatures(desk, found)
    desk.chain.advance(LONG_AGO)
    calls = [resolve(desk, found, declares(signature, verdict)) for verdict in verdicts]
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [result for result in results if isinstance(result, BaseException)]
    assert len(results) - len(refused) == winners
    assert all(isinstance(error, PreconditionFailedError) for error in refused)
    assert len((await desk.workflows.get(found.id)).resolutions) == 1


async def test_what_every_provider_forgot_the_payers_balance_remembers(desk: Desk) -> None:
    """All providers forgot a payment and deny it; it is not made twice, whatever is declared."""
    found = await parked(desk, hide)
    (signature,) = await signatures(desk, found)
    desk.chain.advance(LONG_AGO)
    with pytest.raises(PreconditionFailedError, match="balance is not what the list comes to"):
        await resolve(desk, found, declares(signature))
    await desk.workflows.execute(found.id, found.etag, TOKEN)
    await desk.engine.wait()
    assert 1 == len(desk.signer.items)


async def test_the_danger_is_real(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why every guard is there: a node whose ledger forgot as well makes it pay twice."""
    monkeypatch.setattr(StatementReader, "read", forgets_the_balance_too)
    found = await parked(desk, hide)
    (signature,) = await signatures(desk, found)
    desk.chain.advance(LONG_AGO)
    await resolve(desk, found, declares(signature))
    await desk.workflows.execute(found.id, found.etag, TOKEN)
    await desk.engine.wait()
    assert [2 * planned for planned, _ in await desk.paid(found)] == [
        held for _, held in await desk.paid(found)
    ]


async def forgets_the_balance_too(
    _: StatementReader, payers: Mapping[str, int], slot: int
) -> dict[str, Statement]:
    """Statements of a node that made up balances to go with what it lists."""
    assert slot
    return dict.fromkeys(payers, Statement())
