"""A blockhash to sign with, and until when it is good: not by the word of one provider alone.

Whoever gives a blockhash out could say that it ends before it does, or that it began after it did:
a payment that can still land would count as lapsed, at honest providers too, and be signed again.
So as many providers as must prove an expiry have to vouch for it, each by itself and in this order:
it knows the blockhash, at a slot not before the one at which it is said to have been given out, and
then tells its block height. What an honest one knows ends at most 150 blocks past that height, and
what is signed now is in none of the slots that it is past. The latest end that follows is kept.
Where what they tell does not go together, nothing is signed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from gateway.adapters.solana_rpc.errors import RpcError
from gateway.domain.chain import Blockhash, BlockhashReading, Commitment, Tip
from gateway.domain.errors import ChainUnavailableError

BLOCKHASH_LIFE_BLOCKS: Final = 150
# As far as providers may be apart, in slots and in blocks: about a minute. Whoever is more than so
# many slots past the one that is kept has seen what they saw: to them "not valid" means "ended".
_APART_MAX: Final = BLOCKHASH_LIFE_BLOCKS
# No lie makes an expiry come later than this.
_LIFE_BLOCKS_MAX: Final = 2 * BLOCKHASH_LIFE_BLOCKS
_PATIENCE_S: Final = 5.0


class Source(Protocol):
    """Who gives blockhashes out: an endpoint, or several one after the other."""

    async def get_latest_blockhash(self, commitment: Commitment = "confirmed") -> Blockhash:
        """Returns a blockhash."""
        ...


class Voucher(Source, Protocol):
    """The calls that are asked of one endpoint."""

    async def read_blockhash(
        self, blockhash: str, commitment: Commitment, min_context_slot: int
    ) -> BlockhashReading:
        """Returns whether a blockhash is valid."""
        ...

    async def get_tip(self, min_context_slot: int = 0) -> Tip:
        """Returns the newest slot, and its block's height."""
        ...


@dataclass(frozen=True, slots=True)
class _Vouch:
    """At which slot an endpoint knew the blockhash, and its block height after that."""

    slot: int
    height: int


class Blockhashes:
    """Blockhashes that `wanted` of the providers vouch for."""

    def __init__(self, source: Source, providers: Sequence[Voucher], wanted: int) -> None:
        """`source` is asked for blockhashes first."""
        self._providers = providers
        self._wanted = wanted
        self._sources: Sequence[Source] = [source, *(providers if len(providers) > 1 else ())]
        self._turn = 0

    async def next(self) -> Blockhash:
        """Returns a blockhash to sign with; raises ChainUnavailableError if too few vouch for it.

        Another endpoint gives the next one out then, so that none can hold signing up by its lies.
        """
        try:
            recent = await self._sources[self._turn].get_latest_blockhash("confirmed")
            return _agree(recent, await self._vouches(recent))
        except ChainUnavailableError:
            self._turn = (self._turn + 1) % len(self._sources)
            raise

    async def _vouches(self, recent: Blockhash) -> list[_Vouch]:
        """Returns the first that vouch, as many as are wanted; the others are not waited for."""
        tasks = [asyncio.create_task(_vouch(one, recent)) for one in self._providers]
        vouches: list[_Vouch] = []
        why = "the others do not know it"
        try:
            for earliest in asyncio.as_completed(tasks, timeout=_PATIENCE_S):
                said = await earliest
                if isinstance(said, RpcError):
                    why = said.message
                elif said is not None:
                    vouches.append(said)
                if len(vouches) >= self._wanted:
                    return vouches
        except TimeoutError:
            why = "the others did not answer in time"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        raise ChainUnavailableError(
            f"{len(vouches)} of {self._wanted} RPC providers vouch for the blockhash: {why}"
        )


async def _vouch(provider: Voucher, recent: Blockhash) -> _Vouch | RpcError | None:
    """Returns None if the provider does not know the blockhash, or not as a valid one."""
    try:
        known = await provider.read_blockhash(recent.blockhash, "processed", recent.context_slot)
        if not known.is_valid:
            return None
        # Its height after that, at no earlier slot: the blockhash is of no later height.
        tip = await provider.get_tip(known.context_slot)
    except RpcError as error:
        return error
    return _Vouch(known.context_slot, tip.block_height)


def _agree(recent: Blockhash, vouches: Sequence[_Vouch]) -> Blockhash:
    """Returns the blockhash with the latest end that follows; or raises."""
    slots = [recent.context_slot, *(vouch.slot for vouch in vouches)]
    heights = [vouch.height for vouch in vouches]
    if max(_span(slots), _span(heights)) > _APART_MAX:
        raise ChainUnavailableError("RPC providers contradict each other about the time")
    end = recent.last_valid_block_height
    if not max(heights) < end <= min(heights) + _LIFE_BLOCKS_MAX:
        raise ChainUnavailableError(
            f"an RPC provider says that a blockhash is good until block height {end}, "
            f"at {max(heights)}"
        )
    latest = max(end, max(heights) + BLOCKHASH_LIFE_BLOCKS)
    return replace(recent, last_valid_block_height=latest)


def _span(numbers: Sequence[int]) -> int:
    return max(numbers) - min(numbers)
