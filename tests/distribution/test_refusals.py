"""What follows from the signer's refusals, sorted one by one: only a denial fails a batch."""

import pytest

from gateway.domain.custody import (
    ItemRefusal,
    SignedTransaction,
    SignerRefusedError,
    SignItem,
    SignOutcome,
)
from gateway.domain.states import BatchState, DistributionState
from gateway.workflows.distribution_refusals import Refusals
from signer_daemon.errors import STATUS, Refusal
from solward.signer.v1 import errors_pb2
from tests.distribution.checks import TOTAL, assert_paid_once, attempt_states
from tests.distribution.support import TOKEN, Desk

FAILS, WAITS, ALL_WAIT, SESSION, STOPS = "failed", "waits_s", "wait_s", "session", "stop"
FOLLOWS = {
    "POLICY_DENIED": FAILS,
    "RATE_LIMITED": STOPS,  # without a time: it fits at no time
    "SESSION_INVALID": SESSION,
    "CREDENTIAL_REJECTED": SESSION,
    "AUDIT_UNAVAILABLE": ALL_WAIT,
    "KDF_BUSY": ALL_WAIT,
    "SHUTTING_DOWN": ALL_WAIT,
    "SESSION_LIMIT": ALL_WAIT,
    "STREAM_LIMIT": ALL_WAIT,
    "PASSWORD_ATTEMPTS": ALL_WAIT,
    "FROZEN": STOPS,
    "SCOPE_DENIED": STOPS,
    "RECORD_REJECTED": STOPS,
    "OWNERSHIP_REJECTED": STOPS,
    "INVALID_FIELD": STOPS,
    "PASSWORD_RULES": STOPS,
    "TRANSACTION_MALFORMED": STOPS,
    "SIGNER_NOT_REQUIRED": STOPS,
    "MNEMONIC_INVALID": STOPS,
    "MESSAGE_IS_TRANSACTION": STOPS,
    "NOT_IMPLEMENTED": STOPS,
    "INTERNAL": STOPS,
    "EXPORT_DISABLED": STOPS,
    "POLICY_REJECTED": STOPS,
    "ARCHIVE_REJECTED": STOPS,
}


def of(refusals: Refusals) -> set[str]:
    """The names of what follows."""
    return {name for name in (FAILS, WAITS, ALL_WAIT, SESSION, STOPS) if getattr(refusals, name)}


def test_every_reason_is_sorted() -> None:
    """There is no reason of the signer's of which nobody has thought what follows."""
    found = {}
    for reason in STATUS:
        refusal = Refusal(reason, "no")
        item = ItemRefusal(refusal.name, "signer.solward", refusal.code.value[0], "no")
        refusals = Refusals()
        refusals.add(3, item)
        (found[refusal.name],) = of(refusals)
    assert found == FOLLOWS
    assert len(found) == len(errors_pb2.ErrorReason.values()) - 1


def test_a_limit_s_time_makes_its_batch_wait() -> None:
    """With a time, a limit is waited for by the batch that met it."""
    refusals = Refusals()
    refusals.add(3, ItemRefusal("RATE_LIMITED", "signer.solward", 8, "no", retry_delay_ms=1500))
    assert of(refusals) == {WAITS}
    assert refusals.waits_s == {3: 1.5}


@pytest.mark.parametrize(
    ("code", "follows"), [(16, SESSION), (8, ALL_WAIT), (14, ALL_WAIT), (13, STOPS), (7, STOPS)]
)
def test_a_call_that_is_refused(code: int, follows: str) -> None:
    """All batches in one are sorted by the same table; none of them fails."""
    refusals = Refusals()
    refusals.add_call(SignerRefusedError("no", code=code, reason="SOME", field="", status=b""))
    assert of(refusals) == {follows}


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("FROZEN", 7),
        ("SCOPE_DENIED", 7),
        ("RATE_LIMITED", 8),
        ("INTERNAL", 13),
        ("RECORD_REJECTED", 7),
        ("OWNERSHIP_REJECTED", 7),
        ("UNKNOWN_99", 2),
    ],
)
async def test_what_is_not_about_the_transaction_pauses(desk: Desk, reason: str, code: int) -> None:
    """A freeze, a session that may not do it, a cap that one transaction alone exceeds, a record
    that does not open, a defect: all fail nobody and are not waited for. The next execute pays.
    """

    def script(item: SignItem) -> SignOutcome | None:
        return ItemRefusal(reason, "signer.solward", code, "not now", rule="freeze/all")

    desk.signer.script = script
    paused = await desk.executed(60, TOTAL)
    assert paused.state is DistributionState.PAUSED
    assert paused.last_error == f"{reason}: not now (freeze/all)"
    assert paused.tally.transfers == {BatchState.PLANNED: 60}
    desk.signer.script = lambda _: None
    await desk.workflows.execute(paused.id, paused.etag, TOKEN)
    await desk.engine.wait()
    done = await desk.workflows.get(paused.id)
    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))


async def test_a_signature_that_is_missing_pauses(desk: Desk) -> None:
    """A transaction that lacks a signature is not sent, and its recipients are not struck off."""

    def script(item: SignItem) -> SignOutcome | None:
        return SignedTransaction(item.transaction, bytes(64), False, ())

    desk.signer.script = script
    paused = await desk.executed(60, TOTAL)
    assert paused.state is DistributionState.PAUSED
    assert paused.last_error == "the signer left a signature empty"
    assert paused.tally.transfers == {BatchState.PLANNED: 60}
    assert await attempt_states(desk) == {}


async def test_a_busy_signer_is_waited_for_with_its_reason(desk: Desk) -> None:
    """A signer that cannot write its log signs nothing; it is asked again, and all are paid."""
    seen: set[str] = set()

    def script(item: SignItem) -> SignOutcome | None:
        if desk.clock.elapsed_s > 5:
            return None
        return ItemRefusal("AUDIT_UNAVAILABLE", "signer.solward", 14, "the disk is full")

    plain_sleep = desk.clock.sleep

    async def sleep(seconds: float) -> None:
        await plain_sleep(seconds)
        (found,) = (await desk.workflows.list_page()).items
        seen.add(found.last_error)

    desk.clock.sleep = sleep  # type: ignore[method-assign]  # a spy
    desk.signer.script = script
    done = await desk.executed(60, TOTAL)
    assert (done.state, done.last_error) == (DistributionState.COMPLETED, "")
    assert "the signer asks to wait 1.0 s: AUDIT_UNAVAILABLE: the disk is full" in seen
    assert_paid_once(await desk.paid(done))
