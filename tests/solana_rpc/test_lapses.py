"""When a transaction counts as never landed: what nodes must prove, each by itself."""

import base64
import json

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.solana_rpc import Agreement, Endpoint, EndpointPool, RpcError, SolanaRpc
from gateway.domain.chain import LapsedTransaction, LapseReading, SignatureStatus
from tests.solana_rpc.support import FakeNode, ManualClock, in_context, result
from tests.solana_rpc.test_client import account
from tests.solana_rpc.test_sending import signed
from tests.solana_rpc.test_wire import json_values

SIGNATURE = "5" * 88
FUNDED = signed("legacy")
FUNDING, PAYER = str(FUNDED.signatures[0]), str(FUNDED.message.account_keys[0])
BLOCKHASH = "1" * 32
LAPSED = LapsedTransaction(SIGNATURE, PAYER, BLOCKHASH, 350, blockhash_slot=1_200)
FINALIZED = {"slot": 1_201, "err": None, "confirmationStatus": "finalized"}


def provider(
    *, height: int = 351, first: int = 1_200, slot: int = 1_400, seen: object = None,
    context_slot: int = 1_400, balance: int = 9, listed: list[object] | None = None,
    other: object = FINALIZED, valid: bool = False, valid_at: int = 0,
) -> FakeNode:  # fmt: skip
    """A node that proves absence, unless told otherwise."""
    answers: dict[str, object] = {
        "getGenesisHash": "G" * 43,
        "getBlockHeight": height,
        "getFirstAvailableBlock": first,
        "getSlot": slot,
        "isBlockhashValid": in_context(valid, valid_at or slot),
        "getMultipleAccounts": in_context([account(balance)], max(slot, valid_at)),
        "getSignaturesForAddress": [*(listed or []), listed_as(FUNDING, 1_100)],
        "getTransaction": record(seen),
    }

    def reply(request_id: int, method: str, params: list[object]) -> httpx.Response:
        if method == "getSignatureStatuses":
            assert isinstance(params[0], list)
            statuses = [seen if one == SIGNATURE else other for one in params[0]]
            return result(request_id, in_context(statuses, context_slot))
        if method == "getTransaction" and params[0] == FUNDING:
            return result(request_id, funding())
        return result(request_id, answers[method])

    return FakeNode(reply)


def funding() -> object:
    """The transaction by which the payer came to what it holds."""
    meta = {"err": None, "fee": 0, "preBalances": [0, 0, 1], "postBalances": [9, 0, 1]}
    wire = [base64.b64encode(bytes(FUNDED)).decode(), "base64"]
    return {"slot": 1_100, "transaction": wire, "version": "legacy", "meta": meta}


def record(status: object) -> object:
    """A transaction's own record, as its status tells of it."""
    if not isinstance(status, dict):
        return None
    meta = {"err": status["err"], "fee": 5, "preBalances": [9], "postBalances": [4]}
    return {"slot": status["slot"], "meta": meta}


ASKED = [
    "getBlockHeight",
    "getFirstAvailableBlock",
    "getSlot",
    "isBlockhashValid",
    "getMultipleAccounts",
    "getSignaturesForAddress",
    "getTransaction",
    "getSignatureStatuses",
]


def dead() -> FakeNode:
    """A node that does not answer."""
    return FakeNode(lambda _i, _m, _p: httpx.Response(503))


async def ask(*nodes: FakeNode, providers_min: int = 1) -> LapseReading:
    """What these nodes together say of LAPSED."""
    endpoints = [
        Endpoint(f"http://n{place}", transport=httpx.MockTransport(one.handle))
        for place, one in enumerate(nodes)
    ]
    pool = EndpointPool(endpoints, ManualClock(), jitter=lambda: 0.5)
    rpc = SolanaRpc(pool, agreement=Agreement(providers_min))
    return (await rpc.get_lapsed_statuses([LAPSED]))[0]


def listed_as(signature: str, slot: int = 1_300) -> object:
    """An entry in the list of the payer's transactions."""
    return {"signature": signature, "slot": slot, "err": None}


async def test_one_node_proves_absence() -> None:
    """Past height, a history that reaches back and a null at a fresh slot: it never landed."""
    one = provider()
    assert LapseReading(None, is_absent=True) == await ask(one)
    order = [method for method, _ in one.requests]
    assert order.index("getBlockHeight") < order.index("getSignatureStatuses")


