"""The engine on a real database and a real SVM: everybody is paid once, whatever happens."""

import asyncio

import pytest

from gateway.adapters.postgres import Database
from gateway.domain.custody import ItemRefusal, SignItem, SignOutcome
from gateway.domain.errors import EtagMismatchError, PreconditionFailedError
from gateway.domain.packing import TransactionVersion
from gateway.domain.plans import Distribution
from gateway.domain.states import BatchState, DistributionState
from gateway.workflows.distribution_planning import PlanningConfig
from gateway.workflows.distribution_run import RunConfig
from gateway.workflows.distribution_watch import Progress, watch
from tests.distribution.support import TOKEN, Desk, open_desk
from tests.support.svm_chain import Timing
from tests.support.svm_rpc import SvmRpc

TOTAL = 10**9


def assert_paid_once(pairs: list[tuple[int, int]]) -> None:
    """Every recipient holds exactly what was planned."""
    assert [planned for planned, _ in pairs] == [held for _, held in pairs]


def is_settled(distribution: Distribution) -> bool:
    """True once nothing is left to happen."""
    return distribution.state in {DistributionState.COMPLETED, DistributionState.PARTIALLY_FAILED}


async def test_everybody_is_paid_once(desk: Desk) -> None:
    """95 recipients in 5 transactions get exactly the total, and the fees are as estimated."""
    before = desk.balance(desk.source_address)
    done = await desk.executed(95, TOTAL)

    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))
    assert done.tally.finalized_amount == TOTAL
    assert len(desk.chain.landed) == done.batch_count == 5
    assert desk.balance(desk.source_address) == before - done.estimate.required_lamports
    assert done.fees_paid_lamports == done.estimate.required_lamports - TOTAL
    assert done.last_error == ""


async def test_v1_transactions(database: Database, svm_rpc: SvmRpc) -> None:
    """95 recipients fit two v1 transactions, with the same outcome."""
    config = PlanningConfig(version=TransactionVersion.V1)
    desk = await open_desk(database, svm_rpc, planning=config)
    done = await desk.executed(95, TOTAL)
    assert (done.state, done.batch_count) == (DistributionState.COMPLETED, 2)
    assert_paid_once(await desk.paid(done))
    await desk.close()


async def test_bytes_are_stored_before_they_are_sent(desk: Desk) -> None:
    """At the moment a node sees a transaction, its bytes are committed already."""
    seen: list[str] = []
    real = desk.rpc.send_transaction

    async def send(wire_bytes: bytes, *, skip_preflight: bool) -> str:
        async with desk.database.read() as unit:
            stored = await unit.connection.fetchval(
                "SELECT signature FROM attempts WHERE wire = $1 AND state = 'signed'", wire_bytes
            )
        seen.append(stored)
        return await real(wire_bytes, skip_preflight=skip_preflight)

    desk.rpc.send_transaction = send  # type: ignore[method-assign]  # a spy
    done = await desk.executed(40, TOTAL)
    assert done.state is DistributionState.COMPLETED
    assert len(seen) == 2
    assert None not in seen


async def test_lost_replies_do_not_pay_twice(desk: Desk) -> None:
    """Sends that land while their answers are lost are found, not repeated with other bytes."""
    desk.node.faults.lose_reply("sendTransaction", times=None)
    done = await desk.executed(60, TOTAL)
    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))
    assert len(desk.signer.items) == 3


async def test_dropped_sends_are_sent_again_as_they_were(desk: Desk) -> None:
    """A node that drops sends gets the identical bytes again: nothing is signed twice."""
    desk.node.faults.drop("sendTransaction", times=5)
    done = await desk.executed(60, TOTAL)
    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))
    assert len(desk.signer.items) == 3
    sent = {params[0] for method, params in desk.node.calls if method == "sendTransaction"}
    assert len(sent) == 3


async def test_expiry_is_proven_before_another_attempt(desk: Desk) -> None:
    """Held transactions expire; only when that is finalized are others signed, once."""
    desk.chain.hold = True

    def expire() -> None:
        if desk.chain.waiting and desk.chain.hold:
            desk.chain.waiting.clear()
            desk.chain.hold = False
            desk.chain.expire_blockhashes()

    desk.clock.during_sleep = expire
    done = await desk.executed(60, TOTAL)
    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))
    assert len(desk.signer.items) == 6
    assert await attempt_states(desk) == {"expired": 3, "finalized": 3}


