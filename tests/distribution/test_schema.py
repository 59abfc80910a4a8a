"""The tables' own guarantees: what no writer, right or wrong, can do."""

from typing import Final
from uuid import UUID, uuid4

import pytest

from gateway.adapters.postgres import Database
from gateway.domain.errors import GatewayError, PreconditionFailedError
from gateway.domain.states import ATTEMPT_MOVES, BATCH_MOVES, DISTRIBUTION_MOVES
from tests.distribution.support import Desk

TOTAL = 10**9
ATTEMPT: Final = (
    "INSERT INTO attempts (signature, distribution_id, batch_position, wire, blockhash, "
    "last_valid_block_height, blockhash_slot, state) VALUES "
)


@pytest.mark.parametrize(
    ("trigger", "moves"),
    [
        ("distributions_moves", DISTRIBUTION_MOVES),
        ("batches_moves", BATCH_MOVES),
        ("attempts_moves", ATTEMPT_MOVES),
    ],
)
async def test_the_database_knows_the_same_moves(
    database: Database, trigger: str, moves: dict[str, frozenset[str]]
) -> None:
    """The triggers' tables are those of gateway.domain.states, neither more nor fewer."""
    async with database.read() as unit:
        arguments: bytes = await unit.connection.fetchval(
            "SELECT tgargs FROM pg_trigger WHERE tgname = $1", trigger
        )
    known = set(arguments.decode().rstrip("\0").split("\0"))
    assert known == {f"{before}>{after}" for before, afters in moves.items() for after in afters}


FROZEN: Final = [
    "UPDATE transfers SET amount = amount + 1",
    "UPDATE transfers SET recipient_address = repeat('1', 32)",
    "DELETE FROM transfers",
    "TRUNCATE transfers",
    "DELETE FROM distribution_batches",
    "UPDATE distribution_batches SET total_amount = 1",
    "UPDATE distributions SET total_amount = 1",
    "UPDATE distributions SET etag = 'x'",
    "DELETE FROM distributions",
    "INSERT INTO transfers SELECT distribution_id, 99, 0, repeat('1', 32), 1 FROM transfers",
    "INSERT INTO distribution_batches SELECT id, 99, 0, 1, 1 FROM distributions",
    """INSERT INTO distribution_batches
    SELECT id, 99, 0, 1, 1, 'planned', '', NULL, NULL, '', 1, 0, 0 FROM distributions""",
    "UPDATE distribution_batches SET state = 'split' WHERE position = 0",
    "UPDATE transfers SET steps = '[]'",
    "UPDATE transfers SET rent_lamports = 1",
    "UPDATE distributions SET account_rent_lamports = 1",
    "UPDATE distributions SET genesis_hash = repeat('F', 43)",
    "UPDATE distribution_batches SET fee_lamports = 1",
    "UPDATE distributions SET mint = 'x', token_program = 'x'",
    "UPDATE distributions SET state = 'completed'",
    "UPDATE distribution_batches SET state = 'finalized'",
    "UPDATE distributions SET state = 'nonsense'",
]


