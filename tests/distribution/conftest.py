"""A desk: a gateway's distribution parts on a database and a scripted chain."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.adapters.postgres import Database
from gateway.domain.packing import TransactionVersion
from gateway.workflows.distribution_planning import PlanningConfig
from tests.distribution.support import Desk, open_desk
from tests.support.svm_rpc import SvmRpc

PRICE = 7_777


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open pool on a migrated database."""
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def desk(database: Database, svm_rpc: SvmRpc) -> AsyncIterator[Desk]:
    """A desk with 1,000 SOL."""
    opened = await open_desk(database, svm_rpc)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(params=[TransactionVersion.LEGACY, TransactionVersion.V1])
async def any_desk(
    database: Database, svm_rpc: SvmRpc, request: pytest.FixtureRequest
) -> AsyncIterator[Desk]:
    """A desk that plans legacy or v1 transactions, with a priority fee."""
    config = PlanningConfig(request.param, PRICE, PRICE)
    opened = await open_desk(database, svm_rpc, planning=config)
    yield opened
    await opened.close()
