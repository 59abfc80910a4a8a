"""Sending stored attempts and finding out what became of them."""

import asyncio
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from gateway.domain.attempts import AttemptMove, LiveAttempt
from gateway.domain.chain import Chain, LapsedTransaction, SignatureStatus
from gateway.domain.confirmation import Sighting, is_past, judge
from gateway.domain.errors import ChainUnavailableError, TransactionRejectedError
from gateway.domain.ports import Clock, Store
from gateway.domain.states import AttemptState
from gateway.domain.wakeups import Listener

_STATUSES_PER_CALL = 256
_LAPSED_PER_CALL = 128


@dataclass(slots=True)
class Followup:
    """Sends and confirms the attempts of one worker on one distribution.

    What is remembered here (when bytes were sent last, since when an attempt is in doubt) only
    paces the work: a worker that starts without it sends once more, which is harmless. What it
    takes to prove an expiry is asked for as seldom as bytes are sent again.
    """

    store: Store
    chain: Chain
    clock: Clock
    distribution_id: UUID
    resend_s: float
    listener: Listener
    last_error: str = ""
    # How often each batch's attempts expired in a row, as far as this worker saw it.
    expiries: Counter[int] = field(default_factory=Counter)
    _sent_at: dict[str, float] = field(default_factory=dict)
    _proof_at: dict[str, float] = field(default_factory=dict)
    _doubt_since: dict[str, float] = field(default_factory=dict)

    async def send(self, attempts: Iterable[tuple[str, bytes]]) -> None:
        """Sends stored bytes, as (signature, wire), and notes that it was tried.

        No answer decides anything: a transaction that was refused, or whose answer was lost, may
        land all the same, so only its status or its expiry counts.
        """
        pairs = list(attempts)
        await asyncio.gather(*(self._send_one(signature, wire) for signature, wire in pairs))
        await self._move([AttemptMove(signature, AttemptState.SENT) for signature, _ in pairs])

    async def follow(self, attempts: Sequence[LiveAttempt]) -> None:
        """Reads where attempts stand, stores what follows from it, sends again what is not seen.

        The finalized height comes first, the statuses after it: read the other way round, a
        transaction could land between the two and be taken for expired.
        """
        if not attempts:
            self.listener.want(())
            return
        height = await self.chain.get_block_height("finalized")
        past = [item for item in attempts if is_past(item.last_valid_block_height, height)]
        fresh = [item for item in attempts if not is_past(item.last_valid_block_height, height)]
        due = self._due(past, self._proof_at)
        self.listener.want([item.signature for item in fresh])
        seen = await self._statuses(fresh)
        history, covered = await self._history(due)
        seen |= history
        moves: list[AttemptMove] = []
        for item in [*fresh, *due]:
            sighting = Sighting(
                finalized_height=height,
                status=seen[item.signature],
                searched_history=item.signature in covered,
                doubt_s=self._doubt_s(item, height),
            )
            ruling = judge(item.state, item.last_valid_block_height, sighting)
            if ruling.state is not item.state:
                status = seen[item.signature]
                slot = status.slot if status else 0
                moves.append(AttemptMove(item.signature, ruling.state, ruling.error, slot))
        await self._move(moves)
        self._count(attempts, moves)
        await self._send_again([item for item in fresh if seen[item.signature] is None])

    def _count(self, attempts: Sequence[LiveAttempt], moves: Sequence[AttemptMove]) -> None:
        positions = {item.signature: item.batch_position for item in attempts}
        for move in moves:
            if move.state is AttemptState.EXPIRED:
                self.expiries[positions[move.signature]] += 1
            else:
                del self.expiries[positions[move.signature]]

    async def _history(
        self, past: Sequence[LiveAttempt]
    ) -> tuple[dict[str, SignatureStatus | None], set[str]]:
        """Returns statuses from the whole history, and for which of them a null can be believed.

        A null counts only if as many providers as are wanted have proved it, each by itself.
        """
        seen: dict[str, SignatureStatus | None] = {}
        covered: set[str] = set()
        for chunk in _chunks(past, _LAPSED_PER_CALL):
            readings = await self.chain.get_lapsed_statuses([_lapsed(item) for item in chunk])
            for item, reading in zip(chunk, readings, strict=True):
                seen[item.signature] = reading.status
                if reading.is_absent:
                    covered.add(item.signature)
                self.last_error = reading.doubt or self.last_error
                self._proof_at[item.signature] = self.clock.monotonic_s()
        return seen, covered

    async def _statuses(self, attempts: Sequence[LiveAttempt]) -> dict[str, SignatureStatus | None]:
        """Returns recent statuses; a finalized one only if it is to be believed."""
        seen: dict[str, SignatureStatus | None] = {}
        for chunk in _chunks(attempts, _STATUSES_PER_CALL):
            signatures = [item.signature for item in chunk]
            reading = await self.chain.get_signature_statuses(signatures, search_history=False)
            found = dict(zip(signatures, reading.statuses, strict=True))
            final = {
                signature: status
                for signature, status in found.items()
                if status is not None and status.confirmation == "finalized"
            }
            believed = await self.chain.confirm_final(final) if final else {}
            for signature, answer in believed.items():
                self.last_error = answer.doubt or self.last_error
                found[signature] = answer.status
            seen |= found
        return seen

    async def _send_again(self, unseen: Sequence[LiveAttempt]) -> None:
        sendable = [
            item for item in unseen if item.state in {AttemptState.SIGNED, AttemptState.SENT}
        ]
        due = self._due(sendable, self._sent_at)
        if due:
            await self.send((item.signature, item.wire) for item in due)

    def _due(
        self, attempts: Sequence[LiveAttempt], done_at: Mapping[str, float]
    ) -> list[LiveAttempt]:
        due_before = self.clock.monotonic_s() - self.resend_s
        return [item for item in attempts if done_at.get(item.signature, -math.inf) <= due_before]

    async def _send_one(self, signature: str, wire: bytes) -> None:
        self._sent_at[signature] = self.clock.monotonic_s()
        try:
            await self.chain.send_transaction(wire, skip_preflight=True)
        except (ChainUnavailableError, TransactionRejectedError) as error:
            self.last_error = error.message

    async def _move(self, moves: Sequence[AttemptMove]) -> None:
        if not moves:
            return
        async with self.store.transaction() as unit:
            await unit.distributions.move_attempts(self.distribution_id, moves)

    def _doubt_s(self, item: LiveAttempt, height: int) -> float:
        if not is_past(item.last_valid_block_height, height):
            return 0.0
        now = self.clock.monotonic_s()
        return now - self._doubt_since.setdefault(item.signature, now)


def _lapsed(item: LiveAttempt) -> LapsedTransaction:
    return LapsedTransaction(
        item.signature,
        item.fee_payer,
        item.blockhash,
        item.last_valid_block_height,
        item.blockhash_slot,
    )


def _chunks(attempts: Sequence[LiveAttempt], size: int) -> list[Sequence[LiveAttempt]]:
    return [attempts[start : start + size] for start in range(0, len(attempts), size)]
