"""How many wallets share one password."""

import pytest

from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from tests.gateway.support import (
    Gateway,
    derive,
    derive_request,
    derived_count,
    stream_refusal,
)


async def test_no_more_wallets_share_a_password_than_it_can_be_changed_for(
    gateway: Gateway, master: master_pb.MasterWallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A derivation that would go beyond is refused and stores nothing; what is stored already
    needs no room, and up to the limit there is room.
    """
    monkeypatch.setattr("gateway.workflows.derivation.KEY_GROUP_WALLETS_MAX", 5)
    await derive(gateway, derive_request(master, 0, 3))
    refusal = await stream_refusal(gateway.wallets.DeriveWallets(derive_request(master, 2, 4)))
    assert ("WRONG_STATE", "count") == (refusal.reason, refusal.metadata["field"])
    assert 3 == await derived_count(gateway, master)
    assert 2 == (await derive(gateway, derive_request(master, 0, 5))).created_count
    assert 0 == (await derive(gateway, derive_request(master, 0, 5))).created_count
