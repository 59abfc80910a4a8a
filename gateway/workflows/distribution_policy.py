"""Policy meets planning: a plan that the signer would refuse is refused when it is planned.

It is judged again when it is signed; here nothing is counted and no session is needed.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.domain.attempts import ClaimedBatch
from gateway.domain.custody import PolicyAnswer, SignItem
from gateway.domain.errors import NotFoundError, PolicyDeniedError
from gateway.domain.plans import Plan
from gateway.domain.ports import Store, TransactionCompiler
from gateway.domain.steps import signers_of, steps_of
from gateway.domain.wallets import OwnershipProof, SigningWallet
from gateway.workflows.distribution_items import addresses_of, batch_item

_BLOCKHASH: Final = "1" * 32
_AT_ONCE: Final = 8
_SAMPLES: Final = 24
# What a minute's rate has left now says nothing of a plan: the engine waits for it.
_PASSING_RULE: Final = "/signatures_per_minute"


class PolicyJudge(Protocol):
    """The part of gateway.domain.custody.Signer that is needed here."""

    async def check_policy(self, item: SignItem) -> PolicyAnswer:
        """Says what the policy would answer."""
        ...


@dataclass(frozen=True, slots=True)
class _Known:
    wallets: Mapping[str, SigningWallet]
    proofs: Mapping[str, OwnershipProof]


class PlanPolicy:
    """Asks about one transaction of each shape in a plan, the one that moves most."""

    def __init__(self, store: Store, judge: PolicyJudge, compiler: TransactionCompiler) -> None:
        self._store = store
        self._judge = judge
        self._compiler = compiler

    async def require_allowed(self, plan: Plan) -> None:
        """Returns if the policy allows the plan; raises PolicyDeniedError with the rule's name.

        Raises SignerUnavailableError, SignerRefusedError, StoreUnavailableError, NotFoundError.
        """
        batches = _batches(plan)
        signers, named = addresses_of(plan, batches)
        async with self._store.read() as unit:
            known = _Known(
                await unit.wallets.signing_wallets(sorted(signers)),
                await unit.wallets.ownership_proofs(sorted(named)),
            )
        gate = asyncio.Semaphore(_AT_ONCE)

        async def ask(batch: ClaimedBatch) -> PolicyAnswer:
            item = batch_item(self._compiler, plan, batch, _BLOCKHASH, known)
            if item is None:
                raise NotFoundError("a wallet that has to sign is not stored any more")
            async with gate:
                return await self._judge.check_policy(item)

        chosen = _representatives(plan, batches, known.proofs)
        for answer in await asyncio.gather(*(ask(batch) for batch in chosen)):
            _require(answer)


def _batches(plan: Plan) -> list[ClaimedBatch]:
    moves = [item.move for item in plan.transfers]
    return [
        ClaimedBatch(
            batch.position,
            batch.fee_payer_address,
            moves[batch.first_transfer : batch.first_transfer + batch.transfer_count],
        )
        for batch in plan.batches
    ]


def _representatives(
    plan: Plan, batches: Sequence[ClaimedBatch], proofs: Mapping[str, OwnershipProof]
) -> list[ClaimedBatch]:
    """Returns the dearest batch of each shape, and some evenly spaced ones.

    Batches are of one shape if they have as many signers and the same instructions, and if all or
    not all of their recipients are ours. Their signers may be of different groups of the policy,
    which only the signer can tell: hence the others.
    """
    dearest: dict[tuple[object, ...], ClaimedBatch] = {}
    for batch in batches:
        shape = (
            len(signers_of(batch.fee_payer_address, plan.prologue, batch.moves)),
            tuple((step.program, step.data[:1]) for move in batch.moves for step in steps_of(move)),
            all(
                move.recipient_address in proofs or move.recipient_address in plan.wallets
                for move in batch.moves
            ),
        )
        present = dearest.get(shape)
        if present is None or _amount(batch) > _amount(present):
            dearest[shape] = batch
    spread = batches[:: max(1, len(batches) // _SAMPLES)]
    chosen = {batch.position: batch for batch in [*dearest.values(), *spread]}
    return [chosen[position] for position in sorted(chosen)]


def _amount(batch: ClaimedBatch) -> int:
    return sum(move.amount for move in batch.moves)


def _require(answer: PolicyAnswer) -> None:
    for verdict in answer.verdicts:
        if not verdict.allowed:
            detail = f": {verdict.detail}" if verdict.detail else ""
            raise PolicyDeniedError(
                f"the policy would refuse {verdict.address} ({verdict.rule}){detail}",
                rule=verdict.rule,
            )
        for cap in verdict.caps:
            if cap.needed > cap.available and _PASSING_RULE not in cap.rule:
                raise PolicyDeniedError(
                    f"{verdict.address} needs {cap.needed} and {cap.available} is left "
                    f"({cap.rule})",
                    rule=cap.rule,
                )
