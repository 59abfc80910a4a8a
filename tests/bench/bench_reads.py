"""Token balances of 10,000 wallets: the gateway's stream against the same JSON-RPC calls made bare.

The node is the fixture over LiteSVM, in this process, with an index of token accounts by owner:
it is the slower half of what the clock shows.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
import httpx
import psutil
import pytest
from rich.table import Table
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.token.state import TokenAccount, TokenAccountState

from solward.gateway.v1 import balance_service_pb2 as pb
from solward.gateway.v1.balance_service_pb2_grpc import BalanceServiceStub
from tests.reads.tokens import TOKEN, TOKEN_2022, TokenChain, associated
from tests.support import svm_reads
from tests.support.processes import GatewayProcess
from tests.support.svm_rpc import SvmRpc

WALLETS = 10_000
SAMPLE = 2_000  # of the calls, to be made bare
# The fixture itself answers some 500 calls a second. Of a call for 100 accounts the gateway's own
# work is the greater part: it derives 100 addresses and decodes as many accounts.
RATIO_MAX = 6.0
_AT_ONCE = 8


@pytest.fixture
def wallets(svm_rpc: SvmRpc, monkeypatch: pytest.MonkeyPatch) -> tuple[Pubkey, list[Pubkey]]:
    """A mint, and wallets of which each has an associated account of it with one unit."""
    mint = TokenChain(svm_rpc.chain).mint(TOKEN, 6)
    owners = [Keypair().pubkey() for _ in range(WALLETS)]
    index: dict[Pubkey, list[tuple[Pubkey, Account]]] = {}
    for owner in owners:
        state = TokenAccountState.Initialized
        data = bytes(TokenAccount(mint, owner, 1, None, state, None, 0, None))
        place, account = associated(owner, mint, TOKEN), Account(1_488_440, data, TOKEN)
        svm_rpc.chain.svm.set_account(place, account)
        index[owner] = [(place, account)]

    def listed(_chain: object, owner: Pubkey, where: dict[str, str]) -> Sequence[tuple[Any, Any]]:
        return [] if where.get("programId") == str(TOKEN_2022) else index.get(owner, [])

    monkeypatch.setattr(svm_reads, "token_accounts", listed)
    return mint, owners


@pytest.fixture
def stub(gateway_process: GatewayProcess) -> Iterator[BalanceServiceStub]:
    """A client of the gateway."""
    with grpc.insecure_channel(gateway_process.target) as channel:
        yield BalanceServiceStub(channel)


async def bare_s(url: str, calls: Sequence[tuple[str, list[object]]]) -> float:
    """Seconds that calls take a plain client with as many connections, answers thrown away."""
    work = iter(enumerate(calls))

    async def post(client: httpx.AsyncClient) -> None:
        for number, (method, params) in work:
            body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            (await client.post(url, json=body)).raise_for_status()

    limits = httpx.Limits(max_connections=_AT_ONCE)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:
        began = time.perf_counter()
        await asyncio.gather(*(post(client) for _ in range(_AT_ONCE)))
        return time.perf_counter() - began


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("way", "count"),
    [("both programs", 1_000), ("both programs", WALLETS), ("one mint", WALLETS),
     ("associated only", WALLETS)],
)  # fmt: skip
def test_token_balances_streamed(
    gateway_process: GatewayProcess,
    stub: BalanceServiceStub,
    svm_rpc: SvmRpc,
    wallets: tuple[Pubkey, list[Pubkey]],
    table: Table,
    way: str,
    count: int,
) -> None:
    """All wallets come, in order, in at most six times what the bare calls take."""
    mint, owners = wallets
    addresses = [str(owner) for owner in owners[:count]]
    mints = [] if way == "both programs" else [str(mint)]
    request = pb.StreamTokenBalancesRequest(
        wallets=pb.WalletSelection(addresses=pb.AddressList(addresses=addresses)),
        filter=pb.TokenFilter(mints=mints, associated_only=way == "associated only"),
    )
    svm_rpc.calls.clear()
    process = psutil.Process(gateway_process.pid)
    before_s, began = sum(process.cpu_times()[:2]), time.perf_counter()
    parts = [part for response in stub.StreamTokenBalances(request) for part in response.wallets]
    clock_s = time.perf_counter() - began
    cpu_s = sum(process.cpu_times()[:2]) - before_s
    assert addresses == [part.address for part in parts]
    assert [1] * count == [sum(item.amount for item in part.token_balances) for part in parts]
    calls = [call for call in svm_rpc.calls if call[0].startswith(("getTokenAcc", "getMult"))]
    sample = calls[:SAMPLE]
    floor_s = asyncio.run(bare_s(svm_rpc.url, sample)) * len(calls) / len(sample)
    resident = process.memory_info().rss / 2**20
    table.add_row(
        f"{count:,} wallets, {way}: {len(calls):,} calls, {cpu_s:.1f} s CPU, {resident:.0f} MiB",
        f"{clock_s:.2f} s",
        f"{floor_s:.2f} s",
        f"{clock_s / floor_s:.2f}",
    )
    assert clock_s / floor_s <= RATIO_MAX
