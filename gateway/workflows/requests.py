"""Idempotent work: a request id served once, its result read again afterwards."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from gateway.domain.ports import Store, UnitOfWork
from gateway.domain.requests import RequestKey, require_uuid

T = TypeVar("T")


def request_key(request_id: str, rpc: str, *body: object) -> RequestKey:
    """Returns the key of a request; `body` is whatever a repetition must have the same.

    Passwords are no part of it: a request repeated with one sealed anew is the same request.
    """
    digest = hashlib.sha256()
    for part in body:
        raw = str(part).encode()
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return RequestKey(require_uuid(request_id, "request_id"), rpc, digest.digest())


async def once(
    store: Store,
    key: RequestKey,
    work: Callable[[UnitOfWork], Awaitable[tuple[UUID, T]]],
    read: Callable[[UnitOfWork, UUID], Awaitable[T]],
) -> T:
    """Does `work` in one transaction with the record of its request, or reads what it made earlier.

    `work` returns the id of what it made or changed, and its value. A repetition returns that
    resource as it is now. Raises RequestIdConflictError if the id was used with another body.
    """
    async with store.transaction() as unit:
        await unit.idempotency.lock(key)
        stored = await unit.idempotency.find(key)
        if stored is not None:
            return await read(unit, UUID(bytes=stored))
        made_id, made = await work(unit)
        await unit.idempotency.record(key, made_id.bytes)
        return made
