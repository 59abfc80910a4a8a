"""What the steps of the demonstration share."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from solward.gateway.v1.balance_service_pb2 import BatchGetBalancesResponse
from solward.gateway.v1.master_wallet_service_pb2 import MasterWallet
from solward.gateway.v1.wallet_service_pb2 import Wallet
from solward_client.admin import Admin
from solward_client.client import Solward
from solward_client.demo.chain import Chain
from solward_client.demo.claims import Claims
from solward_client.demo.scale import Scale
from solward_client.demo.screen import Screen


@dataclass(frozen=True, slots=True)
class Scene:
    """The running stack by its clients, the scale, and where claims and progress go."""

    solward: Solward
    admin: Admin
    chain: Chain
    scale: Scale
    screen: Screen
    claims: Claims
    # Nobody has to remember it: the stack is gone when the demonstration ends.
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)


@dataclass(frozen=True, slots=True)
class Vault:
    """A master with its wallets by index: the first pays, the next are paid, the rest looks on."""

    master: MasterWallet
    wallets: Sequence[Wallet]
    recipient_count: int

    @property
    def source(self) -> Wallet:
        """The wallet that pays."""
        return self.wallets[0]

    @property
    def limited(self) -> Wallet:
        """The wallet that runs into its rate limit."""
        return self.wallets[self.recipient_count + 1]

    @property
    def sample(self) -> Wallet:
        """The wallet that signs samples."""
        return self.wallets[self.recipient_count + 2]

    def read(self, scene: Scene, when: str) -> list[int]:
        """Return every wallet's balance in lamports, by index; `when` goes into the claim."""
        answer: BatchGetBalancesResponse = scene.solward.balances.of_master(self.master.id)
        scene.claims.check(
            f"{len(self.wallets):,} balances were read {when} the payout",
            holds=[balance.address for balance in answer.balances]
            == [wallet.address for wallet in self.wallets]
            and answer.error_count == 0,
            seen=f"{len(answer.balances):,} in order, {answer.error_count} errors",
        )
        return [balance.balance_lamports for balance in answer.balances]
