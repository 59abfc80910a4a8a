"""Fixtures of the client's tests."""

from collections.abc import Iterator

import pytest

from solward_client import Solward
from solward_client.channel import open_channel
from tests.client.fake_gateway import FakeGateway


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    """A gateway that answers from memory."""
    with FakeGateway() as served:
        yield served


@pytest.fixture
def solward(gateway: FakeGateway) -> Iterator[Solward]:
    """A client of it that does not wait between attempts."""
    with Solward(open_channel(gateway.target), sleep=lambda _s: None) as client:
        yield client
