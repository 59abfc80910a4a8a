"""Policy meets planning: a plan that the signer would refuse is refused when it is planned.

Every transaction is judged, and what all of them together need of each cap is compared with what is
left of it. It is judged again when it is signed; here nothing is counted and no session is needed.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.domain.attempts import ClaimedBatch
from gateway.domain.custody import SignItem
from gateway.domain.errors import NotFoundError, PolicyDeniedError
from gateway.domain.plans import Plan
from gateway.domain.ports import Store, TransactionCompiler
from gateway.domain.verdicts import CapState, PolicyForecast, PolicyVerdict
from gateway.domain.wallets import OwnershipProof, SigningWallet
from gateway.workflows.distribution_items import addresses_of, batch_item

_BLOCKHASH: Final = "1" * 32
# So many transactions are compiled without giving others a turn: a few milliseconds.
_PER_TURN: Final = 20
_PER_CALL: Final = 100
# What a minute's rate has left now says nothing of a plan: the engine waits for it. A rate of 0
# would be waited for in vain.
_PASSING_RULE: Final = "/signatures_per_minute"
_NEVER: Final = ": 0"


class PolicyJudge(Protocol):
    """The part of gateway.domain.custody.Signer that is needed here."""

    async def forecast_policy(self, items: Sequence[SignItem]) -> PolicyForecast:
        """Says what the policy would answer to all of the items together."""
        ...


@dataclass(frozen=True, slots=True)
class _Known:
    wallets: Mapping[str, SigningWallet]
    proofs: Mapping[str, OwnershipProof]


class PlanPolicy:
    """Asks about every transaction of a plan, as the very bytes that would be signed."""

    def __init__(self, store: Store, judge: PolicyJudge, compiler: TransactionCompiler) -> None:
        self._store = store
        self._judge = judge
        self._compiler = compiler

    async def require_allowed(self, plan: Plan) -> None:
        """Returns if the policy allows the plan; raises PolicyDeniedError with the rule's name.

        Raises SignerUnavailableError, SignerRefusedError, StoreUnavailableError, NotFoundError.
        """
        batches = list(_batches(plan))
        signers, named = addresses_of(plan, batches)
        async with self._store.read() as unit:
            known = _Known(
                await unit.wallets.signing_wallets(sorted(signers)),
                await unit.wallets.ownership_proofs(sorted(named)),
            )
        forecast = PolicyForecast()
        for start in range(0, len(batches), _PER_CALL):
            items = await self._items(plan, batches[start : start + _PER_CALL], known)
            found = await self._judge.forecast_policy(items)
            for verdict in found.verdicts:
                _require_allowed(verdict)
            forecast = PolicyForecast(totals=forecast.totals).followed_by(found)
            for cap in forecast.totals:
                _require_left(cap)

    async def _items(
        self, plan: Plan, batches: Sequence[ClaimedBatch], known: _Known
    ) -> list[SignItem]:
        items: list[SignItem] = []
        for place, batch in enumerate(batches):
            if place % _PER_TURN == 0:
                await asyncio.sleep(0)
            item = batch_item(self._compiler, plan, batch, _BLOCKHASH, known)
            if item is None:
                raise NotFoundError("a wallet that has to sign is not stored any more")
            items.append(item)
        return items


def _batches(plan: Plan) -> Iterator[ClaimedBatch]:
    moves = [item.move for item in plan.transfers]
    for batch in plan.batches:
        end = batch.first_transfer + batch.transfer_count
        yield ClaimedBatch(
            batch.position,
            batch.fee_payer_address,
            moves[batch.first_transfer : end],
            plan.lookup_tables,
        )


def _require_allowed(verdict: PolicyVerdict) -> None:
    if not verdict.allowed:
        detail = f": {verdict.detail}" if verdict.detail else ""
        raise PolicyDeniedError(
            f"the policy would refuse {verdict.address} ({verdict.rule}){detail}",
            rule=verdict.rule,
        )


def _require_left(cap: CapState) -> None:
    if _PASSING_RULE in cap.rule and not cap.rule.endswith(_NEVER):
        return
    if cap.needed > cap.available:
        raise PolicyDeniedError(
            f"the plan needs {cap.needed} of {cap.counted_by} and {cap.available} is left "
            f"({cap.rule})",
            rule=cap.rule,
        )
