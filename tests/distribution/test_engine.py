"""The engine on a real database and a real SVM: everybody is paid once, whatever happens."""

from uuid import UUID

from solders.pubkey import Pubkey

from gateway.adapters.postgres import Database
from gateway.domain.custody import ItemRefusal, SignItem, SignOutcome
from gateway.domain.orders import RecipientAddresses
from gateway.domain.packing import TransactionVersion
from gateway.domain.splits import EvenSplit
from gateway.domain.states import BatchState, DistributionState
from gateway.workflows.distribution_planning import PlanningConfig
from tests.distribution.checks import TOTAL, assert_paid_once, attempt_states
from tests.distribution.support import TOKEN, Desk, open_desk, slow_down
from tests.support.svm_chain import Timing
from tests.support.svm_rpc import SvmRpc


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
    order = desk.order(40, 40 * 1_000, EvenSplit())
    assert isinstance(order.recipients, RecipientAddresses)
    keys = [Pubkey.from_string(address) for address in order.recipients.addresses]
    for key in keys:
        desk.chain.fund(key, 650_240)
    planned = await desk.workflows.create(str(UUID(int=1)), order)
    # What the second batch's recipients held when it was planned is gone: 1,000 are under the rent.
    for key in keys[20:]:
        desk.chain.fund(key, -650_240)
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
            return slow_down(7000)
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
            return ItemRefusal("POLICY_DENIED", "signer.solward", 7, "denied", rule="desk/vault")
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
