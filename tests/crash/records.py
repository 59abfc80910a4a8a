"""What the database of a desk knows of its orders, read past the gateway."""

from typing import Any

from gateway.adapters.postgres import migrate
from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.moves import Move, remembering
from tests.crash.parts import Postgres
from tests.crash.sql import execute, fetch
from tests.support.databases import run


class Records:
    """One database that remembers every move of a state."""

    postgres: Postgres
    database: str

    @property
    def database_url(self) -> str:
        """The URL of this desk's database."""
        return self.postgres.url(self.database)

    def prepare(self) -> None:
        """Makes the database."""
        run(execute(self.postgres.url("postgres"), f"CREATE DATABASE {self.database}"))
        run(migrate(self.database_url))
        for statement in remembering():
            run(execute(self.database_url, statement))

    def is_at_work(self) -> bool:
        """True if an order has begun and not ended."""
        query = (
            "SELECT FROM distributions "
            "WHERE state IN ('executing', 'paused', 'cancelling', 'parked') LIMIT 1"
        )
        return bool(self.fetch(query))

    def batches(self, plan: pb.Distribution, state: str) -> int:
        """Counts the transactions of a plan in a state, from the database itself."""
        query = (
            "SELECT FROM distribution_batches WHERE distribution_id = $1::text::uuid AND state = $2"
        )
        return len(self.fetch(query, plan.id, state))

    def attempts(self, plan: pb.Distribution, state: str) -> int:
        """Counts the signed transactions of a plan in a state, from the database itself."""
        query = "SELECT FROM attempts WHERE distribution_id = $1::text::uuid AND state = $2"
        return len(self.fetch(query, plan.id, state))

    def moves_made(self, plan: pb.Distribution) -> set[Move]:
        """Returns all moves that the database has stored of a plan, its batches and attempts."""
        query = (
            "SELECT DISTINCT machine, was, becomes FROM moves_made "
            "WHERE distribution_id = $1::text::uuid"
        )
        return {(row["machine"], row["was"], row["becomes"]) for row in self.fetch(query, plan.id)}

    def fetch(self, query: str, *parameters: object) -> list[Any]:
        """Reads from the database itself."""
        return run(fetch(self.database_url, query, *parameters))
