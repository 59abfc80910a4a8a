"""Consolidations whose sources pay: those pay who can, and nobody is planned who cannot."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.addresses import encode_base58
from gateway.domain.errors import PreconditionFailedError
from gateway.domain.orders import FeePayment
from gateway.domain.planner import Source, SweepInput, plan_sweep
from gateway.domain.plans import FeeRates, Plan
from gateway.domain.rent import may_be_left

FEE, FLOOR = 5_000, 650_240
RATES = FeeRates(lamports_per_signature=FEE, rent_floor_lamports=FLOOR, compute_unit_price=0)
RICH = 10**8
CANNOT = "it cannot pay a fee: what it held after that would be under the rent floor"


def address(number: int) -> str:
    """The address of a source."""
    return encode_base58(number.to_bytes(32, "big"))


def swept(balances: Sequence[int], payment: FeePayment) -> Plan:
    """A plan of sources that hold so much, numbered from 1."""
    sources = [
        Source(UUID(int=number), address(number), balance)
        for number, balance in enumerate(balances, start=1)
    ]
    destination = (encode_base58(bytes([255] * 32)), UUID(int=10**6))
    return plan_sweep(SweepInput(sources, destination, RICH, None, payment, RATES))


@pytest.mark.parametrize(
    ("balance", "reason"),
    [
        (FEE, "it holds less than the fee"),
        (FEE + 1, ""),
        (FLOOR - 1, ""),  # what was never rent-exempt may fall as it likes
        (FLOOR, CANNOT),
        (652_000, CANNOT),
        (FLOOR + FEE - 1, CANNOT),
        (FLOOR + FEE, ""),
    ],
)
def test_a_source_must_be_able_to_pay_its_own_fee(balance: int, reason: str) -> None:
    """The fee goes first, and may not leave less than the rent floor, whatever comes after."""
    plan = swept([balance, RICH], FeePayment.EACH_SOURCE)
    assert {skip.address: skip.reason for skip in plan.skips} == (
        {address(1): reason} if reason else {}
    )
    amounts = {item.move.source_address: item.amount for item in plan.transfers}
    assert amounts.get(address(1), 0) == (0 if reason else balance - FEE)


def test_who_can_pay_pays_for_who_cannot() -> None:
    """17 sources are two transactions: the two that can pay lead them, and all are emptied."""
    plan = swept([652_000] * 15 + [RICH, RICH // 2], FeePayment.FIRST_SOURCE)
    assert [batch.fee_payer_address for batch in plan.batches] == [address(16), address(17)]
    assert [batch.transfer_count for batch in plan.batches] == [9, 8]
    assert plan.skips == []


def test_what_those_who_can_pay_have_no_room_for_is_left_out() -> None:
    """One that can pay has room for eight others, and takes those that hold most."""
    plan = swept([652_000] * 5 + [652_001] * 8 + [RICH], FeePayment.FIRST_SOURCE)
    assert [batch.fee_payer_address for batch in plan.batches] == [address(14)]
    assert {skip.address for skip in plan.skips} == {address(number) for number in range(1, 6)}
    assert {skip.reason for skip in plan.skips} == {CANNOT}


@pytest.mark.parametrize("payment", FeePayment)
def test_nobody_can_pay(payment: FeePayment) -> None:
    """Nothing is planned if there is nobody to pay for it."""
    with pytest.raises(PreconditionFailedError) as caught:
        swept([652_000] * 12, payment)
    assert (caught.value.reason, caught.value.field) == ("INSUFFICIENT_FUNDS", "source_wallet_ids")


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.sampled_from([0, 1, FEE, 652_000, FLOOR + FEE, RICH]) | st.integers(0, 10**6)),
    st.sampled_from(FeePayment),
)
def test_every_source_is_emptied_or_left_out(balances: list[int], payment: FeePayment) -> None:
    """Each stands in the plan once, with all that it holds, and every payer may pay its fee."""
    plan = swept([*balances, RICH], payment)
    held = dict(enumerate([*balances, RICH], start=1))
    given_up = {skip.address for skip in plan.skips}
    fees = {batch.fee_payer_address: batch.fee_lamports for batch in plan.batches}
    moved = {item.move.source_address: item.amount for item in plan.transfers}
    assert len(moved) == len(plan.transfers)
    assert given_up.isdisjoint(moved)
    for number, balance in held.items():
        at = address(number)
        assert at in given_up or moved[at] == balance - fees.get(at, 0)
        assert may_be_left(balance, balance - fees.get(at, 0), FLOOR)
