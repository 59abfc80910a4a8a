"""Consolidations find every account of a mint: auxiliary ones too, and wrapped SOL."""

from uuid import UUID

import pytest

from gateway.domain.errors import PreconditionFailedError
from gateway.domain.orders import ConsolidationOrder
from gateway.domain.states import DistributionState
from gateway.domain.token_programs import NATIVE_MINT, TOKEN, TOKEN_2022
from tests.distribution.support import Desk
from tests.distribution.tokens import FEE_AMOUNT, FEE_CONFIG, TokenWorld, fee_config
from tests.postgres.samples import address_of

CONFIDENTIAL_ACCOUNT = 5


def gather(
    desk: Desk, world: TokenWorld, sources: list[tuple[UUID, str]], destination: UUID
) -> ConsolidationOrder:
    """An order to gather what sources hold; the desk pays."""
    ids = tuple(wallet_id for wallet_id, _ in sources)
    return ConsolidationOrder(ids, destination, desk.source_id, mint=world.mint)


@pytest.mark.parametrize("program", [TOKEN, TOKEN_2022])
async def test_auxiliary_accounts_are_swept_and_closed(desk: Desk, program: str) -> None:
    """Of each source the associated and all other accounts of the mint end empty and closed, also
    delegated ones; other mints' accounts stay. All rent is the payer's.
    """
    world, other = TokenWorld(desk.chain, program), TokenWorld(desk.chain, program)
    sources = await desk.wallets(3, 0)
    (destination,) = await desk.wallets(1, 0, salt=1)
    world.open(destination[1])
    swept = [world.open(sources[0][1], 5), world.open(sources[1][1], 7)]
    for number, (_, address) in enumerate([*sources, *sources]):
        swept.append(world.open(address, 100 + number, address=address_of(number, "aux")))
    delegated = world.open(
        sources[2][1], 1_000, delegate=address_of(1), address=address_of(7, "aux")
    )
    kept = other.open(sources[0][1], 9)
    before = desk.balance(desk.source_address)
    done = await desk.done(gather(desk, world, sources, destination[0]))

    assert (done.state, done.skips) == (DistributionState.COMPLETED, [])
    assert done.transfer_count == len(swept) + 1
    assert world.amount(destination[1]) == 5 + 7 + 615 + 1_000
    assert not any(world.exists(account) for account in [*swept, delegated])
    assert (world.exists(kept), other.amount(sources[0][1])) == (True, 9)
    gained = desk.balance(desk.source_address) - before
    assert gained == done.estimate.refund_lamports - done.fees_paid_lamports


async def test_what_stays_has_a_reason(desk: Desk) -> None:
    """Frozen, empty, somebody else's to close, perhaps confidential, none at all: named, kept."""
    world = TokenWorld(desk.chain, TOKEN_2022)
    (wallet, bare) = await desk.wallets(2, 0)
    (destination,) = await desk.wallets(1, 0, salt=1)
    owner, other = wallet[1], address_of(1)
    account = world.open(owner, 5, address=address_of(1, "a"))
    expected = {
        world.open(owner, 5, state=2): "frozen",
        world.open(owner, 0, address=address_of(2, "a")): "it is empty",
        world.open(owner, 5, close_authority=other, address=address_of(3, "a")): (
            "foreign close authority"
        ),
        world.open(
            owner,
            5,
            extensions={CONFIDENTIAL_ACCOUNT: bytes(295)},
            address=address_of(4, "a"),
        ): "it may hold a confidential balance",
        bare[1]: "it has no token account",
    }
    done = await desk.done(gather(desk, world, [wallet, bare], destination[0]))
    assert done.state is DistributionState.COMPLETED
    assert {skip.address: skip.reason for skip in done.skips} == expected
    assert not world.exists(account)
    with pytest.raises(PreconditionFailedError, match="nothing that can be moved"):
        await desk.workflows.plan(gather(desk, world, [bare], destination[0]))


async def test_an_owners_own_close_authority_is_no_hindrance(desk: Desk) -> None:
    """An account that says that its owner may close it is closed."""
    world = TokenWorld(desk.chain)
    (wallet,) = await desk.wallets(1, 0)
    (destination,) = await desk.wallets(1, 0, salt=1)
    account = world.open(wallet[1], 5, close_authority=wallet[1])
    done = await desk.done(gather(desk, world, [wallet], destination[0]))
    assert (done.state, done.skips) == (DistributionState.COMPLETED, [])
    assert not world.exists(account)


async def test_wrapped_sol_arrives_wrapped(desk: Desk) -> None:
    """Its balance goes to the destination, its rent (and what was sent to it unseen) to the payer;
    the estimate counts each lamport once.
    """
    world = TokenWorld(desk.chain, decimals=9, mint=NATIVE_MINT)
    (wallet,) = await desk.wallets(1, 0)
    (destination,) = await desk.wallets(1, 0, salt=1)
    for number in range(2):
        address = "" if number else address_of(1, "native")
        world.open(wallet[1], 500, native=True, excess_lamports=500 + 30, address=address)
    into = world.open(destination[1], native=True)
    before = desk.balance(desk.source_address)
    rent = desk.balance(into)
    done = await desk.done(gather(desk, world, [wallet], destination[0]))
    assert done.state is DistributionState.COMPLETED
    assert (world.amount(destination[1]), desk.balance(into)) == (1_000, rent + 1_000)
    assert done.estimate.refund_lamports == 2 * (rent + 30)
    gained = desk.balance(desk.source_address) - before
    assert gained == done.estimate.refund_lamports - done.fees_paid_lamports


async def test_auxiliary_accounts_of_one_owner_pack_closely(desk: Desk) -> None:
    """One signature for all of an owner's accounts: more of them fit than of distinct owners."""
    world = TokenWorld(desk.chain, TOKEN_2022, 6, {FEE_CONFIG: fee_config(100, 50)})
    (wallet,) = await desk.wallets(1, 0)
    (destination,) = await desk.wallets(1, 0, salt=1)
    world.open(destination[1])
    withheld = {FEE_AMOUNT: (7).to_bytes(8, "little")}
    for number in range(24):
        extensions = withheld if number % 2 else {}
        world.open(wallet[1], 1_000, extensions=extensions, address=address_of(number, "aux"))
    done = await desk.done(gather(desk, world, [wallet], destination[0]))
    assert done.state is DistributionState.COMPLETED
    assert done.batch_count == 2
    assert world.amount(destination[1]) == 24 * 990
