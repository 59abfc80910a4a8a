"""Whether a transaction is final, for good or for bad: what it takes to believe it.

A success counts as paid, and a finalized error lets the payment be signed again. Where several
providers are configured, each is asked by itself, and as many as are wanted must tell the same
outcome in the same slot; until then the transaction counts as confirmed. An error is believed of a
provider only if its own record of the transaction shows it too.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.adapters.solana_rpc.errors import RpcError
from gateway.domain.chain import (
    LandedTransaction,
    LapseReading,
    SignatureReading,
    SignatureStatus,
)

_RANKS: Final = {"processed": 0, "confirmed": 1, "finalized": 2}


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many providers must agree: that something never landed, and that it has for good.

    A finalized error needs both numbers, for after it the payment is signed again.
    """

    expiry_providers_min: int = 1
    finality_providers_min: int = 1

    def wanted(self, status: SignatureStatus) -> int:
        """Returns how many must tell this outcome before it is final."""
        if not status.error:
            return self.finality_providers_min
        return max(self.finality_providers_min, self.expiry_providers_min)


class Teller(Protocol):
    """The calls that are asked of one endpoint."""

    async def get_signature_statuses(
        self, signatures: Sequence[str], *, search_history: bool
    ) -> SignatureReading:
        """Returns statuses."""
        ...

    async def get_transaction(self, signature: str) -> LandedTransaction | None:
        """Returns a finalized transaction."""
        ...


async def tell(provider: Teller, signatures: Sequence[str]) -> SignatureReading:
    """Reads statuses from a provider's whole history; raises RpcError.

    A finalized error that the record does not bear out is no more than a confirmed one.
    """
    reading = await provider.get_signature_statuses(signatures, search_history=True)

    async def check(signature: str, status: SignatureStatus | None) -> SignatureStatus | None:
        if status is None or not status.error or status.confirmation != "finalized":
            return status
        landed = await provider.get_transaction(signature)
        if landed is not None and (landed.slot, bool(landed.error)) == (status.slot, True):
            return status
        return SignatureStatus(status.slot, "confirmed", status.error)

    pairs = zip(signatures, reading.statuses, strict=True)
    checked = await asyncio.gather(*(check(*pair) for pair in pairs))
    return SignatureReading(reading.context_slot, checked)


async def read_final(
    providers: Sequence[Teller], signatures: Sequence[str], agreement: Agreement
) -> list[LapseReading]:
    """Asks every provider about up to 256 transactions; raises RpcError if none of them answers."""

    async def ask(provider: Teller) -> SignatureReading | RpcError:
        try:
            return await tell(provider, signatures)
        except RpcError as error:
            return error

    answers = await asyncio.gather(*map(ask, providers))
    heard = [answer for answer in answers if isinstance(answer, SignatureReading)]
    if not heard:
        raise next(answer for answer in answers if isinstance(answer, RpcError))
    columns = zip(*(reading.statuses for reading in heard), strict=True)
    return [weigh([one for one in column if one is not None], agreement) for column in columns]


def weigh(found: Sequence[SignatureStatus], agreement: Agreement) -> LapseReading:
    """Says what these sightings of one transaction come to; no sighting at all is doubt.

    Two versions of a node may word one error differently: the first text stands for all.
    """
    if not found:
        return LapseReading(None, is_absent=False, doubt="no provider knows it any more")
    best = max(found, key=lambda status: _RANKS[status.confirmation])
    if best.confirmation != "finalized":
        return LapseReading(best, is_absent=False)
    ends = Counter(
        (status.slot, bool(status.error)) for status in found if status.confirmation == "finalized"
    )
    if len(ends) > 1:
        return LapseReading(None, is_absent=False, doubt="providers contradict each other")
    agreeing, wanted = ends[best.slot, bool(best.error)], agreement.wanted(best)
    if agreeing >= wanted:
        return LapseReading(best, is_absent=False)
    lesser = SignatureStatus(best.slot, "confirmed", best.error)
    doubt = f"{agreeing} of {wanted} providers say that it is final"
    return LapseReading(lesser, is_absent=False, doubt=doubt)
