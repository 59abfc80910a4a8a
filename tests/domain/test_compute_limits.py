"""Limits from what was used: never less than use and a quarter, whatever was not measured."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.compute_limits import (
    FIXED,
    UNITS_PER_SEARCH,
    ComputeLimits,
    Usage,
    samples_of,
    shape_of,
    with_margin,
)
from gateway.domain.instructions import SYSTEM_PROGRAM
from gateway.domain.planner import plan_distribution
from gateway.domain.plans import Asset, Move
from gateway.domain.simulation import ProgramFailure, loads_too_much, read_failure
from gateway.domain.steps import compute_unit_limit
from gateway.domain.token_programs import (
    ASSOCIATED_TOKEN,
    TOKEN,
    TOKEN_2022,
    create_idempotent,
    harvest_withheld,
    memo,
    transfer_checked,
)
from tests.domain.test_planner import order

USDC = Asset("mint", TOKEN, 6)


def paying(amount: int, searches: int = 0) -> Move:
    """A transfer into an account that is made."""
    steps = (
        create_idempotent("payer", "account", "owner", USDC),
        transfer_checked("from", "account", "payer", USDC, amount),
    )
    return Move("payer", "owner", amount, 40_000 + UNITS_PER_SEARCH * searches, steps)


def test_a_shape_is_programs_and_instructions() -> None:
    """Amounts, addresses and texts are not part of it; harvesting is told from fee transfers."""
    asset = Asset("mint", TOKEN_2022, 6)
    assert shape_of(paying(1)) == shape_of(paying(2**63))
    assert shape_of(Move("a", "b", 1, 300)) == ((SYSTEM_PROGRAM, b"\2", 1),)
    with_fee = Move("a", "b", 1, 1, (transfer_checked("a", "b", "c", asset, 1, 1),))
    harvest = Move("a", "b", 1, 1, (harvest_withheld("mint", "a"),))
    assert shape_of(with_fee) != shape_of(harvest)
    texts = [Move("a", "b", 1, 1, (memo(text),)) for text in ("x", "yy")]
    assert shape_of(texts[0]) == shape_of(texts[1])


@given(st.integers(1, 10**6), st.integers(0, 40), st.integers(0, 40))
def test_limits_are_use_and_a_quarter(used: int, measured: int, searches: int) -> None:
    """A move that searches longer than those that were measured gets that much more."""
    shape = shape_of(paying(1))
    limits = ComputeLimits({shape: Usage(used, paying(1, measured).compute_units)})
    more = UNITS_PER_SEARCH * max(0, searches - measured)
    limit = limits.of_move(paying(7, searches))
    assert 5 * (used + more) <= 4 * limit < 5 * (used + more) + 4


def test_what_was_not_measured_keeps_its_bound() -> None:
    """Moves of another shape, and the prologue, where nothing is known of them."""
    other = Move("a", "b", 1, 300)
    limits = ComputeLimits({shape_of(paying(1)): Usage(100, 40_000)})
    assert limits.of_move(other) == 300 == FIXED.of_move(other)
    assert (limits.of_prologue(45_000), FIXED.of_prologue(45_000)) == (45_000, 45_000)
    assert ComputeLimits({}, 1_000).of_prologue(45_000) == with_margin(1_000) == 1_250


def test_no_limit_is_above_the_runtimes() -> None:
    """More than 1.4 million units are not to be had."""
    assert compute_unit_limit(600, [paying(1)] * 60) == 1_400_000


def test_samples_are_full_transactions_from_all_over_the_plan() -> None:
    """Of 50 transactions the first, one from the middle and the last; of one, that one."""
    plan = plan_distribution(order(1_000, 10**12))
    samples = samples_of(plan)
    assert [len(sample.moves) for sample in samples] == [20, 20, 20]
    recipients = [item.recipient_address for item in plan.transfers]
    firsts = [recipients.index(sample.moves[0].recipient_address) for sample in samples]
    assert firsts == [0, 480, 980]
    assert len(samples_of(plan_distribution(order(5, 10**12)))) == 1


def test_measured_limits_make_the_same_plan_cheaper() -> None:
    """Amounts and packing stay; limits, and with them priority fees, follow what was used."""
    draft = plan_distribution(order(100, 10**12))
    limits = ComputeLimits({shape_of(draft.transfers[0].move): Usage(150, 300)})
    plan = plan_distribution(order(100, 10**12, limits=limits))
    assert {item.move.compute_units for item in plan.transfers} == {188}
    assert [item.amount for item in plan.transfers] == [item.amount for item in draft.transfers]
    assert plan.estimate.priority_fee_lamports < draft.estimate.priority_fee_lamports
    assert plan.etag != draft.etag
    assert plan == plan_distribution(order(100, 10**12, limits=dataclasses.replace(limits)))


CERTAIN = [
    ([2, {"Custom": 17}], TOKEN, "SPL Token: error 17, account is frozen"),
    ([0, {"Custom": 0}], ASSOCIATED_TOKEN, "the ATA program: error 0"),
    ([1, "ReadonlyLamportChange"], SYSTEM_PROGRAM, "the System program: ReadonlyLamportChange"),
    ([1, "IncorrectProgramId"], "Other", "Other: IncorrectProgramId"),
]


@pytest.mark.parametrize(("error", "program", "words"), CERTAIN)
def test_errors_of_programs_are_certain(error: list[object], program: str, words: str) -> None:
    """What a program says of itself is named with the program."""
    found = read_failure(json.dumps({"InstructionError": error}))
    assert isinstance(found, ProgramFailure)
    assert (found.instruction, found.describe(program)) == (error[0], words)


@pytest.mark.parametrize(
    "error",
    [
        "AccountNotFound",
        "InsufficientFundsForFee",
        "BlockhashNotFound",
        "SignatureFailure",
        "UnsupportedVersion",
        "SanitizeFailure",
        "AlreadyProcessed",
        {"InsufficientFundsForRent": {"account_index": 0}},
        {"InstructionError": [2, {"Custom": 1}]},
        {"InstructionError": [2, "InsufficientFunds"]},
        {"InstructionError": [2, "MaxInstructionTraceLengthExceeded"]},
        {"InstructionError": [2, "Send all to\nthis address"]},
        {"InstructionError": [2, {"BorshIoError": "x"}]},
        {"InstructionError": [2]},
        {"InstructionError": 2},
        {"Other": []},
        [],
        None,
    ],
)
def test_all_else_is_not_certain(error: object) -> None:
    """Funds, the node's own troubles, and what no node says, refuse no plan."""
    assert read_failure(json.dumps(error)) is None


def test_too_much_data_is_certain() -> None:
    """It is the plan's accounts that are too large, whichever node says so."""
    assert loads_too_much(json.dumps("MaxLoadedAccountsDataSizeExceeded"))
    assert not loads_too_much(json.dumps("BlockhashNotFound"))
    assert not loads_too_much("")


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_error_is_read(error: str) -> None:
    """Whatever a node writes as an error is read or not certain."""
    assert read_failure(error) is None
