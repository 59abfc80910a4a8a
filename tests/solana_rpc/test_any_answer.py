"""Every call of the client against nodes that answer anything at all."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.solana_rpc import (
    Endpoint,
    EndpointPool,
    ReadRetries,
    RpcError,
    SolanaRpc,
)
from gateway.domain.amounts import U64_MAX
from gateway.domain.chain import LapsedTransaction, SignatureStatus
from gateway.domain.errors import TransactionRejectedError
from tests.solana_rpc.support import FakeNode, ManualClock
from tests.solana_rpc.test_client import ADDRESSES
from tests.solana_rpc.test_sending import signed
from tests.solana_rpc.test_wire import json_values, wire_integers
from tests.solana_rpc.test_wire_reads import GOOD, MINT, SIGNATURE, TOKEN

SENT = bytes(signed("v1"))
CALLS: dict[str, Callable[[SolanaRpc], Awaitable[Any]]] = {
    "getBalance": lambda rpc: rpc.get_balance(MINT),
    "getMultipleAccounts": lambda rpc: rpc.get_accounts(ADDRESSES[:2]),
    "getTokenAccountsByOwner": lambda rpc: rpc.get_token_accounts(MINT, TOKEN),
    "getTokenAccountsByOwner of a mint": lambda rpc: rpc.get_token_accounts_of_mint(MINT, MINT),
    "getSignaturesForAddress": lambda rpc: rpc.get_signatures(MINT, 2),
    "getTransaction": lambda rpc: rpc.get_transaction_details(SIGNATURE),
    "getMinimumBalanceForRentExemption": lambda rpc: rpc.get_rent_exempt_lamports(0),
    "getLatestBlockhash": lambda rpc: rpc.get_latest_blockhash(),
    "isBlockhashValid": lambda rpc: rpc.read_blockhash(MINT, "processed", 1),
    "getEpochInfo": lambda rpc: rpc.get_tip(1),
    "getBlockHeight": lambda rpc: rpc.get_block_height(),
    "getSlot": lambda rpc: rpc.get_slot(),
    "getSignatureStatuses of errors": lambda rpc: rpc.confirm_final(
        {"a": SignatureStatus(1, "finalized", "x")}
    ),
    "getSignatureStatuses": lambda rpc: rpc.get_signature_statuses(["a"], search_history=True),
    "getFirstAvailableBlock": lambda rpc: rpc.get_lapsed_statuses(
        [LapsedTransaction("a", MINT, MINT, 1, 1)]
    ),
    "sendTransaction": lambda rpc: rpc.send_transaction(SENT, skip_preflight=True),
    "getFeeForMessage": lambda rpc: rpc.get_fee_for_message(b"m"),
    "getRecentPrioritizationFees": lambda rpc: rpc.get_recent_prioritization_fees([]),
    "simulateTransaction": lambda rpc: rpc.simulate_transaction(b"t"),
    "getHealth": lambda rpc: rpc.get_health(),
}
account = {"lamports": 1, "owner": TOKEN, "executable": False, "data": ["AAAA", "base64"]}
SHAPES: list[Any] = [
    5,
    "ok",
    None,
    GOOD,
    [{"signature": SIGNATURE, "slot": 1, "err": None}],
    [{"slot": 1, "prioritizationFee": 1}],
    {"absoluteSlot": 9, "blockHeight": 5, "epoch": 0},
    {"context": {"slot": 9}, "value": True},
    {"context": {"slot": 9}, "value": 5},
    {"context": {"slot": 9}, "value": None},
    {"context": {"slot": 9}, "value": [account, None]},
    {"context": {"slot": 9}, "value": [{"pubkey": MINT, "account": account}]},
    {"context": {"slot": 9}, "value": [{"slot": 3, "err": None}]},
    {"context": {"slot": 9}, "value": {"blockhash": MINT, "lastValidBlockHeight": 3}},
    {"context": {"slot": 9}, "value": {"err": None, "logs": [], "unitsConsumed": 1}},
]
texts = st.sampled_from(SHAPES).map(json.dumps)


def over(body: Callable[[int], bytes]) -> SolanaRpc:
    """A client that tries once, of a node that answers `body(id)`."""
    node = FakeNode(lambda i, _m, _p: httpx.Response(200, content=body(i)))
    endpoint = Endpoint("http://node", transport=httpx.MockTransport(node.handle))
    return SolanaRpc(EndpointPool([endpoint], ManualClock(), retries=ReadRetries(attempts_max=1)))


async def call_all(rpc: SolanaRpc) -> None:
    """Makes every call; nothing but RpcError and a refusal to send may be raised."""
    for method, call in CALLS.items():
        try:
            found = await call(rpc)
        except (RpcError, TransactionRejectedError):
            continue
        assert all(0 <= number <= U64_MAX for number in wire_integers(found)), method


def enveloped(result: str) -> Callable[[int], bytes]:
    """An answer's bytes with this result."""
    return lambda i: f'{{"jsonrpc":"2.0","id":{i},"result":{result}}}'.encode()


@settings(max_examples=60, deadline=None)
@given(json_values.map(json.dumps) | texts)
def test_any_result(result: str) -> None:
    """Any JSON as any method's result is a value within u64 or RpcError."""
    asyncio.run(call_all(over(enveloped(result))))


@settings(max_examples=60, deadline=None)
@given(texts, st.data())
def test_a_damaged_result(result: str, data: st.DataObject) -> None:
    """A good result cut, lengthened or with one byte changed is a value within u64 or RpcError."""
    at = data.draw(st.integers(0, len(result) - 1))
    byte = data.draw(st.binary(min_size=0, max_size=3))
    whole = enveloped(result)

    def damaged(request_id: int) -> bytes:
        good = whole(request_id)
        place = good.index(b'"result":') + 9 + at
        return good[:place] + byte + good[place + 1 :]

    asyncio.run(call_all(over(damaged)))


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(body: bytes) -> None:
    """Bytes that are no JSON at all are RpcError for every method."""
    asyncio.run(call_all(over(lambda _: body)))


@pytest.mark.parametrize("code", [-32005, -32602, 429, 2**70, -(2**63)])
@pytest.mark.parametrize("message", ["", "x" * 100_000, "\x1b[31m\n\u202e"])
async def test_any_error_object(code: int, message: str) -> None:
    """Codes and texts of any size: RpcError whose text is short and printable."""
    error = json.dumps({"code": code, "message": message})
    rpc = over(lambda i: f'{{"jsonrpc":"2.0","id":{i},"error":{error}}}'.encode())
    for call in CALLS.values():
        with pytest.raises((RpcError, TransactionRejectedError)) as caught:
            await call(rpc)
        assert len(str(caught.value)) < 300
        assert str(caught.value).isprintable()
