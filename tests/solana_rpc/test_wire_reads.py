"""Token accounts, signatures and whole transactions from a node that may send anything."""

import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair

from gateway.adapters.solana_rpc import RpcError, wire, wire_reads
from gateway.adapters.solana_rpc.reads import to_details
from gateway.domain.amounts import U64_MAX
from tests.solana_rpc.support import FakeNode, in_context, result, rpc_over
from tests.solana_rpc.test_sending import signed

TRANSACTION = signed("legacy")
SIGNATURE = str(TRANSACTION.signatures[0])
MINT = str(Keypair().pubkey())
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"


def tokens(amount: str = str(U64_MAX), index: int = 1, decimals: int = 9) -> dict[str, Any]:
    """A token balance."""
    return {
        "accountIndex": index,
        "mint": MINT,
        "owner": MINT,
        "uiTokenAmount": {
            "amount": amount,
            "decimals": decimals,
            "uiAmount": 1.8e19,
        },
    }


GOOD: dict[str, Any] = {
    "slot": 5,
    "blockTime": 1_700_000_000,
    "version": "legacy",
    "transaction": [base64.b64encode(bytes(TRANSACTION)).decode(), "base64"],
    "meta": {
        "err": None,
        "fee": 5_000,
        "preBalances": [U64_MAX, 0, 1],
        "postBalances": [0, U64_MAX, 1],
        "preTokenBalances": [tokens()],
        "postTokenBalances": [],
        "loadedAddresses": {"writable": [], "readonly": []},
    },
}


def decode(value: object) -> Any:
    """Decodes a getTransaction result."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": value}).encode()
    return wire.decode_response(body, 1, wire_reads.DetailedTransactionWire)


def test_amounts_up_to_u64_max_are_exact() -> None:
    """Lamports and token amounts come through unchanged; the node's double is not looked at."""
    found = to_details(decode(GOOD), SIGNATURE)
    assert (U64_MAX, U64_MAX) == (found.pre_balances[0], found.pre_tokens[0].amount)
    assert ("legacy", 1_700_000_000, 3) == (found.version, found.block_time_s, len(found.keys))


def changed(path: str, value: object) -> Any:
    """GOOD with the value at a path replaced."""
    made = copy.deepcopy(GOOD)
    *way, last = path.split(".")
    place = made
    for name in way:
        place = place[name]
    place[last] = value
    return made


@pytest.mark.parametrize(
    "bad",
    [
        changed("version", 0),
        changed("version", "1"),
        changed("transaction", [base64.b64encode(bytes(signed("v0"))).decode(), "base64"]),
        changed("transaction", ["AAAA", "base64"]),
        changed("transaction", ["!", "base64"]),
        changed("blockTime", 2**40),
        changed("blockTime", -1),
        changed("meta", None),
        changed("meta.preBalances", [1, 2]),
        changed("meta.loadedAddresses", {"writable": [MINT], "readonly": []}),
        changed("meta.loadedAddresses", {"writable": ["x"], "readonly": []}),
        changed("meta.preTokenBalances", [tokens(), tokens()]),
        changed("meta.preTokenBalances", [tokens(index=3)]),
        changed("meta.preTokenBalances", [tokens(str(U64_MAX + 1))]),
        changed("meta.preTokenBalances", [tokens("-1")]),
        changed("meta.preTokenBalances", [tokens("1.0")]),
        changed("meta.preTokenBalances", [tokens("\u0661")]),
        changed("meta.preTokenBalances", [tokens("")]),
        changed("meta.preTokenBalances", [tokens(decimals=256)]),
    ],
)
def test_contradictions_within_a_transaction(bad: object) -> None:
    """Bytes, version, balances and tokens must fit each other: otherwise nothing is believed."""
    with pytest.raises(ValueError, match=r"\w"):
        to_details(decode(bad), SIGNATURE)


@given(st.sampled_from(["slot", "version", "blockTime", "meta.fee", "meta.preBalances",
                        "meta.preTokenBalances", "meta.loadedAddresses", "transaction"]),
       st.recursive(st.none() | st.booleans() | st.integers(-1, 2**64) | st.floats() | st.text(),
                    lambda inner: st.lists(inner, max_size=3), max_leaves=5))  # fmt: skip
def test_any_member_may_be_anything(path: str, value: object) -> None:
    """Whatever stands in a member, the result is whole or ValueError, and has no other number."""
    try:
        found = to_details(decode(changed(path, value)), SIGNATURE)
    except ValueError:
        return
    assert len(found.keys) == len(found.pre_balances) == len(found.post_balances) == 3


def entry(signature: str = SIGNATURE, slot: int = 5) -> dict[str, Any]:
    """An entry of a list of signatures."""
    return {"signature": signature, "slot": slot, "err": None, "blockTime": None, "memo": None}


OTHER = str(signed("legacy").signatures[0])


@pytest.mark.parametrize(
    "listed",
    [
        [entry(), entry()],
        [entry(), entry(OTHER), entry(str(signed("v0").signatures[0]))],
        [entry("1" * 63)],
        [entry(slot=-1)],
        [entry(slot=6), entry(OTHER, slot=7)],
        [entry(str(Keypair().sign_message(b"before")))],
        None,
        {},
    ],
)
async def test_lists_that_were_not_asked_for(listed: Any) -> None:
    """Twice the same, more than the limit, no signature, older first, or `before`: an error."""
    before = str(listed[0]["signature"]) if listed and len(listed) == 1 else ""
    node = FakeNode(lambda i, _m, _p: result(i, listed))
    with pytest.raises(RpcError):
        await rpc_over(node).get_signatures(MINT, 2, before=before)


async def test_an_answer_older_than_asked_for_is_refused() -> None:
    """MinContextSlot is sent, and a node that ignores it is not believed."""
    node = FakeNode(lambda i, _m, _p: result(i, in_context([], slot=99)))
    with pytest.raises(RpcError, match="slot 99"):
        await rpc_over(node).get_token_accounts(MINT, TOKEN, min_context_slot=100)
    with pytest.raises(RpcError, match="slot 99"):
        await rpc_over(node).get_accounts([], min_context_slot=100)
    assert all(params[-1]["minContextSlot"] == 100 for _, params in node.requests)  # type: ignore[index]  # options
    assert 99 == (await rpc_over(node).get_token_accounts(MINT, TOKEN)).context_slot
