"""StreamTokenBalances on accounts that the real token programs made."""

import asyncio
import base64
import contextlib
import time
from collections.abc import Sequence

import grpc
import pytest
from solders.account import Account
from solders.keypair import Keypair

from gateway.adapters.associated_tokens import (
    associated_token_address,
    metaplex_metadata_address,
)
from gateway.api.balances_messages import token_balances
from gateway.app import Adapters
from gateway.domain.amounts import U64_MAX
from gateway.domain.tokens import TokenFilter, TokenHolding, WalletTokens
from gateway.workflows.tokens import TokenWorkflows
from solward.gateway.v1 import balance_service_pb2 as pb
from tests.gateway.support import Gateway, stream_refusal
from tests.reads.conftest import Adopt
from tests.reads.streams import of, streamed
from tests.reads.tokens import TOKEN, TOKEN_2022, TokenChain, associated
from tests.support.svm_faults import Fault, Kind
from tests.support.svm_rpc import SvmRpc

BY_OWNER, MULTIPLE = "getTokenAccountsByOwner", "getMultipleAccounts"


async def test_wallets_of_a_tag_with_both_programs(
    gateway: Gateway, adopt: Adopt, tokens: TokenChain, svm_rpc: SvmRpc
) -> None:
    """In order of creation, each with its accounts of both programs; a mint is read once."""
    pairs = [Keypair() for _ in range(40)]
    for pair in pairs:
        await adopt(pair, "desk")
    plain, fees = tokens.mint(TOKEN, 9), tokens.fee_mint(2, "GELD")
    for pair in pairs[::10]:
        tokens.issue(plain, tokens.open(pair.pubkey(), plain, TOKEN), U64_MAX // 4, TOKEN)
        tokens.issue(fees, tokens.open(pair.pubkey(), fees, TOKEN_2022), 7, TOKEN_2022)
    svm_rpc.calls.clear()
    request = pb.StreamTokenBalancesRequest(wallets=pb.WalletSelection(tag="desk"))
    found = await streamed(gateway, request)
    assert [str(pair.pubkey()) for pair in pairs] == [wallet.address for wallet in found]
    for place, wallet in enumerate(found):
        held = {(item.amount, item.decimals, item.symbol) for item in wallet.token_balances}
        expected = {(U64_MAX // 4, 9, ""), (7, 2, "GELD")} if place % 10 == 0 else set()
        assert expected == held
        assert wallet.context_slot
        assert ("", False) == (wallet.error_reason, wallet.has_more)
    assert 80 == svm_rpc.count(BY_OWNER)
    named = [key for method, params in svm_rpc.calls if method == MULTIPLE for key in params[0]]
    assert 1 == named.count(str(plain)) == named.count(str(fees))


async def test_one_wallets_failure_is_its_own(
    gateway: Gateway, tokens: TokenChain, svm_rpc: SvmRpc
) -> None:
    """A wallet that the node refuses to list has an error; those beside it have their accounts."""
    pairs = [Keypair() for _ in range(5)]
    mint = tokens.mint(TOKEN, 0)
    for pair in pairs:
        tokens.open(pair.pubkey(), mint, TOKEN)
    bad = str(pairs[2].pubkey())
    refusal = {"code": -32602, "message": "excluded from account secondary indexes"}
    svm_rpc.faults.add(Fault(BY_OWNER, Kind.ERROR, None, refusal, about=bad))
    found = await streamed(gateway, of(*(pair.pubkey() for pair in pairs)))
    assert [1, 1, 0, 1, 1] == [len(wallet.token_balances) for wallet in found]
    assert {bad: "RPC_UNAVAILABLE"} == {
        wallet.address: wallet.error_reason for wallet in found if wallet.error_reason
    }


async def test_associated_accounts_a_hundred_a_call(
    gateway: Gateway, tokens: TokenChain, svm_rpc: SvmRpc
) -> None:
    """One call for 100 wallets; auxiliary accounts are not seen, lamports sent ahead are none, and
    an account that its owner has handed on is said to be another's.
    """
    mint = tokens.mint(TOKEN, 6)
    owners = [Keypair().pubkey() for _ in range(250)]
    tokens.issue(mint, tokens.open(owners[0], mint, TOKEN), 11, TOKEN)
    tokens.issue(mint, tokens.open_auxiliary(owners[1], mint, TOKEN), 12, TOKEN)
    tokens.issue(mint, tokens.open(owners[249], mint, TOKEN), 13, TOKEN)
    svm_rpc.chain.fund(associated(owners[2], mint, TOKEN), 10**9)
    handed_on = tokens.open(owners[3], mint, TOKEN)
    account = svm_rpc.chain.svm.get_account(handed_on)
    assert account
    data = account.data[:32] + bytes(owners[4]) + account.data[64:]
    svm_rpc.chain.svm.set_account(handed_on, Account(account.lamports, data, TOKEN))
    svm_rpc.calls.clear()
    found = await streamed(gateway, of(*owners, mints=[str(mint)], associated_only=True))
    assert list(map(str, owners)) == [wallet.address for wallet in found]
    amounts = {
        place: [(item.amount, item.decimals, item.is_associated) for item in wallet.token_balances]
        for place, wallet in enumerate(found)
        if wallet.token_balances
    }
    assert {0: [(11, 6, True)], 3: [(0, 0, False)], 249: [(13, 6, True)]} == amounts
    assert "FOREIGN_OWNER" == found[3].token_balances[0].error_reason
    assert all(not wallet.error_reason for wallet in found)
    assert (0, 3 + 2) == (svm_rpc.count(BY_OWNER), svm_rpc.count(MULTIPLE))  # 2 for the mint


async def test_mints_narrow_the_list(gateway: Gateway, tokens: TokenChain, svm_rpc: SvmRpc) -> None:
    """Of one mint in one call a wallet, auxiliary accounts included; of two in two; of all."""
    owner = Keypair().pubkey()
    one, two, three = (tokens.mint(program, 1) for program in (TOKEN, TOKEN_2022, TOKEN))
    accounts = {
        one: {tokens.open(owner, one, TOKEN), tokens.open_auxiliary(owner, one, TOKEN)},
        two: {tokens.open(owner, two, TOKEN_2022)},
        three: {tokens.open(owner, three, TOKEN)},
    }
    for mints, calls in (([one], 1), ([two], 1), ([one, two], 2), ([], 2)):
        svm_rpc.calls.clear()
        (wallet,) = await streamed(gateway, of(owner, mints=map(str, mints)))
        expected = {str(account) for mint in mints or accounts for account in accounts[mint]}
        assert expected == {item.token_account for item in wallet.token_balances}
        assert calls == svm_rpc.count(BY_OWNER)
    several = of(owner, mints=map(str, [three, one, two]), associated_only=True)
    (wallet,) = await streamed(gateway, several)
    assert 3 == len(wallet.token_balances)


async def test_a_node_that_lists_another_mint(
    gateway: Gateway, tokens: TokenChain, svm_rpc: SvmRpc
) -> None:
    """Accounts of a mint that was not asked for are no answer: the wallet has an error."""
    owner, mint = Keypair().pubkey(), tokens.mint(TOKEN, 0)
    data = bytes(Keypair().pubkey()) + bytes(owner) + bytes(101)
    entry = {
        "pubkey": str(Keypair().pubkey()),
        "account": {
            "lamports": 5,
            "owner": str(TOKEN),
            "executable": False,
            "data": [base64.b64encode(data).decode(), "base64"],
        },
    }
    answer = {"context": {"slot": 5_000}, "value": [entry]}
    svm_rpc.faults.result(BY_OWNER, answer, times=None)
    call = gateway.balances.StreamTokenBalances(of(owner, mints=[str(mint)]), timeout=2)
    (wallet,) = [wallet async for response in call for wallet in response.wallets]
    assert ("RPC_UNAVAILABLE", 0) == (wallet.error_reason, len(wallet.token_balances))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.StreamTokenBalancesRequest(), "wallet_ids"),
        (of(), "addresses.addresses"),
        (of("no address"), "addresses.addresses[0]"),
        (of(TOKEN, associated_only=True), "filter.mints"),
        (of(TOKEN, mints=["nonsense"]), "filter.mints[0]"),
        (of(TOKEN, mints=[str(TOKEN)] * 21), "filter.mints"),
        (of(TOKEN, mints=[str(Keypair().pubkey())], associated_only=True), "filter.mints[0]"),
    ],
)  # fmt: skip
async def test_mistakes_are_named(
    gateway: Gateway, request_: pb.StreamTokenBalancesRequest, field: str
) -> None:
    """No wallets or addresses, associated accounts of nothing, what is no mint: refused by name."""
    refusal = await stream_refusal(gateway.balances.StreamTokenBalances(request_))
    assert (field,) == refusal.fields
    assert refusal.code in {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
    }


