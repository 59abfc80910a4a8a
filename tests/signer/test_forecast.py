"""CheckPolicy for many transactions together: each judged, and their needs of each cap added up."""

from collections.abc import Iterator
from functools import partial

import pytest

from solward.signer.v1 import signer_service_pb2 as pb
from tests.signer.client import connected, payment
from tests.signer.house import House
from tests.signer.process import POLICY, signer_process
from tests.signer.refusals import refusal_of

WALLET_CAP, GROUP_CAP = 20_000, 50_000
NEEDS = 6_000  # lamports: 1,000 and the fee of one signature
RATE = "desk/signatures_per_minute: 100"
WALLET_RULE = f"desk/lamports_per_day_max: {WALLET_CAP}"
GROUP_RULE = f"desk/group_lamports_per_day_max: {GROUP_CAP}"


@pytest.fixture
def house() -> Iterator[House]:
    """A signer of the test's own, whose desk has caps of a day."""
    with signer_process(rate=100) as process:
        caps = f"lamports_per_day_max = {WALLET_CAP}\ngroup_lamports_per_day_max = {GROUP_CAP}\n"
        desk, guests = POLICY.format(rate=100).split("\n\n")
        process.policy.write_text(f"{desk}\n{caps}\n{guests}")
        process.start()
        with connected(process) as client:
            yield House.built(client)


def ask(house: House, items: list[pb.TransactionItem]) -> pb.CheckPolicyResponse:
    """CheckPolicy of all items, without their sealed keys."""
    for item in items:
        for wallet in item.wallets:
            wallet.ClearField("sealed_record")
    return house.client.signer.CheckPolicy(pb.CheckPolicyRequest(items=items))


def totals(answer: pb.CheckPolicyResponse) -> list[tuple[str, str, int, int]]:
    """(what it is counted by, rule, needed, available), in order of the first."""
    return sorted((cap.counted_by, cap.rule, cap.needed, cap.available) for cap in answer.totals)


def test_needs_of_one_cap_are_added_up(house: House) -> None:
    """Three payments of one wallet and two of another: each wallet's cap and rate, and the group's
    cap for all five; every verdict by itself is an allowance.
    """
    first, second, third, _ = house.wallets
    items = [payment(first, second) for _ in range(3)] + [payment(third, second) for _ in range(2)]
    answer = ask(house, items)
    assert answer.allowed
    assert [True] * 5 == [result.allowed for result in answer.results]
    assert [
        ("group-lamports/desk", GROUP_RULE, 5 * NEEDS, GROUP_CAP),
        *sorted(
            [
                (f"lamports/{first.address}", WALLET_RULE, 3 * NEEDS, WALLET_CAP),
                (f"lamports/{third.address}", WALLET_RULE, 2 * NEEDS, WALLET_CAP),
            ]
        ),
        *sorted(
            [
                (f"signatures/{first.address}", RATE, 3, 100),
                (f"signatures/{third.address}", RATE, 2, 100),
            ]
        ),
    ] == totals(answer)


def test_together_they_may_be_too_many(house: House) -> None:
    """Four payments that are each allowed are not, together; nor are three after one is signed."""
    first, second, *_ = house.wallets
    four = ask(house, [payment(first, second) for _ in range(4)])
    assert (False, [True] * 4) == (four.allowed, [result.allowed for result in four.results])
    three = [payment(first, second) for _ in range(3)]
    assert ask(house, three).allowed
    (result,) = house.client.sign(house.token, [payment(first, second, 9_999)])
    assert result.HasField("signed")
    answer = ask(house, three)
    assert not answer.allowed
    left = {cap.counted_by: cap.available for cap in answer.totals}
    assert WALLET_CAP - 14_999 == left[f"lamports/{first.address}"]
    assert GROUP_CAP - 14_999 == left["group-lamports/desk"]


def test_the_group_has_a_cap_of_its_own(house: House) -> None:
    """Three wallets, each within its cap, need more than the group has left."""
    destination = house.wallets[3]
    items = [payment(wallet, destination) for wallet in house.wallets[:3] for _ in range(3)]
    assert not ask(house, items).allowed
    needs = {cap.counted_by: cap.needed for cap in ask(house, items).totals}
    assert 9 * NEEDS == needs.pop("group-lamports/desk")
    assert {3, 3 * NEEDS} == set(needs.values())


def test_a_denial_stands_in_its_place(house: House) -> None:
    """One theft among payments: its own verdict names the rule, and it needs nothing of a cap."""
    first, second, *_ = house.wallets
    stranger = house.guest.address
    items = [payment(first, second), payment(first, stranger), payment(first, second)]
    answer = ask(house, items)
    assert not answer.allowed
    rules = [result.verdicts[0].rule for result in answer.results]
    assert ["desk/allowed", "desk/destinations: vault", "desk/allowed"] == rules
    assert [True, False, True] == [result.allowed for result in answer.results]
    needs = {cap.counted_by: cap.needed for cap in answer.totals}
    assert 2 * NEEDS == needs["group-lamports/desk"]


def test_nothing_is_counted(house: House) -> None:
    """Asking a hundred times leaves every limit as it was: what is left is signed afterwards."""
    first, second, *_ = house.wallets
    three = [payment(first, second) for _ in range(3)]
    before = totals(ask(house, three))
    for _ in range(100):
        assert before == totals(ask(house, three))
    signed = house.client.sign(house.token, [payment(first, second) for _ in range(3)])
    assert [True] * 3 == [result.HasField("signed") for result in signed]


def test_what_is_asked_is_checked(house: House) -> None:
    """Both fields, 501 items, or a malformed one: refused, naming the field."""
    first, second, *_ = house.wallets
    item = payment(first, second)
    torn = pb.TransactionItem(transaction=item.transaction[:-1], wallets=item.wallets)
    check = house.client.signer.CheckPolicy
    for request, reason, field in [
        (pb.CheckPolicyRequest(item=item, items=[item]), "INVALID_FIELD", "items"),
        (pb.CheckPolicyRequest(items=[item] * 501), "INVALID_FIELD", "items"),
        (
            pb.CheckPolicyRequest(items=[item, torn]),
            "TRANSACTION_MALFORMED",
            "items[1].transaction",
        ),
        (
            pb.CheckPolicyRequest(items=[item, pb.TransactionItem()]),
            "INVALID_FIELD",
            "items[1].wallets",
        ),
    ]:
        refused = refusal_of(partial(check, request))
        assert (reason, field) == (refused.reason, refused.field)
