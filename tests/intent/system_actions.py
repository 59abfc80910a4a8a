"""Instructions of the System, Compute Budget and memo programs, for the properties of outflow.

Each action may first put what it needs into the world: what counts is what the transaction moves.
"""

import struct
from collections.abc import Callable

from solders.account import Account
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from tests.intent import world as w

Q = struct.pack
MEMO_V1 = Pubkey.from_string("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo")
NONCE_BYTES = 80
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


def budget(_: w.World, __: list[Keypair], pick: int, amount: int) -> Instruction:
    """Compute unit price and limit, heap frame, size of the loaded accounts."""
    return [
        w.price(amount % 10**7),
        w.limit(50_000 + amount % 2_000_000),
        Instruction(w.BUDGET, b"\1" + Q("<I", 1024 * (32 + pick % 200)), []),
        Instruction(w.BUDGET, b"\4" + Q("<I", 1 + amount % (1 << 27)), []),
    ][pick % 4]


def note(_: w.World, __: list[Keypair], pick: int, amount: int) -> Instruction:
    """A memo, of both versions."""
    return Instruction([w.MEMO, MEMO_V1][pick % 2], str(amount).encode(), [])


def set_account(
    world: w.World, address: Pubkey, data: bytes, owner: Pubkey, lamports: int = w.SOL
) -> None:
    """Puts an account into the world."""
    world.svm.set_account(address, Account(lamports, data, owner))


def give_up(world: w.World, signers: list[Keypair], pick: int, _amount: int) -> Instruction:
    """System assign and allocate, of the wallet itself and of its seed account."""
    me = world.wallet.pubkey()
    signers.append(world.wallet)
    mine, derived = w.meta(me, signers=[me]), w.meta(world.seed_account, me, signers=[me])
    seed = bytes(me) + w.seeded(b"s")
    return [
        w.system(1, bytes(w.TOKEN), mine),
        w.system(8, Q("<Q", 80), mine),
        w.system(9, seed + Q("<Q", 80) + bytes(w.SYSTEM), derived),
        w.system(10, seed + bytes(w.SYSTEM), derived),
    ][pick % 4]


def turn_nonce(world: w.World, signers: list[Keypair], pick: int, _amount: int) -> Instruction:
    """Nonce: advance, authorize, initialize, upgrade from the legacy version."""
    me, to = world.wallet.pubkey(), target(world, pick // 4)
    signers.append(world.wallet)
    fresh, legacy = (w.key(4000 + at).pubkey() for at in (0, 1))
    set_account(world, fresh, bytes(NONCE_BYTES), w.SYSTEM)
    state = Q("<II", 0, 1) + bytes(me) + bytes([7] * 32) + Q("<Q", 5000)
    set_account(world, legacy, state, w.SYSTEM)
    return [
        w.system(4, b"", w.meta(world.nonce, w.RECENT_BLOCKHASHES, me, signers=[me])),
        w.system(7, bytes(to), w.meta(world.nonce, me, signers=[me])),
        w.system(6, bytes(me), w.meta(fresh, w.RECENT_BLOCKHASHES, w.RENT)),
        w.system(12, b"", w.meta(legacy)),
    ][pick % 4]


ACTIONS: tuple[Action, ...] = (
    *(pay, pay, pay, create, create_seeded, pay_seeded, pay_seeded, withdraw_nonce),
    *(budget, note, give_up, turn_nonce),
)
