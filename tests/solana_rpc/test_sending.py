"""Sending: identical bytes, once, and the answer checked against them."""

import base64

import httpx
import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message, MessageV0, MessageV1
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from gateway.adapters.solana_rpc import RpcError
from gateway.adapters.solana_rpc.wire import first_signature
from gateway.domain.errors import TransactionRejectedError
from tests.solana_rpc.support import FakeNode, result, rpc_over


def signed(version: str) -> VersionedTransaction:
    """A signed transfer of the given version."""
    payer = Keypair()
    pay = transfer(
        TransferParams(from_pubkey=payer.pubkey(), to_pubkey=Keypair().pubkey(), lamports=1)
    )
    message: Message | MessageV0 | MessageV1
    if version == "legacy":
        message = Message.new_with_blockhash([pay], payer.pubkey(), Hash.default())
    elif version == "v0":
        message = MessageV0.try_compile(payer.pubkey(), [pay], [], Hash.default())
    else:
        message = MessageV1.try_compile(payer.pubkey(), [pay], Hash.default())
    return VersionedTransaction(message, [payer])


@pytest.mark.parametrize("version", ["legacy", "v0", "v1"])
async def test_sending(version: str) -> None:
    """Bytes go out once, in base64; the node must answer with their own signature."""
    transaction = signed(version)
    signature = str(transaction.signatures[0])
    node = FakeNode(lambda i, _m, _p: result(i, signature))
    assert signature == await rpc_over(node).send_transaction(
        bytes(transaction), skip_preflight=True
    )
    assert base64.b64decode(str(node.requests[0][1][0])) == bytes(transaction)

    liar = FakeNode(lambda i, _m, _p: result(i, str(signed(version).signatures[0])))
    with pytest.raises(RpcError, match="something else"):
        await rpc_over(liar).send_transaction(bytes(transaction), skip_preflight=True)


async def test_sending_is_not_repeated() -> None:
    """A refusal or a lost answer is reported after one call: the engine decides what follows."""
    wire_bytes = bytes(signed("legacy"))
    fault = {"code": -32002, "message": "Transaction simulation failed", "data": {"err": "x"}}
    node = FakeNode(
        lambda i, _m, _p: httpx.Response(200, json={"jsonrpc": "2.0", "id": i, "error": fault})
    )
    with pytest.raises(TransactionRejectedError):
        await rpc_over(node).send_transaction(wire_bytes, skip_preflight=False)
    assert len(node.requests) == 1

    down = FakeNode(lambda _i, _m, _p: httpx.Response(500))
    with pytest.raises(RpcError):
        await rpc_over(down).send_transaction(wire_bytes, skip_preflight=False)
    assert len(down.requests) == 1


@pytest.mark.parametrize("wire_bytes", [b"", b"\x01", b"\x81", b"\x81\x01", b"\x01" + bytes(63)])
def test_short_bytes_have_no_signature(wire_bytes: bytes) -> None:
    """What is too short for a signature is ValueError."""
    with pytest.raises(ValueError, match="short"):
        first_signature(wire_bytes)