async def test_a_late_landing_before_expiry_is_found(desk: Desk) -> None:
    """A transaction that lands at the last possible block is found and not paid again."""
    desk.chain.hold = True
    landed = False

    def land_late() -> None:
        nonlocal landed
        if not landed and desk.chain.waiting:
            desk.chain.advance(145)
            desk.chain.release()
            desk.chain.expire_blockhashes()
            landed = True

    desk.clock.during_sleep = land_late
    done = await desk.executed(20, TOTAL)
    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))
    assert len(desk.signer.items) == 1


async def test_a_fork_that_undoes_a_payment_is_paid_again_only_after_expiry(desk: Desk) -> None:
    """A processed transaction that a fork undoes lands again by resending the same bytes."""
    undone = False

    def fork() -> None:
        nonlocal undone
        if not undone and desk.chain.landed:
            desk.chain.fork(5)
            undone = True

    desk.clock.during_sleep = fork
    done = await desk.executed(20, TOTAL)
    assert undone
    assert_paid_once(await desk.paid(done))
    assert done.state in {DistributionState.COMPLETED, DistributionState.EXECUTING}


async def test_a_forgotten_confirmation_is_parked(desk: Desk) -> None:
    """A node that knew a transaction and forgets it proves nothing: UNKNOWN, nobody signs again."""
    desk.chain.advance(1000)
    desk.chain.timing = Timing(confirm_after_blocks=1, finalize_after_blocks=400)

    def forget() -> None:
        heights = [landed.height for landed in desk.chain.landed.values()]
        if heights and desk.chain.height > max(heights) + 4:
            desk.chain.landed.clear()
            desk.chain.advance(600)

    desk.clock.during_sleep = forget
    done = await desk.executed(20, TOTAL)
    assert done.state is DistributionState.PARKED
    assert done.tally.transfers == {BatchState.UNKNOWN: 20}
    assert len(desk.signer.items) == 1
    assert_paid_once(await desk.paid(done))


async def test_a_null_from_a_lagging_node_is_no_proof(desk: Desk) -> None:
    """A status of null from a node behind the finalized slot does not expire an attempt."""
    desk.chain.hold = True
    done_expiring = False

    def expire() -> None:
        nonlocal done_expiring
        if desk.chain.waiting and not done_expiring:
            desk.chain.release()
            lagging = {"context": {"slot": 5}, "value": [None]}
            desk.node.faults.result("getSignatureStatuses", lagging, times=3)
            desk.chain.expire_blockhashes()
            done_expiring = True

    desk.clock.during_sleep = expire
    done = await desk.executed(20, TOTAL)
    assert done.state is DistributionState.COMPLETED
    assert len(desk.signer.items) == 1
    assert_paid_once(await desk.paid(done))


async def test_failed_transactions_are_not_paid_and_not_repeated(desk: Desk) -> None:
    """A transaction that fails on chain is FAILED with its error; the others are paid."""
    planned = await desk.planned(40, TOTAL)
    # Spend most of what the source holds behind the engine's back: the second batch cannot pay.
    batch, _ = await desk.workflows.list_transfers(planned.id, 20)
    first = sum(item.amount for item in batch.items)
    key = desk.signer.keys[desk.source_address].pubkey()
    await desk.workflows.execute(planned.id, planned.etag, b"wrong")
    await desk.engine.wait()
    desk.chain.fund(key, first + 700_000 - desk.balance(desk.source_address))
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await desk.engine.wait()

    done = await desk.workflows.get(planned.id)
    assert done.state is DistributionState.PARTIALLY_FAILED
    assert done.tally.transfers == {BatchState.FINALIZED: 20, BatchState.FAILED: 20}
    page, _ = await desk.workflows.list_transfers(planned.id, 100)
    assert "InsufficientFundsForRent" in page.items[-1].error
    assert page.items[-1].transaction_signature != ""
    # The second batch was halved down to single transfers, each of which failed by itself.
    assert len(desk.signer.items) == 40


async def test_the_signers_pace_is_kept(desk: Desk) -> None:
    """RESOURCE_EXHAUSTED with RetryInfo is waited for and shown; then all are paid."""
    refusals = 0

    def script(item: SignItem) -> SignOutcome | None:
        nonlocal refusals
        if len(desk.signer.items) > 2 and refusals < 4:
            refusals += 1
            return ItemRefusal("RATE", "signer.solward", 8, "slow down", retry_delay_ms=7000)
        return None

    desk.signer.script = script
    done = await desk.executed(80, TOTAL)
    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))
    assert desk.clock.elapsed_s > 7


