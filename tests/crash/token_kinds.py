"""The kinds of order that touch token accounts: payouts, consolidations, closings."""

from collections.abc import Sequence

from solders.account import Account
from solders.pubkey import Pubkey

from gateway.domain.token_programs import TOKEN, TOKEN_2022
from solward.gateway.v1 import distribution_service_pb2 as pb
from solward.gateway.v1.wallet_service_pb2 import Wallet
from tests.crash.ground import Ground
from tests.crash.trials import Change, Effect, Trial
from tests.crash.vault import Vault
from tests.distribution.tokens import FEE_AMOUNT, FEE_CONFIG, TokenWorld, fee_config
from tests.gateway.support import new_id
from tests.postgres.samples import address_of

Closing = pb.CloseEmptyAccountsRequest
_PLENTY = 2**60
_EXCESS = 550_840
_SIZE, _SIZE_WITH_FEE = 165, 182
_OWNER, _AMOUNT, _STATE, _FROZEN = slice(32, 64), slice(64, 72), slice(108, 109), b"\2"


def new_mint(ground: Ground, *, with_fee: bool) -> TokenWorld:
    """A mint of SPL Token, or one of Token-2022 that withholds 2.5 percent of each transfer."""
    if with_fee:
        return TokenWorld(ground, TOKEN_2022, 6, {FEE_CONFIG: fee_config(250, 10**6)})
    return TokenWorld(ground, TOKEN, 9)


def rent(ground: Ground, *, with_fee: bool) -> int:
    """The lamports in a new account of such a mint."""
    return ground.svm.minimum_balance_for_rent_exemption(_SIZE_WITH_FEE if with_fee else _SIZE)


def overwrite(ground: Ground, address: str, part: slice, value: bytes) -> None:
    """Changes bytes of an account, as its program could have."""
    key = Pubkey.from_string(address)
    account = ground.svm.get_account(key)
    assert account is not None
    data = bytearray(account.data)
    data[part] = value
    ground.svm.set_account(key, Account(account.lamports, bytes(data), account.owner, False, 0))


def pay_tokens(
    vault: Vault, count: int, *, with_fee: bool, existing: Sequence[int] | None = None
) -> Trial:
    """Tokens to many, every other of whom has an account (or those that `existing` says)."""
    desk, ground = vault.desk, vault.ground
    world, made = new_mint(ground, with_fee=with_fee), rent(ground, with_fee=with_fee)
    payer = vault.payer.address
    source = world.open(payer, _PLENTY)
    recipients = [address_of(number, world.mint) for number in range(count)]
    opened = set(range(0, count, 2) if existing is None else existing)
    for number in opened:
        world.open(recipients[number], number)
    request = pb.CreateDistributionRequest(
        request_id=new_id(),
        source_wallet_id=vault.payer.id,
        recipients=pb.Recipients(addresses=pb.RecipientAddresses(addresses=recipients)),
        total_amount=10**6 * count,
        split=pb.Split(random=pb.RandomSplit(seed=bytes(32))),
        mint=world.mint,
        transfer_fee=pb.TRANSFER_FEE_SOURCE if with_fee else pb.TRANSFER_FEE_UNSPECIFIED,
    )
    distributions = desk.client().distributions
    plan = desk.patiently(lambda: distributions.CreateDistribution(request)).distribution
    transfers = desk.transfers(plan)
    assert sum(one.amount - one.withheld_amount for one in transfers) == 10**6 * count
    assert recipients == [one.recipient_address for one in transfers]
    effects = []
    for number, one in enumerate(transfers):
        account = world.account_of(one.recipient_address)
        new = 0 if number in opened else made
        arrives = one.amount - one.withheld_amount
        effects.append(
            Effect(
                account,
                (
                    Change(source, tokens=-one.amount),
                    Change(account, new, arrives, one.withheld_amount),
                    Change(payer, -new),
                ),
            )
        )

    def spoil(position: int) -> None:
        if position not in opened:  # somebody else opened it, and it was frozen
            world.open(recipients[position])
        overwrite(ground, effects[position].target, _STATE, _FROZEN)

    return Trial(desk, ground, plan, [payer], effects, spoil)


