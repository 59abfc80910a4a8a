"""All endpoints must be of one cluster, and whoever is not is seen."""

import pytest

from gateway.adapters.solana_rpc import RpcError, SolanaRpc
from tests.solana_rpc.support import result
from tests.solana_rpc.test_pool import GENESIS, calls, failing, node, pool_of


async def test_an_endpoint_of_another_cluster_is_never_believed() -> None:
    """A node with another genesis hash gets no other question: its nulls would mean nothing."""
    here, elsewhere = failing(), node(lambda i, _m, _p: result(i, 5), "F" * 43)
    with pytest.raises(RpcError):
        await SolanaRpc(pool_of(here, elsewhere)).get_slot()
    assert 0 == calls(elsewhere)


async def test_another_cluster_is_seen_by_whoever_watches(caplog: pytest.LogCaptureFixture) -> None:
    """A look at the endpoints' health opens its circuit and says why, in the log as well."""
    here, elsewhere = (node(lambda i, _m, _p: result(i, 5), one) for one in (GENESIS, "F" * 43))
    health = node(lambda i, m, _p: result(i, "ok" if m == "getHealth" else 5))
    pool = pool_of(health, elsewhere, here)
    rpc = SolanaRpc(pool)
    await rpc.get_health()
    assert ["closed", "open", "closed"] == [found.state for found in pool.snapshot()]
    assert (
        f"serves another cluster: its genesis hash is {'F' * 43}" in pool.snapshot()[1].last_error
    )
    assert ["RPC endpoint is asked last"] == [record.message for record in caplog.records]
    assert GENESIS == await rpc.get_genesis_hash()
    assert [1, 1] == [len(one.requests) - calls(one) for one in (here, elsewhere)]


async def test_a_configured_cluster_is_the_only_one() -> None:
    """The first endpoint that answers is not the truth then, and a single one is asked, too."""
    first, second = (node(lambda i, _m, _p: result(i, 5), one) for one in ("F" * 43, GENESIS))
    rpc = SolanaRpc(pool_of(first, second, genesis_hash=GENESIS))
    assert (5, 0, 1) == (await rpc.get_slot(), calls(first), calls(second))
    with pytest.raises(RpcError, match="serves another cluster"):
        await SolanaRpc(pool_of(first, genesis_hash=GENESIS)).get_slot()


async def test_the_genesis_hash_is_read_once() -> None:
    """A single endpoint is asked when somebody wants to know, and not again."""
    one = node(lambda i, _m, _p: result(i, 5))
    rpc = SolanaRpc(pool_of(one))
    await rpc.get_slot()
    assert [GENESIS, GENESIS] == [await rpc.get_genesis_hash() for _ in range(2)]
    assert ["getSlot", "getGenesisHash"] == [method for method, _ in one.requests]
    with pytest.raises(RpcError, match="not 32 bytes"):
        await SolanaRpc(pool_of(node(lambda i, _m, _p: result(i, 5), "F"))).get_genesis_hash()
