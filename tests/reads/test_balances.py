"""BatchGetBalances by master, by tag, and under a deadline."""

import asyncio
import contextlib
import time

import grpc
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from solward.gateway.v1 import balance_service_pb2 as pb
from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from tests.gateway.support import Gateway, in_clear, new_id, refusal_of
from tests.reads.conftest import Adopt
from tests.support.svm_rpc import SvmRpc

SYSTEM = "11111111111111111111111111111111"


async def test_a_tag_has_a_value(gateway: Gateway, adopt: Adopt, svm_rpc: SvmRpc) -> None:
    """The wallets with the tag, in order of creation, their sum, each with its slot; no others."""
    pairs = [Keypair() for _ in range(3)]
    for number, pair in enumerate(pairs):
        await adopt(pair, "desk", "hot") if number != 1 else await adopt(pair, "cold")
        svm_rpc.chain.fund(pair.pubkey(), 2**62 + number)
    answer = await gateway.balances.BatchGetBalances(pb.BatchGetBalancesRequest(tag="hot"))
    expected = [(str(pairs[0].pubkey()), 2**62), (str(pairs[2].pubkey()), 2**62 + 2)]
    assert expected == [(item.address, item.balance_lamports) for item in answer.balances]
    assert (2**63 + 2, 0) == (answer.total_lamports, answer.error_count)
    assert all(item.context_slot for item in answer.balances)
    none = await gateway.balances.BatchGetBalances(pb.BatchGetBalancesRequest(tag="nobody"))
    assert (0, 0) == (len(none.balances), none.total_lamports)


async def test_one_that_is_named_twice_counts_twice(gateway: Gateway, svm_rpc: SvmRpc) -> None:
    """As the proto says: read once, shown and added up as often as it is named."""
    address = Pubkey.new_unique()
    svm_rpc.chain.fund(address, 5)
    named = pb.AddressList(addresses=[str(address)] * 2)
    answer = await gateway.balances.BatchGetBalances(pb.BatchGetBalancesRequest(addresses=named))
    assert ([5, 5], 10) == (
        [item.balance_lamports for item in answer.balances],
        answer.total_lamports,
    )
    ((asked, _),) = [params for method, params in svm_rpc.calls if method == "getMultipleAccounts"]
    assert [str(address)] == asked


async def test_a_sum_that_no_cluster_holds_is_refused(gateway: Gateway, svm_rpc: SvmRpc) -> None:
    """Each balance is a u64 and their sum is not: the node lies, and no total is guessed."""
    named = pb.AddressList(addresses=[str(Pubkey.new_unique()) for _ in range(2)])
    account = {
        "lamports": 2**63, "owner": SYSTEM, "data": ["", "base64"], "executable": False,
    }  # fmt: skip
    answer = {"context": {"slot": 5_000}, "value": [account, account]}
    svm_rpc.faults.result("getMultipleAccounts", answer, times=None)
    request = pb.BatchGetBalancesRequest(addresses=named)
    refusal = await refusal_of(gateway.balances.BatchGetBalances(request))
    assert grpc.StatusCode.UNAVAILABLE is refusal.code
    assert "sum to more than 2**64-1" in refusal.message
    svm_rpc.faults.clear()


async def test_a_bad_tag_is_named(gateway: Gateway) -> None:
    """What can be no tag is refused."""
    request = pb.BatchGetBalancesRequest(tag=" ")
    assert ("tag",) == (await refusal_of(gateway.balances.BatchGetBalances(request))).fields


async def test_a_master_is_read_in_index_order(
    gateway: Gateway, master: master_pb.MasterWallet
) -> None:
    """Indices derived out of order come back in order of index, not of creation."""
    for first in (5, 0):
        async for _ in gateway.wallets.DeriveWallets(
            wallet_pb.DeriveWalletsRequest(
                request_id=new_id(), master_wallet_id=master.id, first_index=first, count=2,
                credential=in_clear(),
            )
        ):  # fmt: skip
            pass
    listed = await gateway.wallets.ListWallets(
        wallet_pb.ListWalletsRequest(master_wallet_id=master.id)
    )
    by_index = sorted(listed.wallets, key=lambda wallet: wallet.derivation_index)
    assert [5, 6, 0, 1] == [wallet.derivation_index for wallet in listed.wallets]
    answer = await gateway.balances.BatchGetBalances(
        pb.BatchGetBalancesRequest(master_wallet_id=master.id)
    )
    assert [wallet.address for wallet in by_index] == [item.address for item in answer.balances]


async def test_a_deadline_ends_the_reading_not_the_answer(
    gateway: Gateway, svm_rpc: SvmRpc
) -> None:
    """One call in three stalls: its hundred are errors, the others' balances come, in time."""
    addresses = [str(Pubkey.new_unique()) for _ in range(300)]
    svm_rpc.chain.fund(Pubkey.from_string(addresses[0]), 5)
    svm_rpc.chain.fund(Pubkey.from_string(addresses[299]), 5)
    svm_rpc.faults.delay("getMultipleAccounts", times=1)
    started = time.monotonic()
    answer = await gateway.balances.BatchGetBalances(
        pb.BatchGetBalancesRequest(addresses=pb.AddressList(addresses=addresses)), timeout=3
    )
    assert time.monotonic() - started < 3
    assert 100 == answer.error_count
    assert {"RPC_UNAVAILABLE"} == {item.error_reason for item in answer.balances} - {""}
    assert answer.total_lamports in {5, 10}


async def test_a_caller_that_leaves_ends_the_work(gateway: Gateway, svm_rpc: SvmRpc) -> None:
    """After a cancelled call nothing more is asked of the node."""
    svm_rpc.faults.delay("getMultipleAccounts", times=8)
    addresses = [str(Pubkey.new_unique()) for _ in range(2_000)]
    call = gateway.balances.BatchGetBalances(
        pb.BatchGetBalancesRequest(addresses=pb.AddressList(addresses=addresses))
    )
    async with asyncio.timeout(10):
        while svm_rpc.count("getMultipleAccounts") < 8:  # noqa: ASYNC110  the node is in threads
            await asyncio.sleep(0.01)
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
        await call
    # All places at the endpoint are taken until the gateway hears of it.
    one = pb.GetBalanceRequest(address=addresses[0])
    assert 0 == (await gateway.balances.GetBalance(one)).balance_lamports
    assert 8 == svm_rpc.count("getMultipleAccounts")
    svm_rpc.faults.clear()