def drain_tokens(vault: Vault, count: int, *, with_fee: bool, is_received: bool = False) -> Trial:
    """All tokens of many wallets to one; their accounts are closed and refund the payer.

    `is_received`: the receiving account exists already. Otherwise it is made on the way.
    """
    desk, ground = vault.desk, vault.ground
    world, made = new_mint(ground, with_fee=with_fee), rent(ground, with_fee=with_fee)
    payer = vault.payer.address
    sources, (destination,) = vault.take(count), vault.take(1)
    kept = {}
    for number, wallet in enumerate(sources):
        # Every third account has fees withheld in it, which go to the mint before it closes.
        kept[wallet.address] = 7 * number if with_fee and number % 3 == 0 else 0
        fees = {FEE_AMOUNT: kept[wallet.address].to_bytes(8, "little")} if with_fee else None
        world.open(wallet.address, 10**6 + number, extensions=fees)
    receiving = world.account_of(destination.address)
    if is_received:
        world.open(destination.address, 3)
    request = pb.CreateConsolidationRequest(
        request_id=new_id(),
        source_wallet_ids=[wallet.id for wallet in sources],
        destination_wallet_id=destination.id,
        fee_payer_wallet_id=vault.payer.id,
        mint=world.mint,
    )
    distributions = desk.client().distributions
    plan = desk.patiently(lambda: distributions.CreateConsolidation(request)).distribution
    transfers = desk.transfers(plan)
    assert {one.source_address for one in transfers} == {wallet.address for wallet in sources}
    assert sum(one.amount for one in transfers) == count * 10**6 + count * (count - 1) // 2
    effects = []
    for one in transfers:
        account, harvested = world.account_of(one.source_address), kept[one.source_address]
        effects.append(
            Effect(
                account,
                (
                    Change(account, -made, -one.amount, -harvested),
                    Change(payer, made),
                    Change(receiving, 0, one.amount - one.withheld_amount, one.withheld_amount),
                    Change(world.mint, withheld=harvested),
                ),
                is_emptied=True,
            )
        )

    def spoil(position: int) -> None:
        spent = transfers[position].amount // 2
        overwrite(ground, effects[position].target, _AMOUNT, spent.to_bytes(8, "little"))

    first = () if is_received else (Change(receiving, made), Change(payer, -made))
    return Trial(desk, ground, plan, [payer], effects, spoil, first)


def close(
    vault: Vault,
    count: int,
    *,
    mode: Closing.Mode.ValueType,
    with_fee: bool = True,
    is_own: bool = False,
) -> Trial:
    """Accounts of many wallets, or the payer's own, are closed or give back excess rent.

    With `with_fee` every other is of a mint with a fee, and if it is empty fees are withheld in it.
    Empty are all with MODE_CLOSE, none with MODE_RECLAIM, half with both.
    """
    desk, ground = vault.desk, vault.ground
    payer = vault.payer.address
    wallets = [vault.payer] * count if is_own else vault.take(count)
    plain, taxed = new_mint(ground, with_fee=False), new_mint(ground, with_fee=True)
    by_account: dict[str, Effect] = {}
    for number, wallet in enumerate(wallets):
        is_taxed = with_fee and number % 2 == 1
        world, made = (taxed if is_taxed else plain), rent(ground, with_fee=is_taxed)
        is_kept = mode == Closing.MODE_RECLAIM or (
            mode == Closing.MODE_CLOSE_AND_RECLAIM and number % 4 >= 2
        )
        fees = number if is_taxed and not is_kept else 0
        excess = _EXCESS + number if is_kept else 0
        account = world.open(
            wallet.address,
            5 if is_kept else 0,
            excess_lamports=excess,
            extensions={FEE_AMOUNT: fees.to_bytes(8, "little")} if is_taxed else None,
            address=address_of(number, world.mint),
        )
        gained = excess or made
        changes = (
            Change(account, -gained, 0, -fees),
            Change(payer, gained),
            Change(world.mint, withheld=fees),
        )
        by_account[account] = Effect(account, changes, is_emptied=not is_kept)
    request = Closing(
        request_id=new_id(),
        wallet_ids=list(dict.fromkeys(wallet.id for wallet in wallets)),
        destination_wallet_id=vault.payer.id,
        mode=mode,
    )
    distributions = desk.client().distributions
    plan = desk.patiently(lambda: distributions.CloseEmptyAccounts(request)).distribution
    transfers = desk.transfers(plan)
    effects = _in_order(transfers, wallets, by_account)
    assert [one.amount for one in transfers] == [effect.changes[1].lamports for effect in effects]

    def spoil(position: int) -> None:
        # The account is somebody else's by the time the transaction lands.
        overwrite(ground, effects[position].target, _OWNER, bytes(Pubkey.new_unique()))

    return Trial(desk, ground, plan, [payer], effects, spoil)


def _in_order(
    transfers: Sequence[pb.Transfer], wallets: Sequence[Wallet], by_account: dict[str, Effect]
) -> list[Effect]:
    """Returns the effects in the order of the transfers; accounts of one owner are alike."""
    owned: dict[str, list[Effect]] = {}
    for wallet, effect in zip(wallets, by_account.values(), strict=True):
        owned.setdefault(wallet.address, []).append(effect)
    for effects in owned.values():
        effects.sort(key=lambda effect: effect.target, reverse=True)
    return [owned[one.source_address].pop() for one in transfers]
