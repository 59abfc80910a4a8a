"""A gateway in this process on a real signer: what a plan comes to under a policy."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from solders.pubkey import Pubkey

from gateway.app import open_adapters
from gateway.config import Config, Distribution, Listen, Postgres, Solana
from gateway.domain.packing import TransactionVersion
from solward.gateway.v1 import distribution_service_pb2 as pb
from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from tests.gateway.support import Gateway, in_clear, new_id, serve_in_process
from tests.support.processes import SignerProcess
from tests.support.svm_rpc import SvmRpc

POLICY = """version = 1
{tables}
[[group]]
name = "desk"
master_fingerprints = ["*"]
index_last = 99999
signatures_per_minute = 1_000_000
programs = ["system", "token", "token-2022", "associated-token", "compute-budget"]
lamports_per_transaction_max = 1_000_000_000_000
destinations = "any"
close_refunds = "destinations"
{caps}
[group.tokens_per_transaction_max]
"*" = "unlimited"
{token_caps}
"""


def policy(caps: str = "", token_caps: str = "", tables: str = "") -> str:
    """A policy with lines of its own: caps of the group, tables of it, pinned lookup tables."""
    return POLICY.format(caps=caps, token_caps=token_caps, tables=tables)


@dataclass(frozen=True, slots=True)
class RealDesk:
    """Wallets of a master under a real signer's policy, with 1,000 SOL in the first."""

    gateway: Gateway
    node: SvmRpc
    wallets: Sequence[wallet_pb.Wallet]

    def payout(self, addresses: Sequence[str], total: int, **more: Any) -> Any:
        """A request to pay `addresses` evenly from the first wallet."""
        return pb.CreateDistributionRequest(
            request_id=new_id(),
            source_wallet_id=self.wallets[0].id,
            recipients=pb.Recipients(addresses=pb.RecipientAddresses(addresses=addresses)),
            total_amount=total,
            split=pb.Split(even=pb.EvenSplit()),
            **more,
        )

    def estimate(self, payout: pb.CreateDistributionRequest) -> pb.EstimateCostRequest:
        """A request for the cost of a payout."""
        return pb.EstimateCostRequest(
            source_wallet_id=payout.source_wallet_id,
            recipients=payout.recipients,
            total_amount=payout.total_amount,
            mint=payout.mint,
        )

    async def stored(self) -> int:
        """How many plans are stored."""
        page = await self.gateway.distributions.ListDistributions(pb.ListDistributionsRequest())
        return len(page.distributions)


@asynccontextmanager
async def real_desk(
    signer: SignerProcess,
    database_url: str,
    node: SvmRpc,
    wallets: int = 4,
    version: TransactionVersion = TransactionVersion.LEGACY,
    price: int = 0,
) -> AsyncIterator[RealDesk]:
    """Opens the gateway, makes a master with wallets and funds the first.

    `price` is what a compute unit costs at least, in micro-lamports.
    """
    config = Config(
        signer_socket=signer.socket,
        listen=Listen(tcp="127.0.0.1:0"),
        postgres=Postgres(url=database_url),
        solana=Solana(rpc_url=node.url),
        seal_plaintext_secrets=True,
        distribution=Distribution(version, price),
    )
    async with open_adapters(config) as adapters, serve_in_process(config, adapters) as gateway:
        made = await gateway.masters.CreateMasterWallet(
            master_pb.CreateMasterWalletRequest(
                request_id=new_id(), word_count=12, credential=in_clear()
            )
        )
        master_id = made.master_wallet.id
        async for _ in gateway.wallets.DeriveWallets(
            wallet_pb.DeriveWalletsRequest(
                request_id=new_id(),
                master_wallet_id=master_id,
                count=wallets,
                credential=in_clear(),
            )
        ):
            pass
        page = await gateway.wallets.ListWallets(
            wallet_pb.ListWalletsRequest(master_wallet_id=master_id)
        )
        node.chain.fund(Pubkey.from_string(page.wallets[0].address), 10**12)
        yield RealDesk(gateway, node, page.wallets)
