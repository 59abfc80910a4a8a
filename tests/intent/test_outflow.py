"""The property that all caps stand on: executed on a real SVM with the wallet's signature, no
transaction moves more out of the wallet than its intent said.
"""

import itertools
import os
from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import TransactionMetadata

from signer_daemon.intent import Intent, Kind, parse_transaction, read_intent
from signer_daemon.intent.instructions import EXTENSIONS, ROLES
from signer_daemon.policy.loader import ATA_RENT_LAMPORTS_MAX
from tests.intent import system_actions, token_actions
from tests.intent import world as w
from tests.intent.examples import examples
from tests.intent.system_actions import Action

ACTIONS: list[Action] = [*system_actions.ACTIONS, *token_actions.ACTIONS]
AMOUNTS = st.one_of(
    st.integers(0, 2 * w.SOL),
    st.integers(w.SOL // 100, 2 * w.SOL),
    st.sampled_from([0, 1, 5000, 650_240, 890_880, 3 * w.SOL, 5 * w.SOL, 50 * w.SOL - 5000]),
    st.integers(0, 60 * w.SOL),
    st.integers(0, 2**64 - 1),
)
STEPS = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.integers(0, 179), AMOUNTS), min_size=1, max_size=6
)
OUTCOMES: Counter[str] = Counter()
EXECUTED: Counter[str] = Counter()


def execute(
    world: w.World, ixs: list[Instruction], payer: Keypair, signers: list[Keypair], version: int
) -> tuple[Intent, bool]:
    """Signs, judges and executes one transaction; gives its intent and whether it went through."""
    blockhash = world.svm.latest_blockhash()
    data = w.wire(ixs, payer, signers, version=version, priority_fee=12_345, blockhash=blockhash)
    intent = read_intent(parse_transaction(data).message, ATA_RENT_LAMPORTS_MAX)
    result = world.svm.send_transaction(VersionedTransaction.from_bytes(data))
    return intent, isinstance(result, TransactionMetadata)