async def test_a_refusal_by_policy_fails_its_batch_only(desk: Desk) -> None:
    """What policy denies is FAILED with the rule's name, and nothing was signed or sent for it."""

    def script(item: SignItem) -> SignOutcome | None:
        if item.reference.endswith("/1"):
            return ItemRefusal("POLICY", "signer.solward", 7, "denied", rule="desk/vault")
        return None

    desk.signer.script = script
    done = await desk.executed(60, TOTAL)
    assert done.state is DistributionState.PARTIALLY_FAILED
    assert done.tally.transfers == {BatchState.FINALIZED: 40, BatchState.FAILED: 20}
    page, _ = await desk.workflows.list_transfers(done.id, 100)
    assert "desk/vault" in page.items[20].error
    assert page.items[20].transaction_signature == ""


async def test_a_lost_session_pauses_and_another_resumes(desk: Desk) -> None:
    """A session that the signer refuses pauses the run; the next execute finishes the work."""
    paused = await desk.executed(60, TOTAL, token=b"stale")
    assert paused.state is DistributionState.PAUSED
    assert "session" in paused.last_error
    assert desk.node.count("sendTransaction") == 0

    await desk.workflows.execute(paused.id, paused.etag, TOKEN)
    await desk.engine.wait()
    done = await desk.workflows.get(paused.id)
    assert done.state is DistributionState.COMPLETED
    assert done.last_error == ""
    assert_paid_once(await desk.paid(done))


async def test_vault_proofs_go_with_the_request(desk: Desk, database: Database) -> None:
    """The signer is shown the ownership proof of recipients that are wallets of ours."""
    recipients = desk.order(3, TOTAL).recipients
    async with database.transaction() as unit:
        await unit.wallets.insert_imported(
            address=recipients.addresses[1],  # type: ignore[union-attr]  # addresses, as made
            encrypted_private_key="x",
            key_group="x",
            ownership_tag="proof",
        )
    await desk.executed(3, TOTAL)
    (item,) = desk.signer.items
    assert [proof.ownership_tag for proof in item.vault_destinations] == ["proof"]
    assert item.wallets[0].encrypted_private_key == "sealed"


async def test_a_dead_gateway_is_replaced(desk: Desk) -> None:
    """Cancelled in the middle, the work is finished by another engine, and nobody is paid twice."""
    planned = await desk.planned(200, TOTAL)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await sends(desk, 3)
    await desk.engine.close()

    other = desk.another_engine()
    sweeping = asyncio.create_task(other.sweep())
    for _ in range(100):
        await asyncio.sleep(0.005)
        found = await desk.workflows.get(planned.id)
        if found.tally.batches.get(BatchState.IN_FLIGHT, 0) == 0:
            break
    sweeping.cancel()
    found = await desk.workflows.get(planned.id)
    assert BatchState.IN_FLIGHT not in found.tally.batches
    assert found.state is DistributionState.EXECUTING

    other.start(planned.id, TOKEN)
    await other.wait()
    done = await desk.workflows.get(planned.id)
    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))
    await other.close()


async def test_two_gateways_share_the_work(desk: Desk) -> None:
    """Two engines on one database each sign part of it; every batch is paid by one of them."""
    planned = await desk.planned(400, TOTAL)
    other = desk.another_engine()
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    other.start(planned.id, TOKEN)
    await asyncio.gather(desk.engine.wait(), other.wait())

    done = await desk.workflows.get(planned.id)
    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))
    assert len(desk.chain.landed) == 20
    await other.close()


async def test_an_expired_lease_is_a_fence(desk: Desk) -> None:
    """Bytes signed under a lease that was lost meanwhile are neither stored nor sent."""
    planned = await desk.planned(20, TOTAL)

    def script(item: SignItem) -> SignOutcome | None:
        asyncio.get_running_loop().create_task(steal())
        return None

    stolen = asyncio.Event()

    async def steal() -> None:
        async with desk.database.transaction() as unit:
            await unit.connection.execute(
                "UPDATE distribution_batches SET lease_owner = gen_random_uuid(), "
                "lease_expires_at = now() + interval '1 hour' WHERE distribution_id = $1",
                planned.id,
            )
        stolen.set()

    desk.signer.script = script
    real = desk.signer.sign_transactions

    async def slow_sign(*args: object) -> list[SignOutcome]:
        outcomes = await real(*args)  # type: ignore[arg-type]  # passed through
        await stolen.wait()
        return outcomes

    desk.signer.sign_transactions = slow_sign  # type: ignore[method-assign,assignment]
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await asyncio.wait_for(stolen.wait(), 5)
    await asyncio.sleep(0.05)
    assert desk.node.count("sendTransaction") == 0
    assert await attempt_states(desk) == {}
    await desk.engine.close()


