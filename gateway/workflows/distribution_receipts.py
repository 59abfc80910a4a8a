"""Reconciliation: every finalized transaction is compared with the chain's own record of it."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from gateway.domain.attempts import LandedAttempt, Receipt
from gateway.domain.chain import Chain
from gateway.domain.errors import ChainUnavailableError
from gateway.domain.ports import Store, TransactionCompiler
from gateway.domain.reconciliation import UNAVAILABLE, compare

_TRIES_MAX: Final = 5
# A node that cannot be asked says nothing about the record: patience of half a minute and more.
_OUTAGES_MAX: Final = 60
_PER_STEP_MAX: Final = 50


@dataclass(slots=True)
class Reconciliation:
    """Compares one distribution's transactions. It decides nothing: states are settled already.

    A record that no node gives in so many tries is "unavailable" for now: the sweep asks for it
    again later, less and less often.
    """

    store: Store
    chain: Chain
    compiler: TransactionCompiler
    distribution_id: UUID
    _tries: Counter[str] = field(default_factory=Counter)
    _outages: Counter[str] = field(default_factory=Counter)

    async def step(self) -> bool:
        """Compares some; returns True if none is left."""
        async with self.store.read() as unit:
            found = await unit.distributions.without_receipt(self.distribution_id, _PER_STEP_MAX)
        if not found:
            return True
        compared = await asyncio.gather(*(self._compare(attempt) for attempt in found))
        receipts = [receipt for receipt in compared if receipt is not None]
        if receipts:
            async with self.store.transaction() as unit:
                await unit.distributions.store_receipts(receipts)
        return len(receipts) == len(found) < _PER_STEP_MAX

    async def _compare(self, attempt: LandedAttempt) -> Receipt | None:
        signature = attempt.signature
        try:
            landed = await self.chain.get_transaction_details(signature)
        except ChainUnavailableError:
            self._outages[signature] += 1
        else:
            if landed is not None:
                accounts = self.compiler.accounts_of(attempt.wire, attempt.lookup_tables)
                return compare(attempt, accounts, landed)
            self._tries[signature] += 1
        if self._tries[signature] < _TRIES_MAX and self._outages[signature] < _OUTAGES_MAX:
            return None
        # The next time it starts anew.
        del self._tries[signature], self._outages[signature]
        return Receipt(signature, UNAVAILABLE)