def wealth(world: w.World) -> int:
    """All lamports of the wallet and its sibling, their token accounts included."""
    ours = [world.wallet.pubkey(), world.sibling.pubkey(), world.nonce, world.seed_account]
    ours += [w.ata(k, mint, program) for k in ours[:2] for mint, program in world.mints]
    return sum(world.svm.get_balance(address) or 0 for address in ours)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the wallet has: lamports it controls, lamports of all that is ours, tokens by mint."""

    lamports: int
    wealth: int
    tokens: dict[Pubkey, int]

    @classmethod
    def of(cls, world: w.World) -> "Holdings":
        """What it has now."""
        mints = [*world.mints, (world.mint_fee, w.TOKEN_2022)]
        tokens = {mint: world.tokens_owned(mint, program) for mint, program in mints}
        return cls(world.lamports_controlled(), wealth(world), tokens)


def assert_within(world: w.World, intent: Intent, before: Holdings) -> None:
    """Compares what left the wallet with what the intent said could leave."""
    after, me = Holdings.of(world), str(world.wallet.pubkey())
    bound, effects = intent.lamports_out_max(me), intent.of(me)
    if bound is not None:
        assert before.lamports - after.lamports <= bound
    said: Counter[str | None] = Counter()
    for effect in effects:
        if effect.kind is Kind.TOKENS:
            said[effect.mint] += 2**64 if effect.amount is None else effect.amount
    swept = any(effect.kind is Kind.SWEEP for effect in effects)
    # Whoever is made an account's owner may empty it: said, but with no amount.
    ceded = any(effect.role.endswith("/setAuthority") for effect in effects)
    for mint, held in before.tokens.items():
        # A close empties a wrapped-SOL account: judged by where it goes.
        if not ceded and not (swept and mint == w.NATIVE):
            assert held - after.tokens[mint] <= said[str(mint)] + said[None]
    assert_wealth(world, intent, before.wealth - after.wealth)


def assert_wealth(world: w.World, intent: Intent, lost: int) -> None:
    """All that is ours, token accounts included, loses no more than both wallets' bounds; where
    every amount is known and nothing is swept or handed over.
    """
    ours = [str(key.pubkey()) for key in (world.wallet, world.sibling)]
    bounds = [intent.lamports_out_max(address) for address in ours]
    told = [bound for bound in bounds if bound is not None]
    effects = [effect for address in ours for effect in intent.of(address)]
    untold = any(
        effect.kind in {Kind.SWEEP, Kind.AUTHORITY}
        or (effect.kind is Kind.TOKENS and effect.mint is None)
        for effect in effects
    )
    if len(told) == len(bounds) and not untold:
        OUTCOMES["wealth compared"] += 1
        assert lost <= sum(told)


def attempt(
    world: w.World, ixs: list[Instruction], payer: Keypair, signers: list[Keypair], version: int
) -> tuple[Intent, int | None]:
    """Executes and compares. Gives the intent and which instruction failed: -1 the transaction
    itself, None if it went through.
    """
    before = Holdings.of(world)
    blockhash = world.svm.latest_blockhash()
    data = w.wire(ixs, payer, signers, version=version, priority_fee=12_345, blockhash=blockhash)
    intent = read_intent(parse_transaction(data).message, ATA_RENT_LAMPORTS_MAX)
    result = world.svm.send_transaction(VersionedTransaction.from_bytes(data))
    assert_within(world, intent, before)
    if isinstance(result, TransactionMetadata):
        return intent, None
    return intent, getattr(result.err(), "index", -1)


@examples(300)
@given(STEPS, st.sampled_from([-1, 0, 1]), st.sampled_from([0, 0, 1, 2]))
def test_no_more_leaves_than_the_intent_said(
    steps: list[tuple[Action, int, int]], version: int, payer: int
) -> None:
    """Random mixes of every decoded instruction, executed: lamports of the wallet, its nonce and
    seed accounts, and tokens by mint, never fall by more than the intent's bound. What a mix fails
    at is taken out of it, until the rest goes through.
    """
    world = w.World()
    signers: list[Keypair] = []
    ixs = [action(world, signers, pick, amount) for action, pick, amount in steps]
    payer_key = [world.wallet, world.sibling, world.stranger][payer]
    failed: int | None = 0
    OUTCOMES["mixes"] += 1
    while ixs and failed is not None:
        try:
            intent, failed = attempt(world, ixs, payer_key, signers, version)
        except ValueError:  # too long for a packet, or a sum that even this chain cannot name
            failed = -1
            OUTCOMES["not a transaction"] += 1
        else:
            OUTCOMES["refused by the chain" if failed is not None else "executed"] += 1
            if failed is None:
                EXECUTED.update(effect.role for effect in intent.effects)
        if failed is not None:
            del ixs[failed]
            world.svm.expire_blockhash()


def roles_of(ixs: list[Instruction]) -> set[str]:
    """What the signer calls these instructions, whoever pays."""
    payer, others = w.key(3), [w.key(1), w.key(2), *map(w.key, range(2000, 2072))]
    message = parse_transaction(w.wire(ixs, payer, others)).message
    return {effect.role for effect in read_intent(message, ATA_RENT_LAMPORTS_MAX).effects}


def test_every_decoded_instruction_is_executed() -> None:
    """The mixes are of all that is decoded: for each role there is an action and a choice that the
    chain executes. Of the extensions that are only named, three stand for all.
    """
    done: set[str] = set()
    drawing = w.World()
    for action, pick in itertools.product(dict.fromkeys(ACTIONS), range(72)):
        steps = [pick]
        if action is token_actions.extend and pick % 3:
            steps.insert(0, 0)  # the account must have room for the others
        drawn = [action(drawing, [], step, w.SOL) for step in steps]
        if roles_of(drawn) <= done:
            continue
        world = w.World()
        signers: list[Keypair] = []
        ixs = [action(world, signers, step, w.SOL) for step in steps]
        if attempt(world, ixs, world.stranger, signers, -1)[1] is None:
            done |= roles_of(ixs)
    named = {f"token-2022/{row.name}" for row in EXTENSIONS.values()}
    assert {"token-2022/reallocate", "token-2022/memoTransferExtension"} <= done
    assert set(ROLES) - named == (done & set(ROLES)) - named


def test_the_bound_is_exact_where_everything_is_known() -> None:
    """The positive control: a transfer, an account and fees that go through cost what was said, so
    the property above compares with real movement.
    """
    for version in (-1, 0, 1):
        world = w.World()
        signers: list[Keypair] = []
        actions = (system_actions.pay, system_actions.pay_seeded, system_actions.create_seeded)
        ixs = [action(world, signers, at % 2, w.SOL) for at, action in enumerate(actions)]
        before = world.lamports_controlled()
        intent, succeeded = execute(world, ixs, world.wallet, signers, version)
        assert succeeded
        said = intent.lamports_out_max(str(world.wallet.pubkey()))
        unpaid = 12_345 if version == 1 else 0  # LiteSVM does not collect v1's priority fee
        assert said == before - world.lamports_controlled() + unpaid


def test_examples_can_be_scaled() -> None:
    """SOLWARD_EXAMPLES sets the number of examples, as the 10,000 of a release run."""
    wanted = int(os.environ.get("SOLWARD_EXAMPLES", "300"))
    assert wanted == examples(300).max_examples
