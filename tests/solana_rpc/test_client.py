"""The RPC client against nodes that err, lie, stall and come back."""

import asyncio

import httpx
import pytest

from gateway.adapters.solana_rpc import (
    Endpoint,
    EndpointLimits,
    RpcError,
    RpcNodeError,
    SingleEndpoint,
    SolanaRpc,
)
from gateway.domain.addresses import encode_base58
from gateway.domain.amounts import U64_MAX
from gateway.domain.chain import LandedTransaction, SignatureStatus
from gateway.domain.errors import ChainUnavailableError
from tests.solana_rpc.support import FakeNode, ManualClock, in_context, result, rpc_over

ODD = httpx.ByteStream(b"x")
SYSTEM = "1" * 32
ADDRESSES = [encode_base58(number.to_bytes(32, "big")) for number in range(1, 251)]


def account(lamports: int) -> dict[str, object]:
    """An account as a node shows it."""
    return {
        "lamports": lamports,
        "owner": SYSTEM,
        "executable": False,
        "data": ["", "base64"],
        "rentEpoch": U64_MAX,
        "space": 0,
    }


def balances_of(params: list[object]) -> list[dict[str, object] | None]:
    """Address n holds n lamports; every tenth does not exist; the last one holds u64 max."""
    asked = params[0]
    assert isinstance(asked, list)
    positions = [ADDRESSES.index(address) + 1 for address in asked]
    return [
        None if position % 10 == 0 else account(U64_MAX if position == 249 else position)
        for position in positions
    ]


async def test_balances_of_many() -> None:
    """250 addresses take 3 calls; order is kept; a missing account is 0; u64 max is unchanged."""
    node = FakeNode(lambda i, _, params: result(i, in_context(balances_of(params), 99)))
    readings = await rpc_over(node).get_balances(ADDRESSES)

    assert len(node.requests) == 3
    assert [reading.address for reading in readings] == ADDRESSES
    expected = [0 if n % 10 == 0 else U64_MAX if n == 249 else n for n in range(1, 251)]
    assert expected == [reading.balance_lamports for reading in readings]
    assert {99} == {reading.context_slot for reading in readings}


async def test_a_failing_hundred_does_not_spoil_the_others() -> None:
    """Addresses of a call that fails are marked; the others keep their balances."""

    def reply(request_id: int, method: str, params: list[object]) -> httpx.Response:
        balances = balances_of(params)
        if ADDRESSES[100] in str(params[0]):
            return httpx.Response(500)
        return result(request_id, in_context(balances))

    readings = await rpc_over(FakeNode(reply)).get_balances(ADDRESSES)
    assert {"RPC_UNAVAILABLE"} == {reading.error_reason for reading in readings[100:200]}
    assert {""} == {reading.error_reason for reading in readings[:100] + readings[200:]}


async def test_calls_at_once_are_bounded() -> None:
    """No more requests are under way than the endpoint allows."""
    busy = 0
    peak = 0

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal busy, peak
            assert request.method == "POST"
            busy += 1
            peak = max(peak, busy)
            await asyncio.sleep(0)
            busy -= 1
            return httpx.Response(503)

    endpoint = Endpoint("http://node", EndpointLimits(concurrency_max=3), transport=Slow())
    rpc = SolanaRpc(SingleEndpoint(endpoint, ManualClock()))
    await rpc.get_balances(ADDRESSES * 8)
    assert peak == 3


async def test_reads_are_repeated_with_jitter_and_retry_after() -> None:
    """A read survives passing failures, waiting half of a doubling cap after what was asked."""
    answers = [
        httpx.Response(503),
        httpx.Response(429, headers={"Retry-After": "7"}),
        httpx.Response(200, text="<html>"),
    ]
    node = FakeNode(lambda i, _m, _p: answers.pop(0) if answers else result(i, 5))
    clock = ManualClock()
    assert await rpc_over(node, clock).get_block_height() == 5
    assert clock.naps == [0.1, 7.2, 0.4]
    assert node.requests[0] == ("getBlockHeight", [{"commitment": "finalized"}])


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "99999"}, 30.0),
        ({"Retry-After": "-1"}, 0.0),
        ({"Retry-After": "9" * 400}, 0.0),
        (
            {
                "Retry-After": "Mon, 23 Nov 2026 00:00:07 GMT",
                "Date": "Mon, 23 Nov 2026 00:00:02 GMT",
            },
            5.0,
        ),
        (
            {
                "Retry-After": "Mon, 23 Nov 2020 00:00:07 GMT",
                "Date": "Mon, 23 Nov 2026 00:00:02 GMT",
            },
            0.0,
        ),
        ({"Retry-After": "Mon, 23 Nov 2026 00:00:07 GMT"}, 0.0),
        ({"Retry-After": "Mon, 99 Nov 99999 00:00:07 GMT", "Date": "x"}, 0.0),
    ],
)
async def test_retry_after(headers: dict[str, str], seconds: float) -> None:
    """Seconds, or a date after the answer's own; at most 30 s; anything else is no wish."""
    limits = EndpointLimits()
    handler = httpx.MockTransport(lambda _: httpx.Response(429, headers=headers))
    with pytest.raises(RpcError) as caught:
        await Endpoint("http://node", limits, transport=handler).post(b"{}")
    assert seconds == caught.value.retry_after_s


async def test_reads_give_up() -> None:
    """After four tries a read raises the last error, which is ChainUnavailableError."""
    node = FakeNode(lambda _i, _m, _p: httpx.Response(502))
    with pytest.raises(ChainUnavailableError) as caught:
        await rpc_over(node).get_slot()
    assert len(node.requests) == 4
    assert caught.value.reason == "RPC_UNAVAILABLE"
    assert "secret-key" not in str(caught.value)


