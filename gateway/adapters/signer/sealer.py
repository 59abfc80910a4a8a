"""Sealing for clients that send their secrets in clear, where the configuration allows it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from gateway.adapters.signer.refusals import CREDENTIAL_REJECTED
from gateway.domain.custody import Secret, SignerInfo, SignerRefusedError
from gateway.domain.errors import PreconditionFailedError
from gateway.domain.ports import Clock
from solward_client.sealing import Purpose, SignerKey, seal

T = TypeVar("T")
# Which field of a client's request a secret came in.
_FIELDS: Final[Mapping[Purpose, str]] = {
    "password": "credential",
    "new_password": "new_credential",
    "private_key": "plaintext_private_key",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A secret, and what it is to be bound to: purpose, RPC and that RPC's fields."""

    purpose: Purpose
    rpc: str
    fields: tuple[str | int, ...]
    secret: Secret


class Sealer:
    """Knows the signer's key, asks again when the signer has restarted."""

    def __init__(
        self, ask: Callable[[], Awaitable[SignerInfo]], clock: Clock, *, seal_plaintext: bool
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._seal_plaintext = seal_plaintext
        self._info: SignerInfo | None = None

    async def with_sealed(
        self, wanted: Sequence[Wanted], call: Callable[[Sequence[bytes]], Awaitable[T]]
    ) -> T:
        """Seals what came in clear and calls the signer with the sealed secrets, in order.

        A signer that has restarted refuses what was sealed for its earlier start. It did nothing
        then, so if every secret was sealed here the call is made once more for the present start.
        What a client sealed passes through as it came, and only the client can seal it again.
        """
        in_clear = [item for item in wanted if not item.secret.sealed]
        if in_clear and not self._seal_plaintext:
            raise PreconditionFailedError(
                "secrets must come sealed: this gateway does not seal for its clients",
                field=_FIELDS[in_clear[0].purpose],
                reason="PLAINTEXT_SECRET_REFUSED",
            )
        info = self._info
        if in_clear and info is None:
            info = self._info = await self._ask()
        try:
            return await call([self._sealed(item, info) for item in wanted])
        except SignerRefusedError as error:
            if error.reason != CREDENTIAL_REJECTED or info is None or len(in_clear) < len(wanted):
                raise
            fresh = self._info = await self._ask()
            if fresh.boot_id == info.boot_id:
                raise
            return await call([self._sealed(item, fresh) for item in wanted])

    def _sealed(self, wanted: Wanted, info: SignerInfo | None) -> bytes:
        if wanted.secret.sealed or info is None:
            return wanted.secret.sealed
        return seal(
            SignerKey(info.box_public_key, info.boot_id),
            wanted.secret.plaintext,
            purpose=wanted.purpose,
            rpc=wanted.rpc,
            fields=wanted.fields,
            now_s=self._clock.now().timestamp(),
        )