@pytest.mark.parametrize(
    ("node", "doubt"),
    [
        (provider(height=350), "may still land"),
        (provider(first=1_201), "history begins after"),
        (provider(context_slot=1_399), "fell behind"),
        (provider(slot=1_350), "runs ahead of its slots"),
        (provider(valid=True), "does not say that the blockhash has ended"),
        (provider(valid_at=1_401), "fell behind"),
        (provider(balance=5), "balance is not what the list comes to"),
        (provider(listed=[listed_as("3" * 88)]), "have been read"),
        (provider(listed=[listed_as(SIGNATURE)]), "lists it"),
        (provider(listed=[listed_as("3" * 88)], other=None), "no status of a transaction"),
    ],
)
async def test_a_null_that_proves_nothing(node: FakeNode, doubt: str) -> None:
    """A node that is not past it, has forgotten, or fell behind leaves the transaction in doubt."""
    reading = await ask(node)
    assert not reading.is_absent
    assert doubt in reading.doubt


@pytest.mark.parametrize(
    ("method", "doubt"),
    [
        ("getFirstAvailableBlock", "where its history begins"),
        ("isBlockhashValid", "that the blockhash has ended"),
    ],
)
async def test_a_node_that_keeps_its_history_to_itself(method: str, doubt: str) -> None:
    """Where one of these calls is not served a sighting counts and a null proves nothing."""

    def refuses(seen: object) -> FakeNode:
        willing = provider(seen=seen)

        def reply(request_id: int, called: str, params: list[object]) -> httpx.Response:
            if called != method:
                return willing.reply(request_id, called, params)
            fault = {"code": -32601, "message": "Method not found"}
            return httpx.Response(200, json={"jsonrpc": "2.0", "id": request_id, "error": fault})

        return FakeNode(reply)

    silent = await ask(refuses(None))
    assert not silent.is_absent
    assert doubt in silent.doubt
    assert (await ask(refuses(FINALIZED))).status is not None


async def test_a_payer_that_cannot_be_accounted_for() -> None:
    """One provider then proves nothing; two that agree do, unless one contradicts itself."""
    unread = [listed_as("3" * 88)]
    assert not (await ask(provider(listed=unread))).is_absent
    both = [provider(listed=unread), provider(listed=unread)]
    assert (await ask(*both, providers_min=2)).is_absent
    lists_it = provider(listed=[listed_as(SIGNATURE)])
    assert not (await ask(provider(), lists_it, providers_min=2)).is_absent


async def test_a_node_that_does_not_list_transactions() -> None:
    """Where getSignaturesForAddress is not served a null proves nothing, and a sighting counts."""

    def refuses(seen: object) -> FakeNode:
        willing = provider(seen=seen)

        def reply(request_id: int, method: str, params: list[object]) -> httpx.Response:
            if method != "getSignaturesForAddress":
                return willing.reply(request_id, method, params)
            fault = {"code": -32601, "message": "Method not found"}
            return httpx.Response(200, json={"jsonrpc": "2.0", "id": request_id, "error": fault})

        return FakeNode(reply)

    assert "does not tell" in (await ask(refuses(None))).doubt
    assert (await ask(refuses(FINALIZED))).status is not None


async def test_two_providers_must_agree_where_two_are_wanted() -> None:
    """One proof of two is doubt, whether the other is dead or objects; two proofs are proof."""
    for other in (dead(), provider(first=9_999)):
        reading = await ask(provider(), other, providers_min=2)
        assert not reading.is_absent
        assert "1 of 2" in reading.doubt
    assert (await ask(provider(), provider(), providers_min=2)).is_absent


async def test_one_sighting_outweighs_all_nulls() -> None:
    """If one of three nodes knows the transaction, it landed, whatever the others forgot."""
    reading = await ask(provider(), provider(), provider(seen=FINALIZED), providers_min=2)
    assert LapseReading(SignatureStatus(1_201, "finalized", ""), is_absent=False) == reading


async def test_contradicting_sightings_decide_nothing() -> None:
    """Finalized here and finally failed there: neither paid nor to be paid again."""
    reading = await ask(provider(seen=FINALIZED), provider(seen={**FINALIZED, "err": "x"}))
    assert (None, False) == (reading.status, reading.is_absent)
    assert "contradict" in reading.doubt


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(ASKED), json_values)
async def test_one_call_that_answers_anything(method: str, value: object) -> None:
    """Whatever JSON one of the calls answers, it is a reading or RpcError, and nothing else."""
    honest = provider()

    def reply(request_id: int, called: str, params: list[object]) -> httpx.Response:
        if called == method:
            body = f'{{"jsonrpc":"2.0","id":{request_id},"result":{json.dumps(value)}}}'
            return httpx.Response(200, text=body)
        return honest.reply(request_id, called, params)

    try:
        reading = await ask(FakeNode(reply))
    except RpcError:
        return
    assert (reading.status is None) or not reading.is_absent


async def test_without_any_answer_it_is_an_error() -> None:
    """If nobody answers there is no reading to act upon."""
    with pytest.raises(RpcError):
        await ask(dead(), dead())
