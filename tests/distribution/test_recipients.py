"""Recipients named by address: what nobody could spend again is refused, of SOL and of tokens."""

import pytest
from solders.account import Account
from solders.pubkey import Pubkey

from gateway.domain.errors import InvalidArgumentError
from gateway.domain.orders import DistributionOrder, RecipientAddresses
from gateway.domain.splits import EvenSplit
from gateway.domain.states import DistributionState
from gateway.domain.token_programs import ASSOCIATED_TOKEN, TOKEN
from tests.distribution.support import Desk
from tests.distribution.tokens import TokenWorld
from tests.postgres.samples import address_of

SYSTEM = "1" * 32
STAKE = "Stake11111111111111111111111111111111111111"
VOTE = "Vote111111111111111111111111111111111111111"
LOADER = "BPFLoaderUpgradeab1e11111111111111111111111"
RESERVED = [
    SYSTEM,
    "1nc1nerator11111111111111111111111111111111",
    "SysvarC1ock11111111111111111111111111111111",
    "Sysvar1nstructions1111111111111111111111111",
]
SHARE = 10**7


def place(desk: Desk, address: str, owner: str, data_bytes: int) -> str:
    """Writes an account of a program."""
    account = Account(10**8, bytes(data_bytes), Pubkey.from_string(owner), False, 0)
    desk.chain.svm.set_account(Pubkey.from_string(address), account)
    return address


def paying(desk: Desk, recipients: list[str], mint: str) -> DistributionOrder:
    """An order to pay each the same."""
    addresses = RecipientAddresses(tuple(recipients))
    return DistributionOrder(desk.source_id, addresses, SHARE * len(recipients), EvenSplit(), mint)


def off_curve(text: str) -> str:
    """An address that has no key."""
    return str(Pubkey.find_program_address([text.encode()], Pubkey.from_string(TOKEN))[0])


async def test_what_is_no_wallet_is_refused_by_its_place(desk: Desk) -> None:
    """Programs, their data, token accounts, mints, stakes, votes, sysvars: of SOL and of tokens."""
    world = TokenWorld(desk.chain)
    account = world.open(desk.source_address, 10**9)
    refused = {
        TOKEN: "it is a program",
        ASSOCIATED_TOKEN: "it is a program",
        world.mint: "name its owner",
        account: "name its owner",
        place(desk, address_of(1, "data"), LOADER, 100): f"of the program {LOADER}",
        place(desk, address_of(2, "stake"), STAKE, 200): f"of the program {STAKE}",
        place(desk, address_of(3, "vote"), VOTE, 200): f"of the program {VOTE}",
        **dict.fromkeys(RESERVED, "the runtime's own"),
    }
    for address, reason in refused.items():
        for mint in ("", world.mint):
            recipients = [address_of(number, "good") for number in range(101)] + [address]
            with pytest.raises(InvalidArgumentError, match=reason) as caught:
                await desk.workflows.plan(paying(desk, recipients, mint))
            assert caught.value.field == "recipients.addresses.addresses[101]"
            assert address in caught.value.message


async def test_whoever_can_spend_is_paid(any_desk: Desk) -> None:
    """New wallets, old ones, nonces, and addresses off the curve, with an account or without."""
    desk = any_desk
    world = TokenWorld(desk.chain)
    world.open(desk.source_address, 10**9)
    recipients = [
        address_of(1, "new"),
        place(desk, address_of(2, "old"), SYSTEM, 0),
        place(desk, address_of(3, "nonce"), SYSTEM, 80),
        off_curve("new vault"),
        place(desk, off_curve("old vault"), SYSTEM, 0),
    ]
    before = [desk.balance(address) for address in recipients]
    done = await desk.done(paying(desk, recipients, ""))
    assert done.state is DistributionState.COMPLETED
    gained = [desk.balance(address) for address in recipients]
    assert [held + SHARE for held in before] == gained
    done = await desk.done(paying(desk, recipients, world.mint), request=2)
    assert done.state is DistributionState.COMPLETED
    assert [world.amount(address) for address in recipients] == [SHARE] * 5


async def test_the_check_costs_no_call(desk: Desk) -> None:
    """Of SOL the balances are read with it; of tokens it is one read for each hundred."""
    world = TokenWorld(desk.chain)
    world.open(desk.source_address, 10**10)
    recipients = [address_of(number, "many") for number in range(250)]
    before = desk.node.count("getMultipleAccounts")
    await desk.workflows.plan(paying(desk, recipients, ""))
    read = desk.node.count("getMultipleAccounts")
    assert read - before == 3
    await desk.workflows.plan(paying(desk, recipients, world.mint))
    assert desk.node.count("getMultipleAccounts") - read == 3 + 3 + 2  # theirs; mint and source
