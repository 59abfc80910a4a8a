"""More attempts than one call takes: each is asked about once, and judged by its own answer."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Self, cast
from uuid import uuid4

import pytest

from gateway.domain.attempts import LiveAttempt
from gateway.domain.chain import SignatureReading, SignatureStatus
from gateway.domain.states import AttemptState
from gateway.domain.wakeups import PatientListener
from gateway.workflows.distribution_followup import Followup
from tests.solana_rpc.support import ManualClock


@pytest.mark.parametrize(("count", "calls"), [(256, [256]), (257, [256, 1]), (600, [256, 256, 88])])
async def test_statuses_are_asked_for_256_a_call(count: int, calls: list[int]) -> None:
    """The last of 257 has a call to itself; every odd one is confirmed, and only those move."""
    asked: list[str] = []
    sizes: list[int] = []
    moved: list[str] = []
    sent: list[bytes] = []

    class Chain:
        async def get_block_height(self, _: str) -> int:
            return 10

        async def get_signature_statuses(
            self, signatures: Sequence[str], **_: bool
        ) -> SignatureReading:
            sizes.append(len(signatures))
            asked.extend(signatures)
            found = [
                SignatureStatus(5, "confirmed", "") if int(s) % 2 else None for s in signatures
            ]
            return SignatureReading(9, found)

        async def send_transaction(self, wire: bytes, **_: bool) -> str:
            sent.append(wire)
            return ""

    class Unit:
        distributions = SimpleNamespace()

        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None:
            return

    async def move(_: object, moves: Sequence[Any]) -> None:
        moved.extend(one.signature for one in moves if one.state is AttemptState.CONFIRMED)

    Unit.distributions.move_attempts = move
    clock = ManualClock()
    store = SimpleNamespace(transaction=Unit)
    followup = Followup(
        cast(Any, store), cast(Any, Chain()), clock, uuid4(), 2.0, PatientListener(clock)
    )
    names = [str(place) for place in range(count)]
    await followup.follow(
        [LiveAttempt(0, name, name.encode(), "", 100, 1, AttemptState.SENT) for name in names]
    )
    assert (calls, names) == (sizes, asked)
    assert [name for name in names if int(name) % 2] == moved
    assert sorted(name.encode() for name in names if int(name) % 2 == 0) == sorted(sent)
