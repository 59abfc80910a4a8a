"""The kinds of order, each as a function that prepares the chain and plans one: KINDS.

Payouts and consolidations of SOL are here, those of tokens and closings in token_kinds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from solders.account import Account
from solders.pubkey import Pubkey

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.token_kinds import close, drain_tokens, pay_tokens
from tests.crash.trials import Change, Effect, Trial
from tests.crash.vault import Vault
from tests.gateway.support import new_id

Consolidation = pb.CreateConsolidationRequest
Closing = pb.CloseEmptyAccountsRequest
_HELD = 10**7


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of order. `count` transfers make 6 to 8 legacy transactions.

    So some are on their way and others not begun when something happens.
    """

    make: Callable[[Vault, int], Trial]
    count: int


def pay(vault: Vault, count: int) -> Trial:
    """SOL to addresses that never had anything."""
    desk = vault.desk
    plan = desk.plan(count, 10**7 * count)
    transfers = desk.transfers(plan)
    effects = [
        Effect(
            one.recipient_address,
            (
                Change(one.recipient_address, one.amount),
                Change(vault.payer.address, -one.amount),
            ),
        )
        for one in transfers
    ]
    assert sum(one.amount for one in transfers) == 10**7 * count

    def spoil(position: int) -> None:
        # A program took the address, and what it gets does not make its account rent-exempt.
        key = Pubkey.from_string(effects[position].target)
        vault.ground.svm.set_account(key, Account(1, bytes(100_000), Pubkey.new_unique(), False, 0))

    return Trial(desk, vault.ground, plan, [vault.payer.address], effects, spoil)


def drain(vault: Vault, count: int, *, by: str) -> Trial:
    """All SOL of many wallets to one. `by` says who pays: "payer", "first" or "each"."""
    desk, ground = vault.desk, vault.ground
    sources, (destination,) = vault.take(count), vault.take(1)
    for number, wallet in enumerate(sources):
        ground.fund(wallet.address, _HELD + 1000 * number)
    payment = (
        Consolidation.FEE_PAYMENT_FIRST_SOURCE
        if by == "first"
        else Consolidation.FEE_PAYMENT_UNSPECIFIED
    )
    request = Consolidation(
        request_id=new_id(),
        source_wallet_ids=[wallet.id for wallet in sources],
        destination_wallet_id=destination.id,
        fee_payer_wallet_id=vault.payer.id if by == "payer" else "",
        fee_payment=payment,
    )
    distributions = desk.client().distributions
    plan = desk.patiently(lambda: distributions.CreateConsolidation(request)).distribution
    transfers = desk.transfers(plan)
    assert {one.source_address for one in transfers} == {wallet.address for wallet in sources}
    fees = 0 if by == "payer" else _fees(plan)
    assert sum(one.amount for one in transfers) + fees == count * _HELD + 500 * count * (count - 1)
    effects = [
        Effect(
            one.source_address,
            (Change(one.source_address, -one.amount), Change(destination.address, one.amount)),
            is_emptied=True,
        )
        for one in transfers
    ]
    payers = [vault.payer.address] if by == "payer" else [one.source_address for one in transfers]

    def spoil(position: int) -> None:
        ground.fund(transfers[position].source_address, -transfers[position].amount // 2)

    return Trial(desk, ground, plan, payers, effects, spoil)


def _fees(plan: pb.Distribution) -> int:
    return plan.estimate.base_fee_lamports + plan.estimate.priority_fee_lamports


KINDS: Mapping[str, Kind] = {
    "pay": Kind(pay, 150),
    "pay tokens": Kind(partial(pay_tokens, with_fee=False), 72),
    "pay tokens with fee": Kind(partial(pay_tokens, with_fee=True), 72),
    "drain by payer": Kind(partial(drain, by="payer"), 45),
    "drain by first": Kind(partial(drain, by="first"), 50),
    "drain by each": Kind(partial(drain, by="each"), 6),
    "drain tokens": Kind(partial(drain_tokens, with_fee=False), 33),
    "drain tokens with fee": Kind(partial(drain_tokens, with_fee=True), 33),
    "close": Kind(partial(close, mode=Closing.MODE_CLOSE), 40),
    "reclaim": Kind(partial(close, mode=Closing.MODE_RECLAIM), 40),
    "close and reclaim": Kind(partial(close, mode=Closing.MODE_CLOSE_AND_RECLAIM), 40),
}
# Whose batches are not split: one transfer each, or a payer whose money the failed fee was.
WHOLE = ("drain by first", "drain by each")
PAID_BY_ONE = tuple(kind for kind in KINDS if kind not in WHOLE)