@pytest.mark.parametrize(("code", "tries"), [(-32602, 1), (-32005, 4)])
async def test_node_errors_are_repeated_only_if_they_pass(code: int, tries: int) -> None:
    """Invalid params fail at once; a node that is behind is asked again."""
    fault = {"code": code, "message": "no\n" + "x" * 1000}
    node = FakeNode(
        lambda i, _m, _p: httpx.Response(200, json={"jsonrpc": "2.0", "id": i, "error": fault})
    )
    with pytest.raises(RpcNodeError) as caught:
        await rpc_over(node).get_slot()
    assert len(node.requests) == tries
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=b" " * 2000),
        httpx.Response(200, content=b""),
        httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=ODD),
        httpx.Response(301, headers={"Location": "http://elsewhere/"}),
        httpx.Response(200, json={"jsonrpc": "2.0", "id": 999, "result": 1}),
    ],
)
async def test_oversized_and_odd_answers(answer: httpx.Response) -> None:
    """Too many bytes, none, compressed, redirected or another's answer: an error each time."""
    node = FakeNode(lambda _i, _m, _p: answer)
    rpc = rpc_over(node, limits=EndpointLimits(response_bytes_max=1000))
    with pytest.raises(RpcError):
        await rpc.get_slot()


async def test_small_answers_are_bounded_more_closely() -> None:
    """What may be a number needs no megabytes: they would only hold up everybody else."""
    padded = {"context": {"slot": 7, "padding": "x" * 20_000}}
    node = FakeNode(lambda i, m, _: result(i, padded | {"value": [] if "Accounts" in m else 5}))
    rpc = rpc_over(node)
    with pytest.raises(RpcError, match="more than 16384 bytes"):
        await rpc.get_balance(SYSTEM)
    assert 7 == (await rpc.get_accounts([])).context_slot


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_arrays_of_the_wrong_length(count: int) -> None:
    """An answer with more or fewer values than were asked for is a contradiction."""
    node = FakeNode(lambda i, _m, _p: result(i, in_context([None] * count)))
    rpc = rpc_over(node)
    with pytest.raises(RpcError, match="contradiction"):
        await rpc.get_accounts(ADDRESSES[:2])
    with pytest.raises(RpcError, match="contradiction"):
        await rpc.get_signature_statuses(["x", "y"], search_history=True)


async def test_statuses() -> None:
    """Levels, errors and nulls come through; a status without a level is only processed."""
    found = [
        None,
        {"slot": 5, "confirmations": None, "err": None, "confirmationStatus": "finalized"},
        {"slot": 6, "confirmations": 3, "err": {"InstructionError": [2, {"Custom": 1}]},
         "confirmationStatus": "confirmed"},
        {"slot": 7, "confirmations": None, "err": "AccountInUse", "confirmationStatus": None},
    ]  # fmt: skip
    node = FakeNode(lambda i, _m, _p: result(i, in_context(found)))
    reading = await rpc_over(node).get_signature_statuses(list("abcd"), search_history=True)

    assert node.requests[0][1][1] == {"searchTransactionHistory": True}
    assert [
        None,
        SignatureStatus(5, "finalized", ""),
        SignatureStatus(6, "confirmed", '{"InstructionError":[2,{"Custom":1}]}'),
        SignatureStatus(7, "processed", '"AccountInUse"'),
    ] == list(reading.statuses)


@pytest.mark.parametrize("status", ["rooted", 3, ""])
async def test_unknown_confirmation_levels_are_refused(status: object) -> None:
    """A level we do not know is not guessed at."""
    found = [{"slot": 5, "err": None, "confirmationStatus": status}]
    node = FakeNode(lambda i, _m, _p: result(i, in_context(found)))
    with pytest.raises(RpcError):
        await rpc_over(node).get_signature_statuses(["a"], search_history=False)


async def test_other_reads() -> None:
    """Each method reads its own shape."""
    replies: dict[str, object] = {
        "getBalance": in_context(U64_MAX),
        "getMinimumBalanceForRentExemption": 650_240,
        "getLatestBlockhash": in_context(
            {"blockhash": ADDRESSES[0], "lastValidBlockHeight": 2**53 + 1}
        ),
        "getFeeForMessage": in_context(None),
        "getRecentPrioritizationFees": [{"slot": 1, "prioritizationFee": 2**60}],
        "simulateTransaction": in_context({"err": None, "logs": ["a"], "unitsConsumed": 450}),
        "getTransaction": {
            "slot": 3,
            "meta": {"err": None, "fee": 5000, "preBalances": [9, 0], "postBalances": [3, 1]},
            "transaction": ["AA==", "base64"],
            "version": 1,
        },
        "getHealth": "ok",
    }
    node = FakeNode(lambda i, method, _: result(i, replies[method]))
    rpc = rpc_over(node)

    assert (await rpc.get_balance(ADDRESSES[0])).balance_lamports == U64_MAX
    assert await rpc.get_rent_exempt_lamports(0) == 650_240
    assert (await rpc.get_latest_blockhash()).last_valid_block_height == 2**53 + 1
    assert await rpc.get_fee_for_message(b"m") is None
    assert (await rpc.get_recent_prioritization_fees([]))[0].micro_lamports == 2**60
    assert (await rpc.simulate_transaction(b"t")).units_consumed == 450
    landed = await rpc.get_transaction("s")
    assert LandedTransaction(3, "", 5000, [9, 0], [3, 1]) == landed
    await rpc.get_health()
    replies["getTransaction"] = None
    assert await rpc.get_transaction("s") is None
    replies["getHealth"] = "behind"
    with pytest.raises(RpcError):
        await rpc.get_health()
