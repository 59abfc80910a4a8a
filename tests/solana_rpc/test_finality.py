"""When a transaction is believed to be final: what one provider says, and what several must."""

import httpx
import pytest

from gateway.adapters.solana_rpc import Agreement, Endpoint, EndpointPool, RpcError, SolanaRpc
from gateway.domain.chain import LapseReading, SignatureStatus
from tests.solana_rpc.support import FakeNode, ManualClock, in_context, result

SIGNATURE = "5" * 88
PAID = SignatureStatus(7, "finalized", "")
FAILED = SignatureStatus(7, "finalized", '"x"')


def node(error: object = None, *, slot: int = 7, level: str = "finalized", record: object = 0,
         knows: bool = True) -> FakeNode:  # fmt: skip
    """A node that tells one status, and a record of it that is as the status unless given."""
    status = {"slot": slot, "err": error, "confirmationStatus": level} if knows else None
    meta = {"err": error, "fee": 5, "preBalances": [9], "postBalances": [4]}
    answers: dict[str, object] = {
        "getGenesisHash": "G" * 43,
        "getSignatureStatuses": in_context([status]),
        "getTransaction": {"slot": slot, "meta": meta} if record == 0 else record,
    }
    return FakeNode(lambda i, method, _: result(i, answers[method]))


def dead() -> FakeNode:
    """A node that does not answer."""
    return FakeNode(lambda _i, _m, _p: httpx.Response(503))


async def believed(
    nodes: list[FakeNode], told: SignatureStatus, agreement: Agreement
) -> LapseReading:
    """What is believed of a status that one of these nodes told."""
    endpoints = [
        Endpoint(f"http://n{place}", transport=httpx.MockTransport(one.handle))
        for place, one in enumerate(nodes)
    ]
    pool = EndpointPool(endpoints, ManualClock(), jitter=lambda: 0.5)
    found = await SolanaRpc(pool, agreement=agreement).confirm_final({SIGNATURE: told})
    return found[SIGNATURE]


async def test_one_is_enough_for_a_success_where_one_is_wanted() -> None:
    """It costs no call."""
    one = node()
    assert LapseReading(PAID, is_absent=False) == await believed([one], PAID, Agreement())
    assert [] == one.requests


async def test_two_must_tell_the_same_success() -> None:
    """A second that is behind, or away, or knows nothing: confirmed, and no more."""
    both = Agreement(2, 2)
    assert PAID == (await believed([node(), node()], PAID, both)).status
    for other in (node(level="confirmed"), dead(), node(knows=False)):
        reading = await believed([node(), other], PAID, both)
        assert SignatureStatus(7, "confirmed", "") == reading.status
        assert "1 of 2" in reading.doubt


@pytest.mark.parametrize("other", [node("x"), node(slot=8)])
async def test_contradictions_decide_nothing(other: FakeNode) -> None:
    """Paid here and failed there, or in two slots: neither."""
    reading = await believed([node(), other], PAID, Agreement(1, 2))
    assert (None, "providers contradict each other") == (reading.status, reading.doubt)


async def test_an_error_needs_the_nodes_own_record_of_it() -> None:
    """The record shows it: final. It shows success, another slot, or is not there: not final."""
    assert FAILED == (await believed([node("x")], FAILED, Agreement())).status
    meta = {"err": None, "fee": 5, "preBalances": [9], "postBalances": [4]}
    records: list[object] = [
        None,
        {"slot": 7, "meta": meta},
        {"slot": 8, "meta": {**meta, "err": "x"}},
    ]
    for record in records:
        reading = await believed([node("x", record=record)], FAILED, Agreement())
        assert SignatureStatus(7, "confirmed", '"x"') == reading.status


async def test_an_error_needs_as_many_as_an_expiry() -> None:
    """After it the payment is signed again: one of two is not enough even if it is for success."""
    one_told = await believed([node("x"), dead()], FAILED, Agreement(2, 1))
    assert SignatureStatus(7, "confirmed", '"x"') == one_told.status
    assert FAILED == (await believed([node("x"), node("x")], FAILED, Agreement(2, 1))).status


async def test_an_errors_wording_is_no_contradiction() -> None:
    """Two versions of a node word one failure differently: it is final, in the first's words."""
    other = node({"InsufficientFundsForRent": {"account_index": 1}})
    assert FAILED == (await believed([node("x"), other], FAILED, Agreement(2, 2))).status


async def test_nobody_answers() -> None:
    """That is an error, and decides nothing."""
    with pytest.raises(RpcError):
        await believed([dead(), dead()], PAID, Agreement(2, 2))
    reading = await believed([node(knows=False)], FAILED, Agreement())
    assert (None, "no provider knows it any more") == (reading.status, reading.doubt)