async def test_pause_and_cancel(desk: Desk) -> None:
    """A pause lets what is signed finish; a cancel after it gives up the rest for good."""
    planned = await desk.planned(400, TOTAL)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await sends(desk, 2)
    await desk.workflows.pause(planned.id)
    await desk.engine.wait()

    paused = await desk.workflows.get(planned.id)
    assert paused.state is DistributionState.PAUSED
    assert set(paused.tally.batches) == {BatchState.FINALIZED, BatchState.PLANNED}

    await desk.workflows.cancel(planned.id)
    await desk.engine.wait()
    done = await desk.workflows.get(planned.id)
    assert done.state is DistributionState.CANCELLED
    assert set(done.tally.batches) == {BatchState.FINALIZED, BatchState.CANCELLED}
    held = sum(held for _, held in await desk.paid(done))
    assert held == done.tally.finalized_amount > 0
    with pytest.raises(PreconditionFailedError):
        await desk.workflows.execute(planned.id, planned.etag, TOKEN)


async def test_execution_is_approved_by_etag(desk: Desk) -> None:
    """Another etag executes nothing; a finished distribution does not execute again."""
    planned = await desk.planned(5, TOTAL)
    with pytest.raises(EtagMismatchError):
        await desk.workflows.execute(planned.id, "other", TOKEN)
    assert (await desk.workflows.get(planned.id)).state is DistributionState.PLANNED
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    await desk.engine.wait()
    with pytest.raises(PreconditionFailedError):
        await desk.workflows.execute(planned.id, planned.etag, TOKEN)


async def test_insufficient_funds(database: Database, svm_rpc: SvmRpc) -> None:
    """A source that cannot pay the plan and its fees is refused before anything is signed."""
    desk = await open_desk(database, svm_rpc, lamports=TOTAL)
    planned = await desk.planned(5, TOTAL)
    with pytest.raises(PreconditionFailedError) as caught:
        await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    assert caught.value.reason == "INSUFFICIENT_FUNDS"
    assert (await desk.workflows.get(planned.id)).state is DistributionState.PLANNED
    await desk.close()


async def test_an_rpc_node_that_dies_for_a_while(desk: Desk) -> None:
    """Errors of every kind delay the work and are shown; nothing is lost and nothing doubled."""
    planned = await desk.planned(60, TOTAL)
    for method in ("getBlockHeight", "getSignatureStatuses", "getLatestBlockhash"):
        desk.node.faults.http_error(method, 503, times=6)
        desk.node.faults.body(method, b'{"jsonrpc":"2.0","id":1,"result":{"value":', times=6)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    seen = [progress.last_error async for progress in watch(desk.database, desk.clock, planned.id)]
    await desk.engine.wait()
    done = await desk.workflows.get(planned.id)
    assert done.state is DistributionState.COMPLETED
    assert_paid_once(await desk.paid(done))
    assert any("RPC node" in error for error in seen)
    assert done.last_error == ""


async def test_watching(desk: Desk) -> None:
    """The stream shows states, counts and lamports, and ends with the final state."""
    planned = await desk.planned(120, TOTAL)
    await desk.workflows.execute(planned.id, planned.etag, TOKEN)
    seen: list[Progress] = [
        progress async for progress in watch(desk.database, desk.clock, planned.id)
    ]
    await desk.engine.wait()
    assert seen[-1].state is DistributionState.COMPLETED
    assert seen[-1].tally.finalized_amount == TOTAL
    assert seen[-1].remaining_s == 0
    assert seen[-1].transfers_per_s > 0
    for progress in seen:
        assert sum(progress.tally.transfers.values()) == 120


async def test_a_thousand_recipients(desk: Desk) -> None:
    """1,000 recipients take 50 transactions and receive the total to the lamport."""
    engine = desk.another_engine(RunConfig(poll_s=0.1))
    planned = await desk.planned(1000, 10**11)
    async with desk.database.transaction() as unit:
        await unit.distributions.set_state(planned.id, DistributionState.EXECUTING)
    engine.start(planned.id, TOKEN)
    await engine.wait()
    done = await desk.workflows.get(planned.id)
    assert is_settled(done)
    assert len(desk.chain.landed) == 50
    pairs = await desk.paid(done)
    assert_paid_once(pairs)
    assert sum(held for _, held in pairs) == 10**11
    await engine.close()


async def sends(desk: Desk, count: int) -> None:
    """Returns once the node, which runs in threads and has no event, got so many."""
    while desk.node.count("sendTransaction") < count:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.001)


async def attempt_states(desk: Desk) -> dict[str, int]:
    """How many attempts are in each state."""
    async with desk.database.read() as unit:
        rows = await unit.connection.fetch("SELECT state, count(*) FROM attempts GROUP BY state")
    return {row["state"]: row["count"] for row in rows}
