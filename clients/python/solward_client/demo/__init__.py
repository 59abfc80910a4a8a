"""`solward demo`: the main job end to end on real parts, with every claim checked."""

from solward_client.demo.run import run_demo
from solward_client.demo.scale import RECIPIENTS, WALLETS, Scale

__all__ = ["RECIPIENTS", "WALLETS", "Scale", "run_demo"]
