"""Request ids: the same request again gets the first one's response."""

from gateway.adapters.postgres.connection import Connection
from gateway.domain.errors import RequestIdConflictError
from gateway.domain.requests import RequestKey


class PostgresIdempotency:
    """gateway.domain.ports.Idempotency on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def find(self, key: RequestKey) -> bytes | None:
        """Returns the stored response of this request, None if it has not been served.

        Raises RequestIdConflictError if the id was used with another RPC or body.
        """
        row = await self._connection.fetchrow(
            "SELECT rpc, request_hash, response FROM idempotency_keys WHERE request_id = $1",
            key.request_id,
        )
        if row is None:
            return None
        if row["rpc"] != key.rpc or row["request_hash"] != key.request_hash:
            raise RequestIdConflictError(
                "request_id was used before with another request", field="request_id"
            )
        return bytes(row["response"])

    async def lock(self, key: RequestKey) -> None:
        """Makes another transaction with the same request id wait until this one ends.

        Call it first in the transaction, then `find`: of two identical requests at the same moment
        the second then reads the response of the first instead of failing on its key.
        """
        await self._connection.fetchval(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"request/{key.request_id}"
        )

    async def record(self, key: RequestKey, response: bytes) -> None:
        """Stores the response, in the transaction that did the work.

        Raises StoreUnavailableError if another transaction stored one first.
        """
        await self._connection.execute(
            "INSERT INTO idempotency_keys (request_id, rpc, request_hash, response) "
            "VALUES ($1, $2, $3, $4)",
            key.request_id,
            key.rpc,
            key.request_hash,
            response,
        )
