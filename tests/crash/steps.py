"""The steps of a distribution at which a test can stop everything, each reached for certain.

A step is a function of a desk and a plan that is about to be executed. It arms whatever holds the
work there and returns two functions: `reach`, called once the work goes on, which returns when the
step has been reached; and `release`, which lets go. In between something is killed.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import asyncpg

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.desk import Desk
from tests.support.svm_chain import Timing

Act = Callable[[], None]
Step = Callable[[Desk, pb.Distribution], tuple[Act, Act]]
_TIMEOUT_S = 20.0


class TableLock:
    """A lock on a table, held by a connection of its own until `release`."""

    def __init__(self, url: str, table: str, mode: str) -> None:
        self._url, self._table, self._mode = url, table, mode
        self._held = threading.Event()
        self._let_go = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._hold()))
        self._thread.start()
        assert self._held.wait(_TIMEOUT_S), "the lock was not granted"

    async def _hold(self) -> None:
        connection = await asyncpg.connect(self._url)
        # The server may be the one that is killed, and its locks with it.
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            async with connection.transaction():
                await connection.execute(f"LOCK TABLE {self._table} IN {self._mode} MODE")
                self._held.set()
                await asyncio.to_thread(self._let_go.wait)
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await connection.close(timeout=1)

    def release(self) -> None:
        """Lets go; more than once does no harm."""
        self._let_go.set()
        self._thread.join()


def _release(locks: list[TableLock]) -> None:
    for lock in locks:
        lock.release()


def until(reached: Callable[[], bool]) -> None:
    """Returns once it is reached; raises AssertionError if it is not."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not reached():
        assert time.monotonic() < deadline, "the step was not reached"
        time.sleep(0.01)


def somebody_waits_for(desk: Desk, table: str) -> bool:
    """True if somebody waits for a lock on a table."""
    query = "SELECT FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass LIMIT 1"
    return bool(desk.fetch(query, table))


def _call(method: str, *, after: bool = False) -> Step:
    def step(desk: Desk, _: pb.Distribution) -> tuple[Act, Act]:
        hold = desk.node.hold(method, after=after)
        return lambda: until(hold.reached.is_set), desk.node.behave

    return step


def signed_not_stored(desk: Desk, _: pb.Distribution) -> tuple[Act, Act]:
    """The signer has answered; the INSERT of the attempts waits."""
    lock = TableLock(desk.database_url, "attempts", "SHARE ROW EXCLUSIVE")
    return lambda: until(lambda: somebody_waits_for(desk, "attempts")), lock.release


def sent_not_seen(desk: Desk, plan: pb.Distribution) -> tuple[Act, Act]:
    """The cluster has the transactions and no block has them."""
    desk.node.chain.hold = True
    return lambda: until(lambda: bool(desk.attempts(plan, "sent"))), desk.node.chain.release


def seen_not_stored(desk: Desk, plan: pb.Distribution) -> tuple[Act, Act]:
    """The transactions have landed; the UPDATE that says so waits."""
    reach_sent, land = sent_not_seen(desk, plan)
    locks: list[TableLock] = []

    def reach() -> None:
        reach_sent()
        locks.append(TableLock(desk.database_url, "attempts", "SHARE ROW EXCLUSIVE"))
        land()
        until(lambda: somebody_waits_for(desk, "attempts"))

    return reach, lambda: _release(locks)


def confirmed_not_finalized(desk: Desk, plan: pb.Distribution) -> tuple[Act, Act]:
    """The transactions are confirmed, and finality is far behind."""
    chain = desk.node.chain
    chain.timing = Timing(1, 150)

    def release() -> None:
        chain.timing = Timing()

    return lambda: until(lambda: bool(desk.attempts(plan, "confirmed"))), release


def expired_not_stored(desk: Desk, plan: pb.Distribution) -> tuple[Act, Act]:
    """The transactions were lost and have expired; the UPDATE that says so waits."""
    reach_sent, land = sent_not_seen(desk, plan)
    locks: list[TableLock] = []

    def reach() -> None:
        reach_sent()
        locks.append(TableLock(desk.database_url, "attempts", "SHARE ROW EXCLUSIVE"))
        desk.node.chain.expire_blockhashes()
        until(lambda: somebody_waits_for(desk, "attempts"))

    def release() -> None:
        land()
        _release(locks)

    return reach, release


def expired_not_signed_again(desk: Desk, plan: pb.Distribution) -> tuple[Act, Act]:
    """The expiry is stored, and the blockhash for another attempt is being asked for."""
    reach_sent, land = sent_not_seen(desk, plan)

    def reach() -> None:
        reach_sent()
        until(lambda: not desk.batches(plan, "planned"))
        hold = desk.node.hold("getLatestBlockhash")
        desk.node.chain.expire_blockhashes()
        until(lambda: bool(desk.attempts(plan, "expired")))
        until(hold.reached.is_set)

    def release() -> None:
        land()
        desk.node.behave()

    return reach, release


def settled_not_stored(desk: Desk, plan: pb.Distribution) -> tuple[Act, Act]:
    """Everything is finalized; the distribution's own last UPDATE waits."""
    reach_sent, land = sent_not_seen(desk, plan)
    locks: list[TableLock] = []

    def reach() -> None:
        reach_sent()
        # Lets SELECT ... FOR UPDATE through, so batches go on; only the UPDATE itself waits.
        locks.append(TableLock(desk.database_url, "distributions", "SHARE ROW EXCLUSIVE"))
        land()
        until(lambda: somebody_waits_for(desk, "distributions"))

    return reach, lambda: _release(locks)


def paused(desk: Desk, plan: pb.Distribution) -> tuple[Act, Act]:
    """Somebody has paused it, with transactions on their way."""
    reach_sent, land = sent_not_seen(desk, plan)

    def reach() -> None:
        reach_sent()
        request = pb.PauseDistributionRequest(distribution_id=plan.id)
        desk.client().distributions.PauseDistribution(request)

    return reach, land


def cancelling(desk: Desk, plan: pb.Distribution) -> tuple[Act, Act]:
    """Somebody has cancelled it, with transactions on their way."""
    reach_sent, land = sent_not_seen(desk, plan)

    def reach() -> None:
        reach_sent()
        request = pb.CancelDistributionRequest(distribution_id=plan.id)
        desk.client().distributions.CancelDistribution(request)

    return reach, land


STEPS: dict[str, Step] = {
    "claimed_not_signed": _call("getLatestBlockhash"),
    "signed_not_stored": signed_not_stored,
    "stored_not_sent": _call("sendTransaction"),
    "sent_not_answered": _call("sendTransaction", after=True),
    "sent_not_seen": sent_not_seen,
    "height_read_not_statuses": _call("getBlockHeight", after=True),
    "statuses_not_read": _call("getSignatureStatuses"),
    "seen_not_stored": seen_not_stored,
    "confirmed_not_finalized": confirmed_not_finalized,
    "expired_not_stored": expired_not_stored,
    "expired_not_signed_again": expired_not_signed_again,
    "settled_not_stored": settled_not_stored,
    "paused": paused,
    "cancelling": cancelling,
}
