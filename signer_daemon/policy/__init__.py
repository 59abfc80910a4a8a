"""What may be signed: a strict, default-deny policy file and its verdicts. Pure but for `load`."""

from signer_daemon.policy.judge import (
    Verdict,
    Wallet,
    evaluate_message,
    evaluate_transaction,
)
from signer_daemon.policy.loader import load, parse_policy
from signer_daemon.policy.model import Group, Policy, PolicyError

__all__ = [
    "Group",
    "Policy",
    "PolicyError",
    "Verdict",
    "Wallet",
    "evaluate_message",
    "evaluate_transaction",
    "load",
    "parse_policy",
]
