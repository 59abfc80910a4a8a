"""Instructions of Token, Token-2022 and the Associated Token Account program, for the properties
of outflow. Layouts of mints and accounts with extensions: the Token-2022 program's `extension`.
"""

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.token.state import Mint, Multisig, TokenAccount, TokenAccountState

from tests.intent import world as w
from tests.intent.system_actions import Action, Q, set_account, source, target

TOKEN_BYTES, MINT_BYTES, MULTISIG_BYTES = 165, 82, 355
IMMUTABLE_BYTES = TOKEN_BYTES + 1 + 4
NATIVE_2022 = Pubkey.from_string("9pan9bMn5HatX4EJdBwg9VgCa7Uz5HL8N1m5D3NdXej9")


def token_parts(world: w.World, pick: int) -> tuple[Pubkey, Pubkey, Pubkey, Pubkey]:
    """A mint, its program, the wallet's account and another's."""
    mint, program = world.mints[pick % 3]
    other = [world.sibling, world.stranger, world.wallet][pick // 3 % 3].pubkey()
    return mint, program, w.ata(world.wallet.pubkey(), mint, program), w.ata(other, mint, program)


def send_token(world: w.World, signers: list[Keypair], pick: int, amount: int) -> Instruction:
    """Transfer, approve, burn, mintTo, each plain and checked."""
    mint, program, mine, theirs = token_parts(world, pick)
    me = world.wallet.pubkey()
    signers.append(world.wallet)
    decimals = 9 if mint == w.NATIVE else 6
    plain, checked = Q("<Q", amount), Q("<QB", amount, decimals)
    choices: list[tuple[bytes, list[Pubkey]]] = [
        (b"\3" + plain, [mine, theirs, me]),
        (b"\x0c" + checked, [mine, mint, theirs, me]),
        (b"\4" + plain, [mine, theirs, me]),
        (b"\x0d" + checked, [mine, mint, theirs, me]),
        (b"\x08" + plain, [mine, mint, me]),
        (b"\x0f" + checked, [mine, mint, me]),
        (b"\7" + plain, [mint, theirs, me]),
        (b"\x0e" + checked, [mint, theirs, me]),
    ]
    data, keys = choices[pick // 9 % 8]
    return Instruction(program, data, w.meta(*keys, signers=[me]))


def be_delegate(world: w.World, signers: list[Keypair], pick: int, amount: int) -> Instruction:
    """A stranger who signs takes from the wallet's account what it lets him: approve comes first,
    or there is nothing.
    """
    _, program, mine, theirs = token_parts(world, pick)
    stranger = world.stranger.pubkey()
    if pick % 2:
        signers.append(world.stranger)
        keys = w.meta(mine, theirs, stranger, signers=[stranger])
        return Instruction(program, b"\3" + Q("<Q", amount), keys)
    signers.append(world.wallet)
    me = world.wallet.pubkey()
    keys = w.meta(mine, stranger, me, signers=[me])
    return Instruction(program, b"\4" + Q("<Q", amount), keys)


def close_token(world: w.World, signers: list[Keypair], pick: int, _amount: int) -> Instruction:
    """CloseAccount, withdrawExcessLamports, syncNative, revoke, freeze, thaw, setAuthority."""
    mint, program, mine, theirs = token_parts(world, pick)
    me, to = world.wallet.pubkey(), target(world, pick)
    signers.append(world.wallet)
    choices: list[tuple[bytes, list[Pubkey]]] = [
        (b"\x09", [mine, to, me]),
        (b"\x26", [mine, to, me]),
        (b"\x26", [mint, to, me]),
        (b"\x11", [mine]),
        (b"\5", [mine, me]),
        (b"\x0a", [theirs, mint, me]),
        (b"\x0b", [theirs, mint, me]),
        (b"\6\2\1" + bytes(to), [mine, me]),
        (b"\6\3\0", [mine, me]),
    ]
    data, keys = choices[pick // 3 % 9]
    return Instruction(program, data, w.meta(*keys, signers=[me]))


def spare(
    world: w.World,
    mint: Pubkey,
    program: Pubkey,
    owner: Pubkey,
    amount: int = 0,
    *,
    frozen: bool = False,
) -> Pubkey:
    """Puts one more token account into the world, beside the associated one."""
    native = 2_039_280 if mint in {w.NATIVE, NATIVE_2022} else None
    state = TokenAccountState.Frozen if frozen else TokenAccountState.Initialized
    account = TokenAccount(mint, owner, amount, None, state, native, 0, None)
    address = w.key(5000).pubkey()
    set_account(world, address, bytes(account), program, 2_039_280 + (amount if native else 0))
    return address


def use_spare(world: w.World, signers: list[Keypair], pick: int, _amount: int) -> Instruction:
    """ThawAccount of a frozen account, closeAccount of an empty one, syncNative of Token-2022."""
    me, to = world.wallet.pubkey(), target(world, pick // 3)
    mint, program = world.mints[pick % 2 * 2]
    if pick % 3 == 0:
        account = spare(world, NATIVE_2022, w.TOKEN_2022, me, 7)
        return Instruction(w.TOKEN_2022, b"\x11", w.meta(account))
    signers.append(world.wallet)
    account = spare(world, mint, program, me, frozen=pick % 3 == 1)
    data, second = (b"\x0b", mint) if pick % 3 == 1 else (b"\x09", to)
    return Instruction(program, data, w.meta(account, second, me, signers=[me]))


def initialize(world: w.World, _: list[Keypair], pick: int, _amount: int) -> Instruction:
    """Whatever turns a new account into a mint, a token account or a multisig."""
    mint, program = world.mints[pick % 2 * 2]
    me, kind = world.wallet.pubkey(), pick // 2 % 8
    sizes = [TOKEN_BYTES] * 3 + [MINT_BYTES] * 2 + [MULTISIG_BYTES] * 2
    size = [*sizes, TOKEN_BYTES if program == w.TOKEN else IMMUTABLE_BYTES][kind]
    new = w.key(5100 + kind).pubkey()
    set_account(world, new, bytes(size), program)
    owner = bytes(me)
    data, keys = [
        (b"\1", [new, mint, me, w.RENT]),
        (b"\x10" + owner, [new, mint, w.RENT]),
        (b"\x12" + owner, [new, mint]),
        (b"\0\6" + owner + b"\1" + owner, [new, w.RENT]),
        (b"\x14\6" + owner + b"\0", [new]),
        (b"\2\1", [new, w.RENT, me]),
        (b"\x13\1", [new, me]),
        (b"\x16", [new]),
    ][kind]
    return Instruction(program, data, w.meta(*keys))


def with_fee(world: w.World, signers: list[Keypair], pick: int, amount: int) -> Instruction:
    """TransferCheckedWithFee and harvestWithheldTokensToMint, of the mint that takes 1 %."""
    mint, me = world.mint_fee, world.wallet.pubkey()
    mine, theirs = (w.ata(who, mint, w.TOKEN_2022) for who in (me, world.stranger.pubkey()))
    if pick % 3 == 0:
        return Instruction(w.TOKEN_2022, b"\x1a\4", w.meta(mint, theirs))
    signers.append(world.wallet)
    fee = -(-(amount % 2**40) // 100)
    data = b"\x1a\1" + Q("<QBQ", amount % 2**40, 6, fee)
    return Instruction(w.TOKEN_2022, data, w.meta(mine, mint, theirs, me, signers=[me]))


def extend(world: w.World, signers: list[Keypair], pick: int, _amount: int) -> Instruction:
    """Extensions that are named, not decoded: reallocate, memoTransfer, cpiGuard."""
    me = world.wallet.pubkey()
    mine = w.ata(me, world.mint_2022, w.TOKEN_2022)
    signers.append(world.wallet)
    room = b"\x1d" + Q("<HHH", 8, 11, 7)
    data, keys = [
        (room, [mine, me, w.SYSTEM, me]),
        (b"\x1e\1", [mine, me]),
        (b"\x22\1", [mine, me]),
    ][pick % 3]
    return Instruction(w.TOKEN_2022, data, w.meta(*keys, signers=[me]))


def create_ata(world: w.World, signers: list[Keypair], pick: int, _: int) -> Instruction:
    """ATA creation, of accounts that exist and of new ones."""
    payer = source(world, pick)
    signers.append(payer)
    mint, program = world.mints[pick % 3]
    owner = [w.key(3000 + pick).pubkey(), world.outsider, payer.pubkey()][pick // 3 % 3]
    return w.create_ata(payer.pubkey(), owner, mint, program, bytes([1 - pick // 9 % 4 // 3]))


def recover_nested(world: w.World, signers: list[Keypair], pick: int, _amount: int) -> Instruction:
    """RecoverNested: an ATA whose owner is the wallet's ATA gives what it has to the wallet's."""
    owner_mint, program = world.mints[pick % 2 * 2]
    me, mint = world.wallet.pubkey(), w.key(5300).pubkey()
    signers.append(world.wallet)
    owner, mine = w.ata(me, owner_mint, program), w.ata(me, mint, program)
    nested = w.ata(owner, mint, program)
    state = Mint(me, 7, 6, is_initialized=True, freeze_authority=None)
    set_account(world, mint, bytes(state), program)
    for address, holder, amount in ((nested, owner, 7), (mine, me, 0)):
        account = TokenAccount(
            mint, holder, amount, None, TokenAccountState.Initialized, None, 0, None
        )
        set_account(world, address, bytes(account), program, 2_039_280)
    keys = [nested, mint, mine, owner, owner_mint, me, program]
    return Instruction(w.ATA, b"\2", w.meta(*keys, signers=[me]))


def pay_as_multisig(world: w.World, signers: list[Keypair], pick: int, amount: int) -> Instruction:
    """Transfer out of an account that a multisig owns, the wallet being one of its signers."""
    mint, program, _, theirs = token_parts(world, pick)
    me, shared = world.wallet.pubkey(), w.key(5200).pubkey()
    signers.append(world.wallet)
    members = [me, *[Pubkey.default()] * 10]
    set_account(world, shared, bytes(Multisig(1, 1, True, members)), program)
    common = spare(world, mint, program, shared, w.SOL)
    keys = w.meta(common, theirs, shared, me, signers=[me])
    return Instruction(program, b"\3" + Q("<Q", amount), keys)


ACTIONS: tuple[Action, ...] = (
    *(send_token, send_token, send_token, close_token, close_token, be_delegate, be_delegate),
    *(use_spare, initialize, with_fee, extend, create_ata, recover_nested, pay_as_multisig),
)
