"""A real signer's caps of a day against whole plans: refused when they are made, by name."""

from typing import Any

import grpc
import pytest
from solders.pubkey import Pubkey

from gateway.domain.packing import TransactionVersion
from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.distribution.real import policy, real_desk
from tests.distribution.tokens import TokenWorld
from tests.gateway.support import new_id, refusal_of
from tests.postgres.samples import address_of
from tests.support.fixtures import MakeSigner
from tests.support.svm_rpc import SvmRpc

TOTAL = 45_000_000  # to 45 recipients: three legacy transactions of 20, 20 and 5
FEES = 3 * 5_000
PAID = [address_of(number, "caps") for number in range(45)]


async def refused(call: Any) -> tuple[grpc.StatusCode, str, str]:
    """How a call failed: code, reason, rule."""
    found = await refusal_of(call)
    return found.code, found.reason, found.metadata.get("rule", found.message)


def denied(rule: str) -> tuple[grpc.StatusCode, str, str]:
    """How a call fails that a rule denies."""
    return grpc.StatusCode.PERMISSION_DENIED, "POLICY_DENIED", rule


@pytest.mark.parametrize("spare", [-1, 0])
async def test_a_wallets_day(
    make_signer: MakeSigner, database_url: str, svm_rpc: SvmRpc, spare: int
) -> None:
    """Three transactions, each within the cap: with one lamport too few for all of them the plan,
    its dry run and its estimate are refused by the cap's name; with exactly enough it is planned.
    """
    cap = TOTAL + FEES + spare
    rule = f"desk/lamports_per_day_max: {cap}"
    signer = make_signer(policy=policy(f"lamports_per_day_max = {cap}"))
    async with real_desk(signer, database_url, svm_rpc) as desk:
        calls = desk.gateway.distributions
        payout = desk.payout(PAID, TOTAL)
        if spare < 0:
            assert await refused(calls.CreateDistribution(payout)) == denied(rule)
            assert await refused(calls.EstimateCost(desk.estimate(payout))) == denied(rule)
            dry_run = desk.payout(PAID, TOTAL, validate_only=True)
            assert await refused(calls.CreateDistribution(dry_run)) == denied(rule)
            assert await desk.stored() == 0
        else:
            await calls.EstimateCost(desk.estimate(payout))
            planned = await calls.CreateDistribution(payout)
            assert planned.distribution.transaction_count == 3
            assert planned.distribution.estimate.base_fee_lamports == FEES


async def test_a_groups_day(make_signer: MakeSigner, database_url: str, svm_rpc: SvmRpc) -> None:
    """Three sources that pay for themselves, each within its own cap: together they need more than
    the group has.
    """
    caps = "lamports_per_day_max = 1_000_000\ngroup_lamports_per_day_max = 2_999_999"
    signer = make_signer(policy=policy(caps))
    async with real_desk(signer, database_url, svm_rpc) as desk:
        for wallet in desk.wallets[1:]:
            svm_rpc.chain.fund(Pubkey.from_string(wallet.address), 1_000_000)
        sweep = pb.CreateConsolidationRequest(
            request_id=new_id(),
            source_wallet_ids=[wallet.id for wallet in desk.wallets[1:]],
            destination_wallet_id=desk.wallets[0].id,
        )
        outcome = await refused(desk.gateway.distributions.CreateConsolidation(sweep))
        assert outcome == denied("desk/group_lamports_per_day_max: 2999999")
        sweep.source_wallet_ids.pop()
        sweep.request_id = new_id()
        planned = await desk.gateway.distributions.CreateConsolidation(sweep)
        assert planned.distribution.total_lamports == 2 * 995_000


@pytest.mark.parametrize("cap", [44_999_999, 45_000_000])
async def test_a_tokens_day(
    make_signer: MakeSigner, database_url: str, svm_rpc: SvmRpc, cap: int
) -> None:
    """A token's cap is counted by its mint, over all of the plan's transactions."""
    world = TokenWorld(svm_rpc.chain)
    caps = f'[group.tokens_per_day_max]\n{world.mint} = {cap}\n"*" = 1'
    async with real_desk(
        make_signer(policy=policy(token_caps=caps)), database_url, svm_rpc
    ) as desk:
        world.open(desk.wallets[0].address, TOTAL)
        for address in PAID:
            world.open(address)
        call = desk.gateway.distributions.CreateDistribution(
            desk.payout(PAID, TOTAL, mint=world.mint)
        )
        if cap < TOTAL:
            assert await refused(call) == denied(f"desk/tokens_per_day_max: {cap}")
        else:
            assert (await call).distribution.transaction_count == 3


@pytest.mark.parametrize("rate", [0, 1])
async def test_a_minutes_rate_is_no_reason(
    make_signer: MakeSigner, database_url: str, svm_rpc: SvmRpc, rate: int
) -> None:
    """One signature a minute is enough for a plan of three transactions: the engine waits. None at
    all is not.
    """
    text = policy().replace("signatures_per_minute = 1_000_000", f"signatures_per_minute = {rate}")
    async with real_desk(make_signer(policy=text), database_url, svm_rpc) as desk:
        call = desk.gateway.distributions.CreateDistribution(desk.payout(PAID, TOTAL))
        if rate:
            assert (await call).distribution.transaction_count == 3
        else:
            assert await refused(call) == denied("desk/signatures_per_minute: 0")


async def test_every_recipient_counts(
    make_signer: MakeSigner, database_url: str, svm_rpc: SvmRpc
) -> None:
    """One address that the policy does not let be paid, in the middle of 1,000: refused."""
    stranger = address_of(500, "many")
    text = policy(f'destinations_deny = ["{stranger}"]')
    async with real_desk(make_signer(policy=text), database_url, svm_rpc) as desk:
        paid = [address_of(number, "many") for number in range(1_000)]
        call = desk.gateway.distributions.CreateDistribution(desk.payout(paid, 10**9))
        assert await refused(call) == denied("desk/destinations_deny")


@pytest.mark.parametrize("version", list(TransactionVersion))
async def test_the_cap_on_priority_fees(
    make_signer: MakeSigner, database_url: str, svm_rpc: SvmRpc, version: TransactionVersion
) -> None:
    """A plan's price meets the policy's cap on what it comes to: per transaction, in every format.
    A lamport above it the plan is refused by the cap's name, at the cap it is planned.
    """
    transfers = 45 if version is TransactionVersion.V1 else 20
    dearest = (600 + 188 * transfers) // 20  # at 0.05 lamports a unit
    signer = make_signer(policy=policy(f"priority_fee_lamports_max = {dearest}"))
    for price, allowed in ((50_000, True), (50_100, False)):
        async with real_desk(
            signer, database_url, svm_rpc, wallets=1, version=version, price=price
        ) as desk:
            payout = desk.payout(PAID, TOTAL)
            call = desk.gateway.distributions.CreateDistribution(payout)
            if allowed:
                assert (await call).distribution.estimate.priority_fee_lamports > 0
            else:
                rule = f"desk/priority_fee_lamports_max: {dearest}"
                assert await refused(call) == denied(rule)
                assert await desk.stored() == 1