async def test_a_plan_is_frozen(desk: Desk) -> None:
    """No amount, recipient or state of a stored plan can be changed past the rules."""
    planned = await desk.planned(30, TOTAL)
    before = await desk.workflows.list_transfers(planned.id)
    for statement in FROZEN:
        with pytest.raises(GatewayError):
            async with desk.database.transaction() as unit:
                await unit.connection.run_script(statement)
    assert before == await desk.workflows.list_transfers(planned.id)
    assert planned == await desk.workflows.get(planned.id)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE pg_temp.t SET amount = amount + 1 WHERE position = 0",
        "DELETE FROM pg_temp.t WHERE position = 29",
        "UPDATE pg_temp.t SET batch_position = 1 - batch_position",
    ],
)
async def test_a_plan_that_does_not_add_up_is_not_committed(desk: Desk, damage: str) -> None:
    """The sum is checked when the plan is committed, whoever wrote it."""
    await desk.planned(30, TOTAL)
    with pytest.raises(GatewayError, match="distributions_add_up"):
        async with desk.database.transaction() as unit:
            await unit.connection.run_script(
                "CREATE TEMP TABLE t ON COMMIT DROP AS TABLE transfers;"
                "CREATE TEMP TABLE d ON COMMIT DROP AS TABLE distributions;"
                "CREATE TEMP TABLE b ON COMMIT DROP AS TABLE distribution_batches;"
                f"{damage};"
                "UPDATE pg_temp.d SET id = gen_random_uuid(), created_at = now();"
                "UPDATE pg_temp.t SET distribution_id = (SELECT id FROM pg_temp.d);"
                "UPDATE pg_temp.b SET distribution_id = (SELECT id FROM pg_temp.d);"
                "ALTER TABLE pg_temp.d DROP COLUMN ordinal;"
                "INSERT INTO distributions (id, state, etag, source_wallet_id, source_address, "
                "total_amount, transfer_count, batch_count, split_kind, split_seed, "
                "transaction_version, compute_unit_price, opening_units, "
                "base_fee_lamports, priority_fee_lamports, rent_lamports, required_lamports, "
                "rent_floor_lamports, new_account_count) SELECT id, state, etag, "
                "source_wallet_id, source_address, total_amount, transfer_count, batch_count, "
                "split_kind, split_seed, transaction_version, compute_unit_price, "
                "opening_units, base_fee_lamports, priority_fee_lamports, "
                "rent_lamports, required_lamports, rent_floor_lamports, new_account_count "
                "FROM pg_temp.d;"
                "INSERT INTO distribution_batches TABLE pg_temp.b;"
                "INSERT INTO transfers TABLE pg_temp.t;"
            )


async def test_one_live_attempt(desk: Desk) -> None:
    """A second attempt is stored only if the first one failed for good or is proven expired."""
    live = {"signed", "sent", "confirmed", "finalized", "unknown"}
    for number, state in enumerate((*sorted(live), "failed", "expired"), start=1):
        planned = await desk.planned(5, TOTAL, request=number)

        async def attempt(signature: str, attempt_state: str, owner: UUID = planned.id) -> None:
            async with desk.database.transaction() as unit:
                await unit.connection.execute(
                    ATTEMPT + "($1, $2, 0, $3, 'x', 1, 1, $4)",
                    signature.ljust(88, "x"),
                    owner,
                    bytes(200),
                    attempt_state,
                )

        await attempt(f"first{number}", state)
        if state in live:
            with pytest.raises(GatewayError):
                await attempt(f"second{number}", "signed")
        else:
            await attempt(f"second{number}", "signed")


async def test_what_was_signed_stays(desk: Desk) -> None:
    """A finalized attempt is neither changed nor deleted nor made to look like another."""
    await desk.executed(5, TOTAL)
    for statement in (
        "DELETE FROM attempts",
        "UPDATE attempts SET wire = wire || 'x'::bytea",
        "UPDATE attempts SET last_valid_block_height = 5",
        "UPDATE attempts SET state = 'signed'",
        "UPDATE attempts SET state = 'expired'",
    ):
        with pytest.raises(GatewayError):
            async with desk.database.transaction() as unit:
                await unit.connection.run_script(statement)


async def test_wrong_moves_are_a_precondition(desk: Desk) -> None:
    """The trigger's refusal reaches the caller as FAILED_PRECONDITION, not as a database error."""
    planned = await desk.planned(5, TOTAL)
    with pytest.raises(PreconditionFailedError):
        async with desk.database.transaction() as unit:
            await unit.connection.execute(
                "UPDATE distributions SET state = 'paused' WHERE id = $1", planned.id
            )
    async with desk.database.transaction() as unit:
        assert await unit.distributions.unsettled() == []
        assert await unit.distributions.claim(uuid4(), uuid4(), 1.0, 5) == []