@pytest.mark.parametrize("count", [1, 2])
async def test_what_is_no_mint_is_one_error(
    gateway: Gateway, tokens: TokenChain, svm_rpc: SvmRpc, count: int
) -> None:
    """A mint that does not exist is refused by name before a wallet is read, whatever the mode."""
    mints = [str(tokens.mint(TOKEN, 0)), str(Keypair().pubkey())][-count:]
    owners = [Keypair().pubkey() for _ in range(40)]
    call = gateway.balances.StreamTokenBalances(of(*owners, mints=mints))
    refusal = await stream_refusal(call)
    assert grpc.StatusCode.FAILED_PRECONDITION is refusal.code
    assert (f"filter.mints[{count - 1}]",) == refusal.fields
    assert 0 == svm_rpc.count(BY_OWNER)


async def test_a_deadline_ends_the_reading_not_the_stream(
    gateway: Gateway, svm_rpc: SvmRpc
) -> None:
    """A node that answers nobody after the first wallets: the rest are errors, in time."""
    owners = [Keypair().pubkey() for _ in range(60)]
    svm_rpc.faults.delay(BY_OWNER, times=None)
    started = time.monotonic()
    found = []
    async for response in gateway.balances.StreamTokenBalances(of(*owners), timeout=3):
        assert 60 == response.wallet_count
        found += response.wallets
    assert time.monotonic() - started < 3
    assert list(map(str, owners)) == [wallet.address for wallet in found]
    assert {"RPC_UNAVAILABLE"} == {wallet.error_reason for wallet in found}


