"""Transfer fees of mints: which rate holds, which is to follow, and what they come to."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain.amounts import U64_MAX
from gateway.domain.mints import FeeRate, MintTerms, read_mint
from gateway.domain.token_programs import TOKEN_2022
from tests.distribution.tokens import FEE_CONFIG, fee_config, mint_data


def at_epoch(config: bytes, epoch: int) -> MintTerms:
    """A mint with this TransferFeeConfig, as it stands then."""
    return read_mint("mint", TOKEN_2022, mint_data({FEE_CONFIG: config}), epoch)


def test_the_epoch_decides_which_fee_holds() -> None:
    """The older rate holds until the newer one's epoch, and the newer one is told before."""
    config = fee_config(250, 7, since=5, before=100)
    assert [FeeRate(100, 7), FeeRate(250, 7)] == [at_epoch(config, n).fee for n in (4, 5)]
    assert [FeeRate(250, 7), None] == [at_epoch(config, n).later_fee for n in (4, 5)]


@pytest.mark.parametrize(("basis_points", "maximum"), [(0, 5), (250, 0), (0, 0)])
def test_a_fee_of_nil_is_a_fee(basis_points: int, maximum: int) -> None:
    """A mint that can have a fee has a rate, even if it withholds nothing now."""
    fee = at_epoch(fee_config(basis_points, maximum), 0).fee
    assert fee == FeeRate(basis_points, maximum)
    assert fee.is_nil
    assert (0, U64_MAX) == (fee.of(U64_MAX), fee.gross(U64_MAX))
    assert read_mint("mint", TOKEN_2022, mint_data({}), 0).fee is None


@pytest.mark.parametrize(("older", "newer"), [(10_001, 1), (1, 10_001)])
def test_rates_above_the_whole_are_malformed(older: int, newer: int) -> None:
    """Neither of the two rates is believed then."""
    for epoch in (0, 9):
        with pytest.raises(ValueError, match="malformed transfer fee"):
            at_epoch(fee_config(newer, 5, since=5, before=older), epoch)


@given(st.integers(0, 10_000), st.integers(0, 10**4), st.integers(1, 10**6))
@example(10_000, 0, 1)
@example(9_999, 10**4, 10**6)
def test_gross_is_the_least_that_gives_the_net(basis_points: int, maximum: int, net: int) -> None:
    """All of it arrives, and of one unit less it does not."""
    rate = FeeRate(basis_points, maximum)
    gross = rate.gross(net)
    assert net == gross - rate.of(gross)
    assert net > gross - 1 - rate.of(gross - 1)
