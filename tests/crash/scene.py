"""What a step needs to stop everything where it wants: locks, held calls, who waits for what."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import asyncpg
import grpc

from tests.crash.desk import Desk
from tests.crash.trials import Trial
from tests.support.svm_chain import SvmChain, Timing

Act = Callable[[], object]
_TIMEOUT_S = 20.0
_WAITING = """
SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE NOT l.granted AND l.relation = $1::text::regclass
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND ltrim(a.query, E' \\n') LIKE $2::text
LIMIT 1
"""


class TableLock:
    """A lock on a table that lets reads through, those FOR UPDATE too, until `release`."""

    def __init__(self, url: str, table: str) -> None:
        self._url, self._table = url, table
        self._held = threading.Event()
        self._let_go = threading.Event()
        # A test that fails before it lets go must not keep the run from ending.
        self._thread = threading.Thread(target=lambda: asyncio.run(self._hold()), daemon=True)
        self._thread.start()
        assert self._held.wait(_TIMEOUT_S), "the lock was not granted"

    async def _hold(self) -> None:
        connection = await asyncpg.connect(self._url)
        # The server may be the one that is killed, and its locks with it.
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            async with connection.transaction():
                await connection.execute(f"LOCK TABLE {self._table} IN SHARE ROW EXCLUSIVE MODE")
                self._held.set()
                while not self._let_go.is_set():  # noqa: ASYNC110  the event is a thread's
                    await asyncio.sleep(0.01)
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await connection.close(timeout=1)

    def release(self) -> None:
        """Lets go; more than once does no harm."""
        self._let_go.set()
        self._thread.join(_TIMEOUT_S)


def until(reached: Callable[[], bool]) -> None:
    """Returns once it is reached; raises AssertionError if it is not."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not reached():
        assert time.monotonic() < deadline, "the step was not reached"
        time.sleep(0.01)


class Scene:
    """One trial on its way to a step. Whatever is held or bent is undone by `release`."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.desk: Desk = trial.desk
        self.plan = trial.plan
        self.chain: SvmChain = trial.desk.node.chain
        self._locks: dict[str, TableLock] = {}
        self._calls: list[threading.Thread] = []
        self._undoings: list[Act] = []

    def lock(self, table: str) -> None:
        """Lets nothing more be written to a table. Who asks for it waits."""
        self._locks[table] = TableLock(self.desk.database_url, table)

    def unlock(self, table: str) -> None:
        """Lets what waits be written."""
        self._locks.pop(table).release()

    def until_waiting(self, table: str, statement: str) -> None:
        """Returns once a statement that begins so waits for a table."""
        until(lambda: bool(self.desk.fetch(_WAITING, table, f"{statement}%")))

    def move_waits(self, table: str) -> None:
        """Returns once the UPDATE that moves a distribution, batches or attempts waits."""
        known = {
            "distributions": "UPDATE distributions SET state",
            "attempts": "UPDATE attempts a SET state",
        }
        self.until_waiting(table, known[table])

    def call(self, act: Act) -> None:
        """Makes a call in a thread of its own, as a client that repeats it until it is answered.

        Who came too late with it is refused: what the order then comes to is judged elsewhere.
        """

        def run() -> None:
            with suppress(grpc.RpcError):
                act()

        thread = threading.Thread(target=run, daemon=True)
        self._calls.append(thread)
        thread.start()

    def sent(self) -> None:
        """Executes; the cluster has some of the transactions and no block has them."""
        self.chain.hold = True
        self.trial.execute()
        until(lambda: bool(self.desk.attempts(self.plan, "sent")))

    def all_sent(self) -> None:
        """Executes; the cluster has all transactions and no block has them."""
        self.sent()
        until(lambda: self.desk.attempts(self.plan, "sent") == self.plan.transaction_count)

    def land(self) -> None:
        """Lands what waits and makes it final, before anybody looks at it."""
        hold = self.desk.node.hold("getSignatureStatuses")
        until(hold.reached.is_set)
        self.chain.release()
        self.chain.advance(self.chain.timing.finalize_after_blocks + 1)

    def undo(self, act: Act) -> None:
        """Calls this in the end."""
        self._undoings.append(act)

    def release(self) -> None:
        """Undoes everything: the database first, then the node, then what waits on the chain."""
        for table in list(self._locks):
            self.unlock(table)
        self.desk.node.behave()
        for thread in self._calls:
            thread.join(_TIMEOUT_S)
        for act in self._undoings:
            act()
        self.chain.first_available_slot = 0
        self.chain.forgets = lambda _: False
        self.chain.timing = Timing()
        self.chain.release()
        assert not any(thread.is_alive() for thread in self._calls), "a call was never answered"
