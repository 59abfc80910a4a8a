"""One database connection with typed methods, and driver errors turned into the gateway's own."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from gateway.domain.errors import (
    AlreadyExistsError,
    GatewayError,
    NotFoundError,
    OutOfRangeError,
    PreconditionFailedError,
    StoreUnavailableError,
)

Row = asyncpg.Record

# Constraints that a request can run into, and what they say to whoever made it.
_UNIQUE: Final = {
    "wallets_address_key": ("address", "a wallet with this address exists"),
    "wallets_master_wallet_id_derivation_index_key": (
        "first_index",
        "a wallet with this derivation index exists",
    ),
    "master_wallets_fingerprint_key": (
        "mnemonic",
        "a master wallet with this mnemonic and passphrase exists",
    ),
}
_OUT_OF_RANGE: Final = {
    "wallets_total_volume_lamports_check": "total_volume_lamports would exceed 2**64-1",
}

# SQLSTATE classes of a server that cannot serve now: 08 connection, 28 and 3D log-in, 40 rolled
# back for another's sake, 53 out of resources, 55P03 a lock, 57 stopped by an operator, 58 its
# machine, 25 a replica, or a transaction that took too long. With whatever else a statement fails,
# it would fail again.
_AWAY: Final = ("08", "25006", "25P03", "25P04", "28", "3D", "40", "53", "55P03", "57", "58", "F0")

_WRONG_STATE: Final = {
    "state_moves": "the state was changed meanwhile and does not allow this",
    "wallets_unused": "an unfinished distribution pays from this wallet",
    "resolutions_of_unknown": "the transaction is not unknown any more",
    "attempts_resolved": "what is unknown expires only by a resolution",
    "batches_resolved": "what is unknown is decided by the chain or resolved",
}


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turns what the driver raises into errors of gateway.domain.errors.

    A server that is away is StoreUnavailableError; a statement that it refuses is a defect, a bare
    GatewayError (INTERNAL). The database's own text is kept as the cause only: it may quote a row.
    """
    try:
        yield
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
    ) as error:
        raise _translated(error) from error


def _translated(error: Exception) -> GatewayError:
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return _of_constraint(error)
    if isinstance(error, asyncpg.QueryCanceledError | asyncpg.LockNotAvailableError | TimeoutError):
        return StoreUnavailableError("the database did not answer in time")
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return StoreUnavailableError("the schema was changed meanwhile")
    kind = type(error).__name__
    if isinstance(error, asyncpg.PostgresError):
        if (error.sqlstate or "").startswith(_AWAY):
            return StoreUnavailableError(f"the database failed ({kind})")
        return GatewayError(f"the database refused a statement ({kind})")
    if isinstance(error, ValueError):  # a parameter, or a URL, that the driver cannot use
        return GatewayError(f"the driver refused a value ({kind})")
    # The driver's internal error is what a connection says whose server died between two calls.
    return StoreUnavailableError("the database cannot be reached")


def _of_constraint(error: asyncpg.IntegrityConstraintViolationError) -> GatewayError:
    name = error.constraint_name or ""
    if isinstance(error, asyncpg.UniqueViolationError):
        if name == "idempotency_keys_pkey":
            return StoreUnavailableError(
                "a request with this request_id is being served: repeat it to read the result"
            )
        field, message = _UNIQUE.get(name, ("", "it exists already"))
        return AlreadyExistsError(message, field=field)
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return NotFoundError("a resource that this one refers to does not exist")
    if name in _OUT_OF_RANGE:
        return OutOfRangeError(_OUT_OF_RANGE[name])
    if name in _WRONG_STATE:
        return PreconditionFailedError(_WRONG_STATE[name])
    return GatewayError(f"the database refused a row: {name}")


class Connection:
    """A connection held for the length of a `with` block. Not for concurrent use."""

    def __init__(self, raw: "PoolConnectionProxy[Row] | asyncpg.Connection[Row]") -> None:
        self._raw = raw

    async def fetch(self, query: str, *parameters: object) -> list[Row]:
        """Returns all rows."""
        with translate_errors():
            return await self._raw.fetch(query, *parameters)

    async def fetchrow(self, query: str, *parameters: object) -> Row | None:
        """Returns the first row or None."""
        with translate_errors():
            return await self._raw.fetchrow(query, *parameters)

    async def fetchval(self, query: str, *parameters: object) -> Any:
        """Returns the first column of the first row or None."""
        with translate_errors():
            return await self._raw.fetchval(query, *parameters)

    async def execute(self, query: str, *parameters: object) -> int:
        """Runs a statement; returns how many rows it touched."""
        with translate_errors():
            status = await self._raw.execute(query, *parameters)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def run_script(self, script: str) -> None:
        """Runs several statements without parameters."""
        with translate_errors():
            await self._raw.execute(script)

    async def copy_text(self, table: str, columns: Sequence[str], lines: Iterable[str]) -> None:
        r"""Loads lines of COPY's text format: columns parted by tabs, \N for NULL, no newline.

        The text format rather than the driver's binary one because joining strings costs a tenth of
        encoding them value by value. Whoever calls escapes: see `escape_copy`.
        """
        data = ("\n".join(lines) + "\n").encode()

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(data), 65_536):
                yield data[start : start + 65_536]

        with translate_errors():
            await self._raw.copy_to_table(table, source=chunks(), columns=columns, format="text")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Commits when the block ends, rolls back when it raises."""
        transaction = self._raw.transaction()
        with translate_errors():
            await transaction.start()
        try:
            yield
        except BaseException:
            # A connection that is gone took the transaction with it; what ended the block matters.
            with suppress(GatewayError), translate_errors():
                await transaction.rollback()
            raise
        with translate_errors():
            await transaction.commit()


def escape_copy(text: str) -> str:
    """Escapes a value for COPY's text format."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
