"""A gateway in this process whose wallets have keys that tests hold."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from solders.keypair import Keypair

from gateway.app import Adapters
from tests.gateway.conftest import (
    adapters,
    config,
    fake,
    gateway,
    master,
    signer_socket,
    wallets,
)
from tests.reads.tokens import TokenChain
from tests.support.svm_rpc import SvmRpc

__all__ = ["adapters", "config", "fake", "gateway", "master", "signer_socket", "wallets"]
Adopt = Callable[..., Awaitable[UUID]]


@pytest.fixture
def adopt(adapters: Adapters) -> Adopt:
    """Stores a wallet by its key pair, with tags; returns its id."""

    async def store(pair: Keypair, *tags: str) -> UUID:
        address = str(pair.pubkey())
        async with adapters.database.transaction() as unit:
            return await unit.wallets.insert_imported(
                address=address,
                encrypted_private_key=f"sealed {address}",
                key_group="group",
                ownership_tag=f"tag {address}",
                tags=tags,
            )

    return store


@pytest.fixture
def tokens(svm_rpc: SvmRpc) -> TokenChain:
    """Token instructions on the chain under the node."""
    return TokenChain(svm_rpc.chain)
