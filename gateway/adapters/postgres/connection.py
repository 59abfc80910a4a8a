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

    The database's own text is kept as the cause only: it may quote a row.
    """
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "idempotency_keys_pkey":
            raise StoreUnavailableError(
                "a request with this request_id is being served: repeat it to read the result"
            ) from error
        field, message = _UNIQUE.get(error.constraint_name or "", ("", "it exists already"))
        raise AlreadyExistsError(message, field=field) from error
    except asyncpg.CheckViolationError as error:
        if error.constraint_name in _OUT_OF_RANGE:
            raise OutOfRangeError(_OUT_OF_RANGE[error.constraint_name]) from error
        if error.constraint_name in _WRONG_STATE:
            raise PreconditionFailedError(_WRONG_STATE[error.constraint_name]) from error
        raise GatewayError(f"the database refused a row: {error.constraint_name}") from error
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFoundError("a resource that this one refers to does not exist") from error
    except (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, TimeoutError) as error:
        raise StoreUnavailableError("the database did not answer in time") from error
    except asyncpg.PostgresError as error:
        raise StoreUnavailableError(f"the database failed ({type(error).__name__})") from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        # The driver's internal error is what a connection says whose server died between two calls.
        raise StoreUnavailableError("the database cannot be reached") from error


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
            with suppress(StoreUnavailableError), translate_errors():
                await transaction.rollback()
            raise
        with translate_errors():
            await transaction.commit()


def escape_copy(text: str) -> str:
    """Escapes a value for COPY's text format."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
