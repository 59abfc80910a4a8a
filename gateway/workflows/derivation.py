"""Deriving a range of wallets: everything that is missing in it is stored, or nothing is."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from gateway.domain.custody import DerivedColumns, SealedMaster, Secret, Signer
from gateway.domain.errors import (
    InvalidArgumentError,
    PreconditionFailedError,
    SignerUnavailableError,
)
from gateway.domain.ports import Store, UnitOfWork
from gateway.domain.requests import RequestKey
from gateway.domain.wallets import (
    DERIVATION_INDEX_MAX,
    DERIVE_COUNT_MAX,
    KEY_GROUP_WALLETS_MAX,
    DerivedWallets,
    IndexRange,
    MasterWallet,
    require_index_range,
)
from gateway.workflows.requests import request_key

_INDEX_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class DeriveCommand:
    """What is asked. `first_index` None means: after the highest that is stored."""

    request_id: str
    master_wallet_id: UUID
    first_index: int | None
    count: int
    tags: tuple[str, ...]
    password: Secret

    def key(self) -> RequestKey:
        """Names the request for its repetition."""
        body = (self.master_wallet_id, self.first_index, self.count, *self.tags)
        return request_key(self.request_id, "DeriveWallets", *body)


@dataclass(frozen=True, slots=True)
class DeriveProgress:
    """How far a derivation is. With `done` everything is committed, and the last two are known."""

    derived_count: int
    total_count: int
    done: bool = False
    created_count: int = 0
    first_index: int = 0


class Derivation:
    """Derives ranges, a bounded number at once: each holds a database connection while it runs."""

    def __init__(self, store: Store, signer: Signer, *, concurrent_max: int) -> None:
        self._store = store
        self._signer = signer
        self._slots = asyncio.Semaphore(concurrent_max)

    async def derive(self, command: DeriveCommand) -> AsyncGenerator[DeriveProgress, None]:
        """Yields progress, and last `done`. Closing the iterator before that stores nothing.

        One transaction with the master's row locked, so that neither another derivation nor a
        rotation of the password comes in between. The signer is asked only if a wallet is missing,
        and then for the whole range, because that is what a sealed password is bound to. Wallets
        that are stored already stay as they are.
        """
        key = command.key()
        _check(command)
        async with self._slots, self._store.transaction() as unit:
            await unit.idempotency.lock(key)
            stored = await unit.idempotency.find(key)
            if stored is not None:
                first, created = _decode_result(stored)
            else:
                master = await unit.masters.lock(command.master_wallet_id)
                indices = await _resolve(unit, command)
                missing = await unit.wallets.missing_ranges(master.id, indices.first, indices.count)
                if missing:
                    await _require_room(unit, master, sum(gap.count for gap in missing))
                    async with aclosing(
                        self._store_missing(unit, command, master, indices, missing)
                    ) as derived_counts:
                        async for derived in derived_counts:
                            yield DeriveProgress(derived, command.count)
                first, created = indices.first, sum(gap.count for gap in missing)
                await unit.idempotency.record(key, _encode_result(first, created))
        yield DeriveProgress(command.count, command.count, True, created, first)

    async def _store_missing(
        self,
        unit: UnitOfWork,
        command: DeriveCommand,
        master: MasterWallet,
        indices: IndexRange,
        missing: Sequence[IndexRange],
    ) -> AsyncGenerator[int, None]:
        """Stores chunks as they come from the signer; yields how many wallets have come."""
        sealed = SealedMaster(master.fingerprint, master.encrypted_mnemonic, master.key_group)
        expected = indices.first
        chunks = self._signer.derive(command.request_id, sealed, indices, command.password)
        async with aclosing(chunks) as columns:
            async for chunk in columns:
                if chunk.first_index != expected or chunk.key_group != master.key_group:
                    raise SignerUnavailableError("the signer's chunks are not those asked for")
                expected += len(chunk.addresses)
                wallets = _wallets(chunk, missing, master, command.tags)
                if wallets is not None:
                    await unit.wallets.insert_derived(wallets)
                yield expected - indices.first
        if expected != indices.first + indices.count:
            raise SignerUnavailableError("the signer's stream ended early")


def _check(command: DeriveCommand) -> None:
    if command.first_index is not None:
        require_index_range(command.first_index, command.count)
        return
    if not 1 <= command.count <= DERIVE_COUNT_MAX:
        raise InvalidArgumentError(f"count must be from 1 to {DERIVE_COUNT_MAX}", field="count")
    if command.password.sealed:
        raise InvalidArgumentError(
            "first_index must be given with a sealed password, which is bound to it",
            field="first_index",
        )


async def _resolve(unit: UnitOfWork, command: DeriveCommand) -> IndexRange:
    """Returns the range; without a first index, the one after the highest that is stored."""
    if command.first_index is not None:
        return IndexRange(command.first_index, command.count)
    everything = DERIVATION_INDEX_MAX + 1
    missing = await unit.wallets.missing_ranges(command.master_wallet_id, 0, everything)
    last = missing[-1] if missing else IndexRange(everything, 0)
    # The last gap runs to the end of all indices, so it begins after the highest stored one.
    if last.first + last.count < everything or last.count < command.count:
        raise PreconditionFailedError(
            "too few indices are left after the highest one that is stored", field="first_index"
        )
    return IndexRange(last.first, command.count)


async def _require_room(unit: UnitOfWork, master: MasterWallet, new: int) -> None:
    """Refuses what would leave a password that nobody could change any more."""
    stored = await unit.wallets.count_key_group(master.key_group)
    if stored + new > KEY_GROUP_WALLETS_MAX:
        raise PreconditionFailedError(
            f"{stored} wallets have this master's password, and at most {KEY_GROUP_WALLETS_MAX} "
            "can be sealed anew together: derive from another master",
            field="count",
        )


def _wallets(
    chunk: DerivedColumns,
    missing: Sequence[IndexRange],
    master: MasterWallet,
    tags: tuple[str, ...],
) -> DerivedWallets | None:
    """Returns what of a chunk is to be stored: most often all of it, as the columns it came in."""
    first, size = chunk.first_index, len(chunk.addresses)
    rows = [
        row
        for gap in missing
        for row in range(max(gap.first - first, 0), min(gap.first + gap.count - first, size))
    ]
    if not rows:
        return None
    whole = len(rows) == size
    return DerivedWallets(
        master_wallet_id=master.id,
        key_group=chunk.key_group,
        indices=range(first, first + size) if whole else [first + row for row in rows],
        addresses=chunk.addresses if whole else _pick(chunk.addresses, rows),
        encrypted_private_keys=chunk.records if whole else _pick(chunk.records, rows),
        ownership_tags=chunk.ownership_tags if whole else _pick(chunk.ownership_tags, rows),
        tags=tags,
    )


def _pick(column: Sequence[str], rows: Sequence[int]) -> list[str]:
    return [column[row] for row in rows]


def _encode_result(first: int, created: int) -> bytes:
    return first.to_bytes(_INDEX_BYTES, "big") + created.to_bytes(_INDEX_BYTES, "big")


def _decode_result(stored: bytes) -> tuple[int, int]:
    first, created = stored[:_INDEX_BYTES], stored[_INDEX_BYTES:]
    return int.from_bytes(first, "big"), int.from_bytes(created, "big")
