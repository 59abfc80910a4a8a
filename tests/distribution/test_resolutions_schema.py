"""What no writer can do to what is UNKNOWN, nor to what was declared about it."""

import pytest

from gateway.domain.errors import GatewayError
from gateway.domain.states import DistributionState
from tests.distribution.support import Desk
from tests.distribution.unknowns import LONG_AGO, declares, parked, resolve, signatures

STORE = (
    "INSERT INTO attempt_resolutions (signature, verdict, reason, operator, peer, evidence) "
    "SELECT signature, '{0}', 'because', 'eve', '', 'none' FROM attempts;"
)
EXPIRE = "UPDATE attempts SET state = 'expired';"
PLAN = "UPDATE distribution_batches SET state = 'planned', lease_owner = NULL, "
PLAN += "lease_expires_at = NULL;"
FORBIDDEN = [
    EXPIRE,
    PLAN,
    PLAN.replace("planned", "failed"),
    PLAN + STORE.format("pay_again"),
    STORE.format("pay_again"),
    STORE.format("give_up") + EXPIRE,
    STORE.format("give_up") + EXPIRE + PLAN,
    STORE.format("landed") + EXPIRE,
]


async def test_the_database_enforces_it(desk: Desk) -> None:
    """No writer, right or wrong, moves an unknown attempt or batch without a declaration."""
    found = await parked(desk)
    for statements in FORBIDDEN:
        with pytest.raises(GatewayError):
            async with desk.database.transaction() as unit:
                await unit.connection.run_script(statements)
    assert found == await desk.workflows.get(found.id)
    (signature,) = await signatures(desk, found)
    desk.chain.advance(LONG_AGO)
    resolved = await resolve(desk, found, declares(signature))
    for statement in (
        "UPDATE attempt_resolutions SET reason = 'another one'",
        "DELETE FROM attempt_resolutions",
        "TRUNCATE attempt_resolutions",
        STORE.format("give_up"),
    ):
        with pytest.raises(GatewayError):
            async with desk.database.transaction() as unit:
                await unit.connection.run_script(statement)
    assert resolved == await desk.workflows.get(found.id)


async def test_what_is_cancelled_is_never_declared_to_be_paid_again(desk: Desk) -> None:
    """The database itself refuses it, parked or not; giving up it allows."""
    found = await parked(desk)
    await desk.workflows.cancel(found.id)
    await desk.engine.wait()
    with pytest.raises(GatewayError):
        async with desk.database.transaction() as unit:
            await unit.connection.run_script(STORE.format("pay_again") + EXPIRE + PLAN)
    given_up = STORE.format("give_up") + EXPIRE + PLAN.replace("planned", "failed")
    async with desk.database.transaction() as unit:
        await unit.connection.run_script(given_up)
        assert await unit.distributions.settle(found.id) is DistributionState.CANCELLED
