"""ListTransactions, and how a transaction's own bytes are read."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message, MessageV0, MessageV1
from solders.transaction import VersionedTransaction

from gateway.domain.history import read_wire
from solward.gateway.v1 import balance_service_pb2 as pb
from tests.gateway.support import Gateway, refusal_of
from tests.reads.conftest import Adopt
from tests.reads.tokens import SOL, TOKEN, TokenChain, pay
from tests.support.svm_rpc import SvmRpc

FEE = 5_000


async def history(gateway: Gateway, wallet_id: object, **more: str) -> list[pb.TransactionRecord]:
    """The first page."""
    request = pb.ListTransactionsRequest(
        wallet_id=str(wallet_id),
        before_signature=more.get("before", ""),
        until_signature=more.get("until", ""),
    )
    return list((await gateway.balances.ListTransactions(request)).transactions)


async def test_every_version_in_and_out(gateway: Gateway, adopt: Adopt, tokens: TokenChain) -> None:
    """Legacy, v0 and v1: what the wallet gained, lost and paid in fees, newest first."""
    me = Keypair()
    wallet_id, key, boss = await adopt(me), me.pubkey(), tokens.boss.pubkey()
    landed = [
        tokens.land([pay(boss, key, SOL)]),
        tokens.land([pay(key, boss, 7)], payer=me, version=0),
        tokens.land([pay(key, boss, 8)], payer=me, version=1),
        tokens.land([pay(key, boss, 9)], me, version=0),
        tokens.land([pay(key, boss, 99 * SOL)], payer=me, succeeds=False),
    ]
    tokens.chain.advance(3)
    found = await history(gateway, wallet_id)
    assert [str(item.signature) for item in reversed(landed)] == [r.signature for r in found]
    assert [("legacy", SOL, False), ("0", -7 - FEE, True), ("1", -8 - FEE, True),
            ("0", -9, False), ("legacy", -FEE, True)] == [
        (r.version, r.change_lamports, r.paid_fee) for r in reversed(found)
    ]  # fmt: skip
    assert [FEE, FEE, FEE, 2 * FEE, FEE] == [r.fee_lamports for r in reversed(found)]
    assert (True, False) == (found[0].failed, found[1].failed)
    assert "InstructionError" in found[0].error
    assert all(r.block_time.seconds and not r.error_reason for r in found)


async def test_tokens_in_and_out(gateway: Gateway, adopt: Adopt, tokens: TokenChain) -> None:
    """A transfer of tokens shows the wallet's own account before and after, above 2**53 exactly."""
    me, big = Keypair(), 2**63 + 3
    wallet_id, mint = await adopt(me), tokens.mint(TOKEN, 6)
    mine = tokens.open(me.pubkey(), mint, TOKEN)
    theirs = tokens.open(Keypair().pubkey(), mint, TOKEN)
    tokens.issue(mint, mine, big, TOKEN)
    tokens.move(mine, me, theirs, mint, TOKEN, 1, 6)
    tokens.chain.advance(3)
    newest = (await history(gateway, wallet_id))[0]
    expected = pb.TokenChange(token_account=str(mine), mint=str(mint), before_amount=big,
                              after_amount=big - 1, decimals=6)  # fmt: skip
    assert [expected] == list(newest.token_changes)
    assert (0, False) == (newest.change_lamports, newest.paid_fee)


async def test_pages_before_and_until(gateway: Gateway, adopt: Adopt, tokens: TokenChain) -> None:
    """Seven transactions in pages of three; before and until cut them; what is not final waits."""
    me = Keypair()
    wallet_id, boss = await adopt(me), tokens.boss.pubkey()
    made = [str(tokens.land([pay(boss, me.pubkey(), SOL + n)]).signature) for n in range(7)][::-1]
    assert len(await history(gateway, wallet_id)) < 7
    tokens.chain.advance(3)
    seen: list[str] = []
    sizes: list[int] = []
    token = ""
    while token or not sizes:
        request = pb.ListTransactionsRequest(
            wallet_id=str(wallet_id), page_size=3, page_token=token
        )
        page = await gateway.balances.ListTransactions(request)
        seen += [record.signature for record in page.transactions]
        sizes.append(len(page.transactions))
        token = page.next_page_token
    assert (made, [3, 3, 1]) == (seen, sizes)
    cut = await history(gateway, wallet_id, before=made[1], until=made[5])
    assert made[2:5] == [record.signature for record in cut]


