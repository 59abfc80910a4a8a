"""The property that all caps stand on: executed on a real SVM with the wallet's signature, no
transaction moves more out of the wallet than its intent said.
"""

import os
import struct
from collections import Counter
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import TransactionMetadata

from signer_daemon.intent import Intent, Kind, parse_transaction, read_intent
from signer_daemon.policy.loader import ATA_RENT_LAMPORTS_MAX
from tests.intent import world as w
from tests.intent.examples import examples

Q = struct.pack
# (world, signers that the transaction gains, numbers to choose with) -> instruction
Action = Callable[[w.World, list[Keypair], int, int], Instruction]


def target(world: w.World, pick: int) -> Pubkey:
    """Somebody to pay: strangers, ourselves, accounts that do not exist yet."""
    choices = [
        world.outsider,
        world.stranger.pubkey(),
        world.sibling.pubkey(),
        world.wallet.pubkey(),
    ]
    return [*choices, w.key(1000 + pick).pubkey()][pick % 5]


def source(world: w.World, pick: int) -> Keypair:
    """Mostly the wallet under test, sometimes another signer."""
    return [world.wallet, world.wallet, world.wallet, world.sibling, world.stranger][pick % 5]


def pay(world: w.World, signers: list[Keypair], pick: int, amount: int) -> Instruction:
    """System transfer."""
    payer = source(world, pick // 5)
    signers.append(payer)
    return w.transfer(payer.pubkey(), target(world, pick), amount)


def create(world: w.World, signers: list[Keypair], pick: int, amount: int) -> Instruction:
    """System createAccount, also of the kind that a wallet must never sign."""
    payer, new = source(world, pick), w.key(2000 + pick)
    signers += [payer, new]
    owner = [w.SYSTEM, w.TOKEN][pick % 2]
    keys = w.meta(payer.pubkey(), new.pubkey(), signers=[payer.pubkey(), new.pubkey()])
    return w.system(0, Q("<QQ", amount, pick % 200) + bytes(owner), keys)


def create_seeded(world: w.World, signers: list[Keypair], pick: int, amount: int) -> Instruction:
    """System createAccountWithSeed, the wallet paying and being the base."""
    me, seed = world.wallet.pubkey(), f"new{pick}"
    signers.append(world.wallet)
    new = Pubkey.create_with_seed(me, seed, w.SYSTEM)
    data = bytes(me) + w.seeded(seed.encode()) + Q("<QQ", amount, 0) + bytes(w.SYSTEM)
    return w.system(3, data, w.meta(me, new, signers=[me]))


def pay_seeded(world: w.World, signers: list[Keypair], pick: int, amount: int) -> Instruction:
    """System transferWithSeed out of the derived account."""
    me = world.wallet.pubkey()
    signers.append(world.wallet)
    keys = w.meta(world.seed_account, me, target(world, pick), signers=[me])
    return w.system(11, Q("<Q", amount) + w.seeded(b"s") + bytes(w.SYSTEM), keys)


def withdraw_nonce(world: w.World, signers: list[Keypair], pick: int, amount: int) -> Instruction:
    """System withdrawNonce, the authority in its place or behind the others."""
    me = world.wallet.pubkey()
    signers.append(world.wallet)
    keys = [world.nonce, target(world, pick), w.RECENT_BLOCKHASHES, w.RENT]
    return w.system(5, Q("<Q", amount), w.meta(*keys, *([w.MEMO] * (pick % 2)), me, signers=[me]))


def token_parts(world: w.World, pick: int) -> tuple[Pubkey, Pubkey, Pubkey, Pubkey]:
    """A mint, its program, the wallet's account and another's."""
    mint, program = world.mints[pick % 3]
    other = [world.sibling, world.stranger, world.wallet][pick // 3 % 3].pubkey()
    return mint, program, w.ata(world.wallet.pubkey(), mint, program), w.ata(other, mint, program)


def send_token(world: w.World, signers: list[Keypair], pick: int, amount: int) -> Instruction:
    """Token transfer, transferChecked, approve, burn, mintTo."""
    mint, program, mine, theirs = token_parts(world, pick)
    me = world.wallet.pubkey()
    signers.append(world.wallet)
    decimals = 9 if mint == w.NATIVE else 6
    choices: list[tuple[bytes, list[Pubkey]]] = [
        (b"\3" + Q("<Q", amount), [mine, theirs, me]),
        (b"\x0c" + Q("<QB", amount, decimals), [mine, mint, theirs, me]),
        (b"\4" + Q("<Q", amount), [mine, theirs, me]),
        (b"\x08" + Q("<Q", amount), [mine, mint, me]),
        (b"\7" + Q("<Q", amount), [mint, theirs, me]),
    ]
    data, keys = choices[pick // 9 % 5]
    return Instruction(program, data, w.meta(*keys, signers=[me]))


def close_token(world: w.World, signers: list[Keypair], pick: int, _amount: int) -> Instruction:
    """Token closeAccount, withdrawExcessLamports, syncNative, revoke."""
    _, program, mine, _ = token_parts(world, pick)
    me, to = world.wallet.pubkey(), target(world, pick)
    signers.append(world.wallet)
    choices: list[tuple[bytes, list[Pubkey]]] = [
        (b"\x09", [mine, to, me]),
        (b"\x26", [mine, to, me]),
        (b"\x11", [mine]),
        (b"\5", [mine, me]),
    ]
    data, keys = choices[pick // 3 % 4]
    return Instruction(program, data, w.meta(*keys, signers=[me]))


def create_ata(world: w.World, signers: list[Keypair], pick: int, _: int) -> Instruction:
    """ATA creation, of accounts that exist and of new ones."""
    payer = source(world, pick)
    signers.append(payer)
    mint, program = world.mints[pick % 3]
    owner = [w.key(3000 + pick).pubkey(), world.outsider, payer.pubkey()][pick // 3 % 3]
    return w.create_ata(payer.pubkey(), owner, mint, program, bytes([1 - pick // 9 % 4 // 3]))


def budget(_: w.World, __: list[Keypair], pick: int, amount: int) -> Instruction:
    """Compute unit price or limit."""
    return w.price(amount % 10**7) if pick % 2 else w.limit(50_000 + amount % 2_000_000)


def surrender(world: w.World, signers: list[Keypair], pick: int, _amount: int) -> Instruction:
    """Assign, allocate, advance and authorize a nonce, setAuthority."""
    me, to = world.wallet.pubkey(), target(world, pick)
    signers.append(world.wallet)
    mint, program, mine, _ = token_parts(world, pick)
    nonce = w.meta(world.nonce, w.RECENT_BLOCKHASHES, me, signers=[me])
    return [
        w.system(1, bytes(w.TOKEN), w.meta(me, signers=[me])),
        w.system(8, Q("<Q", 80), w.meta(me, signers=[me])),
        w.system(4, b"", nonce),
        w.system(7, bytes(to), w.meta(world.nonce, me, signers=[me])),
        Instruction(program, b"\6\2\1" + bytes(to), w.meta(mine, me, signers=[me])),
        Instruction(w.MEMO, str(mint).encode(), []),
    ][pick % 6]


ACTIONS: list[Action] = [
    *(pay, pay, create, create_seeded, pay_seeded, withdraw_nonce, send_token, send_token),
    *(close_token, create_ata, budget, surrender),
]
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
OUTCOMES: Counter[bool] = Counter()


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


def assert_within(world: w.World, intent: Intent, lamports: int, tokens: dict[Pubkey, int]) -> None:
    """Compares what left the wallet with what the intent said could leave."""
    me = str(world.wallet.pubkey())
    bound = intent.lamports_out_max(me)
    if bound is not None:
        assert lamports - world.lamports_controlled() <= bound
    said: Counter[str | None] = Counter()
    for effect in intent.of(me):
        if effect.kind is Kind.TOKENS:
            assert effect.amount is not None
            said[effect.mint] += effect.amount
    swept = any(effect.kind is Kind.SWEEP for effect in intent.of(me))
    for mint, program in world.mints:
        if not swept:  # a close empties a wrapped-SOL account: judged by where it goes
            gone = tokens[mint] - world.tokens_owned(mint, program)
            assert gone <= said[str(mint)] + said[None]


@examples(300)
@given(STEPS, st.sampled_from([-1, 0, 1]), st.sampled_from([0, 0, 1, 2]))
def test_no_more_leaves_than_the_intent_said(
    steps: list[tuple[Action, int, int]], version: int, payer: int
) -> None:
    """Random mixes of every decoded instruction, executed: lamports of the wallet, its nonce and
    seed accounts, and tokens by mint, never fall by more than the intent's bound.
    """
    world = w.World()
    signers: list[Keypair] = []
    ixs = [action(world, signers, pick, amount) for action, pick, amount in steps]
    payer_key = [world.wallet, world.sibling, world.stranger][payer]
    before = world.lamports_controlled()
    tokens = {mint: world.tokens_owned(mint, program) for mint, program in world.mints}
    try:
        intent, succeeded = execute(world, ixs, payer_key, signers, version)
    except ValueError:  # too long for a packet, or a sum that even this chain cannot name
        return
    OUTCOMES[succeeded] += 1
    assert_within(world, intent, before, tokens)


def test_the_bound_is_exact_where_everything_is_known() -> None:
    """The positive control: a transfer, an account and fees that go through cost what was said, so
    the property above compares with real movement.
    """
    for version in (-1, 0, 1):
        world = w.World()
        signers: list[Keypair] = []
        ixs = [pay(world, signers, 0, 3 * w.SOL), pay_seeded(world, signers, 0, w.SOL)]
        ixs.append(create_seeded(world, signers, 1, w.SOL))
        before = world.lamports_controlled()
        intent, succeeded = execute(world, ixs, world.wallet, signers, version)
        assert succeeded
        said = intent.lamports_out_max(str(world.wallet.pubkey()))
        unpaid = 12_345 if version == 1 else 0  # LiteSVM does not collect v1's priority fee
        assert said == before - world.lamports_controlled() + unpaid


def test_each_action_can_succeed() -> None:
    """Every instruction of the property really executes for some choice: none is there in name
    only. A nonce cannot be advanced in the slot that stored it, so failures are expected too.
    """
    for action in dict.fromkeys(ACTIONS):
        done = 0
        for pick in range(0, 180, 7):
            world = w.World()
            signers: list[Keypair] = []
            ixs = [action(world, signers, pick, 2 * w.SOL)]
            done += execute(world, ixs, world.stranger, signers, -1)[1]
        assert done > 0, action


def test_examples_can_be_scaled() -> None:
    """SOLWARD_EXAMPLES sets the number of examples, as the 10,000 of a release run."""
    wanted = int(os.environ.get("SOLWARD_EXAMPLES", "300"))
    assert wanted == examples(300).max_examples
