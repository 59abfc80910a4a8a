"""Solward's client side: a thin client, credential sealing, the `solward` command, the dev stack.

from solward_client import Solward

with Solward.connect("unix:/run/solward/gateway.sock") as solward:
    master = solward.masters.create(password)
    solward.wallets.derive(master, 10_000, password)
"""

from solward_client.admin import Admin
from solward_client.balances import select
from solward_client.channel import Tls
from solward_client.client import Solward
from solward_client.distributions import Payout
from solward_client.errors import SolwardError
from solward_client.signing import Session, Transaction
from solward_client.wallets import Derivation, WalletFilter

__all__ = [
    "Admin",
    "Derivation",
    "Payout",
    "Session",
    "Solward",
    "SolwardError",
    "Tls",
    "Transaction",
    "WalletFilter",
    "select",
]
