"""A blockhash to sign with: what providers, each by itself, must vouch for."""

import httpx
import pytest

from gateway.adapters.solana_rpc import Agreement, Endpoint, EndpointPool, SolanaRpc
from gateway.domain.chain import Blockhash
from gateway.domain.errors import ChainUnavailableError
from tests.solana_rpc.support import FakeNode, ManualClock, in_context, result

HASH, OTHER = "1" * 32, "G" * 43


def node(*, last: int = 351, slot: int = 1_201, gives: str = HASH, knows: str = HASH,
         at: int = 1_202, height: int = 202) -> FakeNode:  # fmt: skip
    """A node that gives one blockhash out, and knows one, at its newest slot and height."""

    def reply(request_id: int, method: str, params: list[object]) -> httpx.Response:
        value = {"blockhash": gives, "lastValidBlockHeight": last}
        answers: dict[str, object] = {
            "getGenesisHash": OTHER,
            "getLatestBlockhash": in_context(value, slot),
            "isBlockhashValid": in_context(params[:1] == [knows], at),
            "getEpochInfo": {"absoluteSlot": at, "blockHeight": height},
        }
        return result(request_id, answers[method])

    return FakeNode(reply)


def dead() -> FakeNode:
    """A node that does not answer."""
    return FakeNode(lambda _i, _m, _p: httpx.Response(503))


def client(*nodes: FakeNode, wanted: int = 2) -> SolanaRpc:
    """A client of these nodes, so many of which must prove an expiry."""
    endpoints = [
        Endpoint(f"http://n{place}", transport=httpx.MockTransport(one.handle))
        for place, one in enumerate(nodes)
    ]
    pool = EndpointPool(endpoints, ManualClock(), jitter=lambda: 0.5)
    return SolanaRpc(pool, agreement=Agreement(wanted))


async def test_the_latest_end_is_kept() -> None:
    """150 blocks past the highest that anybody tells, or what was told if that is more."""
    found = await client(node(), node(at=1_300, height=299)).get_signing_blockhash()
    assert Blockhash(HASH, 449, 1_201) == found
    alone = await client(node(last=380), wanted=1).get_signing_blockhash()
    assert Blockhash(HASH, 380, 1_201) == alone


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ([node(last=1), node()], "is good until block height 1, at 202"),
        ([node(last=503), node()], "is good until block height 503"),
        ([node(slot=801), node()], "contradict each other about the time"),
        ([node(slot=1_353, at=1_353), node()], "vouch"),
        ([node(at=1_353, height=353), node()], "contradict each other about the time"),
        ([node(height=400), node()], "contradict each other about the time"),
        ([node(gives=OTHER, knows=OTHER), node()], "1 of 2 RPC providers vouch"),
        ([node(), dead()], "1 of 2 RPC providers vouch"),
    ],
)
async def test_nothing_is_signed_with_what_does_not_go_together(
    nodes: list[FakeNode], why: str
) -> None:
    """An end, a beginning or a blockhash that the other one does not bear out, or no other."""
    with pytest.raises(ChainUnavailableError, match=why):
        await client(*nodes).get_signing_blockhash()


@pytest.mark.parametrize("one", [node(last=202), node(last=503), node(knows=OTHER), node(at=900)])
async def test_one_alone_must_not_contradict_itself(one: FakeNode) -> None:
    """Its own height, and whether it knows what it gave out, are the bounds where it is the only
    one.
    """
    with pytest.raises(ChainUnavailableError):
        await client(one, wanted=1).get_signing_blockhash()


async def test_the_next_blockhash_comes_from_another() -> None:
    """A first endpoint that lies holds nobody up: the others give blockhashes out."""
    rpc = client(node(last=1), node())
    for _ in range(2):  # the pool, in which it is the first, and then itself
        with pytest.raises(ChainUnavailableError):
            await rpc.get_signing_blockhash()
    assert 352 == (await rpc.get_signing_blockhash()).last_valid_block_height


async def test_two_of_three_are_enough() -> None:
    """One that is away, or does not know the blockhash yet, is not waited for."""
    for other in (dead(), node(knows=OTHER)):
        found = await client(node(), other, node()).get_signing_blockhash()
        assert 352 == found.last_valid_block_height
