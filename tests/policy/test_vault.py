"""The promise of `destinations = "vault"`, on a real SVM: what is allowed stays in the vault."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair

from signer_daemon.policy import evaluate_transaction
from tests.intent import test_outflow as outflow
from tests.intent import world as w
from tests.intent.examples import examples
from tests.intent.system_actions import Action
from tests.policy.build import SIBLING, UNLIMITED, policy, wallet

RULES = policy(
    UNLIMITED, 'close_refunds = "destinations"', destinations='"vault"', lamports=2**64 - 1
)
OUTCOMES: Counter[tuple[bool, bool]] = Counter()


@examples(300)
@given(outflow.STEPS, st.sampled_from([-1, 0, 1]), st.booleans())
def test_allowed_transactions_leave_nothing_outside(
    steps: list[tuple[Action, int, int]], version: int, pays: bool
) -> None:
    """If the policy allows every one of our signatures, then after execution our wallets, their
    token accounts, nonce and seed account together hold what they held, less the fees.
    """
    world = w.World()
    signers: list[Keypair] = []
    ixs = [action(world, signers, pick, amount) for action, pick, amount in steps]
    before = outflow.wealth(world)
    payer = world.wallet if pays else world.stranger
    try:
        intent, succeeded = outflow.execute(world, ixs, payer, signers, version)
    except ValueError:
        return
    vault = {str(world.wallet.pubkey()), str(world.sibling.pubkey())}
    ours = [wallet(), wallet(SIBLING, 1)]
    verdicts = [
        evaluate_transaction(RULES, intent, who, vault)
        for who in ours
        if who.address in intent.signers
    ]
    allowed = all(verdict.allowed for verdict in verdicts)
    OUTCOMES[allowed, succeeded] += 1
    if allowed:
        fees = intent.fee_lamports(ours[0].address)
        assert before - outflow.wealth(world) <= fees


def test_the_property_sees_a_theft() -> None:
    """The positive control: the same measure falls when a transfer goes outside, and the policy
    refuses exactly that transfer.
    """
    world = w.World()
    before = outflow.wealth(world)
    ixs = [w.transfer(world.wallet.pubkey(), world.outsider, w.SOL)]
    intent, succeeded = outflow.execute(world, ixs, world.stranger, [world.wallet], 0)
    assert succeeded
    assert before - outflow.wealth(world) == w.SOL
    verdict = evaluate_transaction(RULES, intent, wallet(), {str(world.sibling.pubkey())})
    assert verdict.rule == "desk/destinations: vault"
