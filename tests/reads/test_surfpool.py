"""Reads of many wallets from Surfpool: a node that somebody else wrote, with its own indexes."""

import base64
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from gateway.config import Config, Listen, Postgres, Solana
from solward.gateway.v1 import balance_service_pb2 as pb
from solward_client.devstack.surfpool import Surfpool
from tests.gateway.support import Gateway
from tests.reads.conftest import Adopt
from tests.reads.tokens import TOKEN, TOKEN_2022, TokenChain

pytestmark = pytest.mark.localnet
SETTLED_S = 30


@dataclass(frozen=True, slots=True)
class Arrived:
    """A transaction that is in a block."""

    transaction: VersionedTransaction
    error: None = None

    @property
    def signature(self) -> Signature:
        """The first signature."""
        return self.transaction.signatures[0]


@dataclass
class SurfChain:
    """What TokenChain needs of a chain, over JSON-RPC."""

    surfpool: Surfpool
    landed: dict[Signature, Arrived] = field(default_factory=dict)

    def call(self, method: str, *params: object) -> Any:
        """The result of one call."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return httpx.post(self.surfpool.rpc_url, json=body, timeout=30).json()["result"]

    def fund(self, address: Pubkey, lamports: int) -> None:
        """Gives lamports out of nowhere."""
        self.wait(self.call("requestAirdrop", str(address), lamports), {"confirmed", "finalized"})

    def latest_blockhash(self, commitment: str) -> tuple[Hash, int]:
        """A blockhash."""
        found = self.call("getLatestBlockhash", {"commitment": commitment})["value"]
        return Hash.from_string(found["blockhash"]), found["lastValidBlockHeight"]

    def send(self, transaction: VersionedTransaction) -> None:
        """Sends a transaction and waits until it is in a block."""
        wire = base64.b64encode(bytes(transaction)).decode()
        options = {"encoding": "base64", "preflightCommitment": "processed"}
        name = self.call("sendTransaction", wire, options)
        self.wait(name, {"confirmed", "finalized"})
        self.landed[transaction.signatures[0]] = Arrived(transaction)

    def wait(self, name: str, levels: set[str]) -> None:
        """Returns when a transaction is as settled as wanted."""
        give_up = time.monotonic() + SETTLED_S
        while time.monotonic() < give_up:
            (status,) = self.call("getSignatureStatuses", [name])["value"]
            if status and status["confirmationStatus"] in levels:
                assert status["err"] is None
                return
            time.sleep(0.05)  # the chain has a clock of its own
        raise AssertionError(f"{name} is not {levels}")

    def advance(self) -> None:
        """The chain advances by itself."""


@pytest.fixture
def config(signer_socket: Path, database_url: str, surfpool: Surfpool) -> Config:
    """A gateway on Surfpool."""
    return Config(
        signer_socket=signer_socket,
        listen=Listen(tcp="127.0.0.1:0"),
        postgres=Postgres(url=database_url),
        solana=Solana(rpc_url=surfpool.rpc_url),
    )


async def test_streams_totals_and_history(
    gateway: Gateway, adopt: Adopt, surfpool: Surfpool
) -> None:
    """Both programs, an auxiliary account, associated accounts alone, sums, and received tokens."""
    chain = SurfChain(surfpool)
    tokens = TokenChain(cast(Any, chain))
    first, second, sender = Keypair(), Keypair(), Keypair()
    wallet_id = await adopt(first, "desk")
    await adopt(second, "desk")
    plain, fees = tokens.mint(TOKEN, 6), tokens.fee_mint(2, "GELD")
    mine = tokens.open(first.pubkey(), plain, TOKEN)
    other = tokens.open_auxiliary(second.pubkey(), plain, TOKEN)
    tokens.issue(plain, other, 2**63, TOKEN)
    geld = tokens.open(second.pubkey(), fees, TOKEN_2022)
    theirs = tokens.open(sender.pubkey(), plain, TOKEN)
    tokens.issue(fees, geld, 5, TOKEN_2022)
    tokens.issue(plain, theirs, 100, TOKEN)
    moved = tokens.move(theirs, sender, mine, plain, TOKEN, 70, 6)

    async def amounts(**options: Any) -> list[set[tuple[str, int, int, str]]]:
        request = pb.StreamTokenBalancesRequest(
            wallets=pb.WalletSelection(tag="desk"), filter=pb.TokenFilter(**options)
        )
        return [
            {(a.token_account, a.amount, a.decimals, a.symbol) for a in wallet.token_balances}
            async for response in gateway.balances.StreamTokenBalances(request)
            for wallet in response.wallets
        ]

    held = (str(mine), 70, 6, "")
    auxiliary, extended = (str(other), 2**63, 6, ""), (str(geld), 5, 2, "GELD")
    assert [{held}, {auxiliary, extended}] == await amounts()
    assert [{held}, {auxiliary}] == await amounts(mints=[str(plain)])
    named = [str(plain), str(fees)]
    assert [{held}, {extended}] == await amounts(mints=named, associated_only=True)

    selection = pb.WalletSelection(tag="desk")
    answer = await gateway.balances.GetTotalBalances(pb.GetTotalBalancesRequest(wallets=selection))
    assert {str(plain): str(2**63 + 70), str(fees): "5"} == {
        t.mint: t.amount for t in answer.tokens
    }
    assert 0 == answer.error_count

    chain.wait(str(moved.signature), {"finalized"})
    request = pb.ListTransactionsRequest(wallet_id=str(wallet_id), include_token_accounts=True)
    newest = (await gateway.balances.ListTransactions(request)).transactions[0]
    assert (str(moved.signature), "") == (newest.signature, newest.error_reason)
    (change,) = newest.token_changes
    assert (str(mine), 0, 70) == (change.token_account, change.before_amount, change.after_amount)
