"""Policies and verdicts for tests, from a few words."""

from collections.abc import Collection, Sequence

from solders.instruction import Instruction
from solders.keypair import Keypair

from signer_daemon.intent import parse_transaction, read_intent
from signer_daemon.policy import Policy, Verdict, Wallet, evaluate_transaction, parse_policy
from tests.intent import world as w

ME, SIBLING, STRANGER = w.key(1), w.key(2), w.key(3)
OUT = w.key(4).pubkey()
ALL = "system, token, token-2022, associated-token, compute-budget, memo"
UNLIMITED = 'tokens_per_transaction_max = {"*" = "unlimited"}'


def policy(
    *lines: str,
    programs: str = ALL,
    destinations: str = '"any"',
    lamports: int = 10 * w.SOL,
    top: str = "",
) -> Policy:
    """A policy of one group called desk, with further `lines` in it."""
    names = ", ".join(f'"{name}"' for name in programs.split(", ") if name)
    text = f"""
version = 1
{top}
[[group]]
name = "desk"
master_fingerprints = ["*"]
index_last = 9
programs = [{names}]
destinations = {destinations}
lamports_per_transaction_max = {lamports}
"""
    return parse_policy((text + "\n".join(lines)).encode())


def wallet(signer: Keypair = ME, index: int = 0) -> Wallet:
    """A derived wallet."""
    return Wallet(str(signer.pubkey()), "0" * 32, index)


def judge(
    rules: Policy,
    *instructions: Instruction,
    vault: Collection[str] = (),
    payer: Keypair = STRANGER,
    signers: Sequence[Keypair] = (ME, SIBLING, STRANGER),
    who: Wallet | None = None,
    version: int = -1,
    priority_fee: int | None = None,
) -> Verdict:
    """The verdict for one wallet, ours unless `who` says otherwise, in a transaction that the
    stranger pays for unless `payer` says otherwise.
    """
    data = w.wire(instructions, payer, signers, version=version, priority_fee=priority_fee)
    intent = read_intent(parse_transaction(data).message, rules.ata_rent_lamports_max)
    return evaluate_transaction(rules, intent, who or wallet(), vault)
