"""A real signer's policy and lookup tables: what it does not pin is refused when it is planned."""

import hashlib

import grpc
import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward.gateway.v1 import signing_service_pb2 as signing_pb
from tests.distribution.real import policy, real_desk
from tests.distribution.tables import content_of, write_table
from tests.distribution.tokens import TokenWorld
from tests.gateway.support import in_clear, refusal_of
from tests.postgres.samples import address_of
from tests.support.fixtures import MakeSigner, MakeSvmRpc
from tests.support.svm_rpc import SvmRpc

PAID = [address_of(number, "pins") for number in range(60)]
RULE = "desk/lookup_table: not pinned"
TABLE = address_of(1, "table")
TOTAL = 60_000_000


def pinned(*addresses: str) -> str:
    """A policy that pins the table with these addresses."""
    pin = hashlib.sha256(content_of(addresses)).hexdigest()
    return policy(tables=f'[lookup_table]\n"{TABLE}" = "{pin}"')


async def test_a_pinned_table_pays(
    make_signer: MakeSigner, database_url: str, make_svm_rpc: MakeSvmRpc
) -> None:
    """Planned, approved, signed by a real signer and executed: 60 recipients, two transactions."""
    node = make_svm_rpc(block_time_s=0.05)
    async with real_desk(make_signer(policy=pinned(*PAID)), database_url, node) as desk:
        write_table(node.chain, PAID, at=TABLE)
        calls = desk.gateway.distributions
        payout = desk.payout(PAID, TOTAL, lookup_table_addresses=[TABLE])
        estimate = desk.estimate(payout)
        estimate.lookup_table_addresses.append(TABLE)
        cost = (await calls.EstimateCost(estimate)).estimate
        planned = (await calls.CreateDistribution(payout)).distribution
        assert cost == planned.estimate
        assert ("0", 2, [TABLE]) == (
            planned.transaction_version,
            planned.transaction_count,
            list(planned.lookup_table_addresses),
        )
        session = await desk.gateway.signing.OpenSession(
            signing_pb.OpenSessionRequest(
                wallet_ids=signing_pb.WalletIds(ids=planned.unlock_wallet_ids),
                credential=in_clear(),
            )
        )
        await calls.ExecuteDistribution(
            pb.ExecuteDistributionRequest(
                distribution_id=planned.id, etag=planned.etag, session_token=session.session_token
            )
        )
        async for _ in calls.WatchDistribution(
            pb.WatchDistributionRequest(distribution_id=planned.id)
        ):
            pass
        request = pb.GetDistributionRequest(distribution_id=planned.id)
        done = (await calls.GetDistribution(request)).distribution
        assert (pb.Distribution.STATE_COMPLETED, TOTAL) == (done.state, done.finalized_lamports)
        assert [TABLE] == list(done.lookup_table_addresses)


@pytest.mark.parametrize("content", ["no pin", "another order"])
async def test_what_is_not_pinned_is_refused(
    make_signer: MakeSigner, database_url: str, svm_rpc: SvmRpc, content: str
) -> None:
    """No pin, or one of another content: estimate, dry run and plan are refused by the rule."""
    text = {
        "no pin": policy(),
        "another order": pinned(*PAID[::-1]),
    }[content]
    async with real_desk(make_signer(policy=text), database_url, svm_rpc) as desk:
        write_table(svm_rpc.chain, PAID, at=TABLE)
        calls = desk.gateway.distributions
        payout = desk.payout(PAID, TOTAL, lookup_table_addresses=[TABLE])
        estimate = desk.estimate(payout)
        estimate.lookup_table_addresses.append(TABLE)
        dry_run = desk.payout(PAID, TOTAL, lookup_table_addresses=[TABLE], validate_only=True)
        for call in (
            calls.CreateDistribution(payout),
            calls.CreateDistribution(dry_run),
            calls.EstimateCost(estimate),
        ):
            found = await refusal_of(call)
            assert (grpc.StatusCode.PERMISSION_DENIED, RULE) == (
                found.code,
                found.metadata["rule"],
            )
            assert TABLE in found.message
        assert await desk.stored() == 0
        without = await calls.CreateDistribution(desk.payout(PAID, TOTAL))
        assert without.distribution.transaction_count == 3


async def test_tokens_by_a_pinned_table(
    make_signer: MakeSigner, database_url: str, svm_rpc: SvmRpc
) -> None:
    """The signer sees through the table: token caps and accounts are judged as if named."""
    world = TokenWorld(svm_rpc.chain)
    held = [world.mint, *(world.open(address) for address in PAID)]
    text = pinned(*held).replace('"*" = "unlimited"', f"{world.mint} = 53")
    async with real_desk(make_signer(policy=text), database_url, svm_rpc) as desk:
        write_table(svm_rpc.chain, held, at=TABLE)
        world.open(desk.wallets[0].address, 1_000)
        calls = desk.gateway.distributions
        fits = desk.payout(PAID[:52], 52, mint=world.mint, lookup_table_addresses=[TABLE])
        planned = (await calls.CreateDistribution(fits)).distribution
        assert (1, "0") == (planned.transaction_count, planned.transaction_version)
        over = desk.payout(PAID[:52], 54, mint=world.mint, lookup_table_addresses=[TABLE])
        found = await refusal_of(calls.CreateDistribution(over))
        assert "desk/tokens_per_transaction_max: 53" == found.metadata["rule"]


@pytest.mark.parametrize(
    ("tables", "field"),
    [
        (["nonsense"], "lookup_table_addresses[0]"),
        ([TABLE, TABLE], "lookup_table_addresses"),
        ([address_of(n) for n in range(129)], "lookup_table_addresses"),
        ([address_of(1)], "lookup_table_addresses[0]"),
    ],
)
async def test_bad_names_of_tables(
    make_signer: MakeSigner, database_url: str, svm_rpc: SvmRpc, tables: list[str], field: str
) -> None:
    """Not an address, twice the same, too many, or no table on the chain: refused by its field."""
    async with real_desk(make_signer(policy=policy()), database_url, svm_rpc) as desk:
        calls = desk.gateway.distributions
        payout = desk.payout(PAID, TOTAL, lookup_table_addresses=tables)
        found = await refusal_of(calls.CreateDistribution(payout))
        assert (grpc.StatusCode.INVALID_ARGUMENT, (field,)) == (found.code, found.fields)