@pytest.mark.parametrize("field", ["before_signature", "until_signature", "page_token"])
async def test_bad_places_are_named(gateway: Gateway, adopt: Adopt, field: str) -> None:
    """What is no signature or no token of ours never reaches the node."""
    request = pb.ListTransactionsRequest(wallet_id=str(await adopt(Keypair())))
    setattr(request, field, "nonsense")
    refusal = await refusal_of(gateway.balances.ListTransactions(request))
    assert (field,) == refusal.fields


async def test_a_node_that_mixes_up_transactions(
    gateway: Gateway, adopt: Adopt, tokens: TokenChain, svm_rpc: SvmRpc
) -> None:
    """Another's transaction, too few balances or none at all: an error for that record alone."""
    me = Keypair()
    wallet_id, boss = await adopt(me), tokens.boss.pubkey()
    tokens.land([pay(boss, me.pubkey(), SOL)])
    other = tokens.land([pay(boss, Keypair().pubkey(), SOL)])
    mine = tokens.land([pay(boss, me.pubkey(), SOL + 1)])
    tokens.chain.advance(3)
    for result, reason in (
        (None, "TRANSACTION_NOT_FOUND"),
        (reply(bytes(other.transaction), other.height + 1_000, 3), "RPC_UNAVAILABLE"),
        (reply(bytes(mine.transaction), mine.height + 1_000, 2), "RPC_UNAVAILABLE"),
        (reply(bytes(mine.transaction), 1, 3), "MALFORMED_TRANSACTION"),
    ):
        svm_rpc.faults.clear()
        svm_rpc.faults.result("getTransaction", result, times=None, about=str(mine.signature))
        newest, oldest = await history(gateway, wallet_id)
        assert (reason, 0, 0) == (newest.error_reason, newest.change_lamports, newest.fee_lamports)
        assert ("", SOL) == (oldest.error_reason, oldest.change_lamports)


def reply(wire: bytes, slot: int, balances: int) -> dict[str, object]:
    """A transaction as a node shows it."""
    meta = {"err": None, "fee": FEE, "preBalances": [0] * balances, "postBalances": [9] * balances}
    return {
        "slot": slot,
        "transaction": [base64.b64encode(wire).decode(), "base64"],
        "meta": meta,
        "version": "legacy",
    }


def signed(version: int | None, signers: int) -> VersionedTransaction:
    """A transaction with so many signers."""
    pairs = [Keypair() for _ in range(signers)]
    payments = [pay(pair.pubkey(), Keypair().pubkey(), 1) for pair in pairs]
    key = pairs[0].pubkey()
    message: Message | MessageV0 | MessageV1
    if version is None:
        message = Message.new_with_blockhash(payments, key, Hash.default())
    elif version == 0:
        message = MessageV0.try_compile(key, payments, [], Hash.default())
    else:
        message = MessageV1.try_compile(key, payments, Hash.default())
    known = {pair.pubkey(): pair for pair in pairs}
    return VersionedTransaction(message, [known[k] for k in message.account_keys[:signers]])


@pytest.mark.parametrize("version", [None, 0, 1])
@pytest.mark.parametrize("signers", [1, 2, 7])
def test_bytes_agree_with_solders(version: int | None, signers: int) -> None:
    """Signature, version and accounts of each format are those that solders put in."""
    transaction = signed(version, signers)
    found = read_wire(bytes(transaction))
    assert str(transaction.signatures[0]) == found.signature
    assert ("legacy" if version is None else str(version)) == found.version
    assert [str(key) for key in transaction.message.account_keys] == list(found.keys)


WIRES = [bytes(signed(version, 2)) for version in (None, 0, 1)]


@given(st.binary(max_size=300) | st.sampled_from(WIRES), st.integers(0, 600), st.integers(0, 255))
def test_damaged_bytes_are_an_error_or_whole(wire: bytes, at: int, byte: int) -> None:
    """Random, cut or changed bytes raise nothing but ValueError; keys are distinct addresses."""
    damaged = bytearray(wire or b"\0")
    damaged[at % len(damaged)] = byte
    for data in (wire, wire[:at], bytes(damaged)):
        try:
            found = read_wire(data)
        except ValueError:
            continue
        assert len(set(found.keys)) == len(found.keys)