async def test_a_caller_that_leaves_ends_the_work(gateway: Gateway, svm_rpc: SvmRpc) -> None:
    """After a cancelled stream nothing more is asked of the node."""
    svm_rpc.faults.delay(BY_OWNER, times=8)
    call = gateway.balances.StreamTokenBalances(of(*(Keypair().pubkey() for _ in range(500))))
    reading = asyncio.create_task(call.read())
    async with asyncio.timeout(10):
        while svm_rpc.count(BY_OWNER) < 8:  # noqa: ASYNC110  the node is in threads
            await asyncio.sleep(0.01)
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
        await reading
    one = pb.GetBalanceRequest(address=str(TOKEN))
    await gateway.balances.GetBalance(one)
    assert 8 == svm_rpc.count(BY_OWNER)
    svm_rpc.faults.clear()


async def test_reading_waits_for_the_reader(adapters: Adapters, svm_rpc: SvmRpc) -> None:
    """Who reads one batch of a thousand wallets and stops has at most 80 of them asked for."""
    workflows = TokenWorkflows(
        adapters.database, adapters.chain, associated_token_address, metaplex_metadata_address
    )
    owners = [str(Keypair().pubkey()) for _ in range(1_000)]
    async with contextlib.aclosing(workflows.stream(owners, TokenFilter())) as batches:
        assert owners[:16] == [wallet.address for wallet in await anext(batches)]
        for _ in range(100):
            await asyncio.sleep(0.01)
        assert len({params[0] for name, params in svm_rpc.calls if name == BY_OWNER}) <= 80


def holdings(count: int) -> Sequence[TokenHolding]:
    """So many accounts."""
    return [TokenHolding(str(number), str(TOKEN), 5) for number in range(count)]


@pytest.mark.parametrize("counts", [[0], [1_000, 1], [2_500, 0, 3], [999, 2, 1_000], [0] * 40])
def test_messages_hold_a_thousand_accounts(counts: list[int]) -> None:
    """Wallets with thousands of accounts are cut into messages that say so; none is lost."""
    wallets = [WalletTokens(f"w{place}", 9, holdings(count)) for place, count in enumerate(counts)]
    responses = list(token_balances(wallets, 77))
    sizes = [sum(len(wallet.token_balances) for wallet in each.wallets) for each in responses]
    assert max(sizes) <= 1_000
    assert {77} == {response.wallet_count for response in responses}
    parts = [part for response in responses for part in response.wallets]
    joined: dict[str, list[str]] = {}
    for part, follower in zip(parts, [*parts[1:], None], strict=True):
        joined.setdefault(part.address, []).extend(a.token_account for a in part.token_balances)
        assert part.has_more == (follower is not None and follower.address == part.address)
    assert {w.address: [a.address for a in w.holdings] for w in wallets} == joined
