"""Fees: who pays them, and how much at most."""

import pytest
from solders.instruction import Instruction

from tests.intent import world as w
from tests.intent.test_effects import ME_KEY, OUT, STRANGER, intent_of


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ([], 0),
        ([w.price(1_000_000), w.limit(300)], 300),
        ([w.price(1), w.limit(1)], 1),  # rounded up
        ([w.price(3), w.limit(1_000_000)], 3),
        ([w.price(1_000_000)], 400_000),  # two instructions, 200,000 units each at most
        ([w.price(1_000_000), w.limit(2**32 - 1)], 1_400_000),  # clamped by the runtime
        ([w.price(2**64 - 1), w.limit(1_400_000)], (2**64 - 1) * 14 // 10),
        ([w.price(5_000_000), w.price(1), w.limit(10), w.limit(1_000_000)], 5_000_000),
    ],
)
def test_priority_fee_is_price_times_limit(budget: list[Instruction], expected: int) -> None:
    """ceil(price * limit / 10^6), with the largest limit the runtime could assume, no overflow."""
    intent = intent_of(*budget, w.transfer(ME_KEY, OUT, 1))
    assert expected == intent.priority_fee_lamports


def test_v1_pays_what_its_configuration_says() -> None:
    """v1's fee is total lamports. A price in an instruction, which SIMD-0385 ignores and LiteSVM
    charges, is counted on top.
    """
    pay = w.transfer(ME_KEY, OUT, 1)
    assert intent_of(pay, version=1, priority_fee=123).priority_fee_lamports == 123
    assert intent_of(pay, version=1).priority_fee_lamports == 0
    ixs = [w.price(10**6), w.limit(1000), pay]
    assert intent_of(*ixs, version=1, priority_fee=123).priority_fee_lamports == 1123


def test_fees_are_the_fee_payers() -> None:
    """Base fee of all signatures and priority fee are charged to the payer and to nobody else."""
    intent = intent_of(w.price(10**6), w.limit(77), w.transfer(ME_KEY, OUT, 1))
    assert intent.lamports_out_max(str(STRANGER.pubkey())) == 2 * 5000 + 77
    assert intent.lamports_out_max(str(ME_KEY)) == 1
