"""Measures what the transactions of a drafted plan use, by simulating some of them."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gateway.domain.chain import Blockhash, Chain
from gateway.domain.compute_limits import (
    FIXED,
    ComputeLimits,
    Sample,
    Shape,
    Usage,
    samples_of,
)
from gateway.domain.errors import (
    ChainUnavailableError,
    PreconditionFailedError,
    TransactionRejectedError,
)
from gateway.domain.instructions import Instruction
from gateway.domain.packing import TransactionVersion, pack
from gateway.domain.plans import SOL, Kind, Move, Plan
from gateway.domain.ports import TransactionCompiler
from gateway.domain.simulation import ProgramFailure, loads_too_much, read_failure
from gateway.domain.steps import (
    UNITS_MAX,
    batch_instructions,
    compute_unit_limit,
    opening,
    steps_of,
)
from gateway.workflows.distribution_items import compute_budget

_AT_ONCE: Final = 8
_OPENING_USED_UNITS: Final = 300
"""What the two compute-budget instructions use: 150 each, as all native programs."""


class LimitMeasurement:
    """Asks the cluster. Needs no signature, and stores nothing."""

    def __init__(self, chain: Chain, compiler: TransactionCompiler) -> None:
        self._chain = chain
        self._compiler = compiler

    async def measure(self, draft: Plan) -> ComputeLimits:
        """Returns what the draft's moves use; what could not be measured is left out.

        It cannot where the payer is not funded yet, or where no node simulates. Raises
        PreconditionFailedError with the program's error if a transaction would fail for any other
        reason: that plan cannot work.
        """
        try:
            recent = await self._chain.get_latest_blockhash()
        except ChainUnavailableError:
            return FIXED
        samples = [_fitting(draft, sample) for sample in samples_of(draft)]
        prologue = 0
        if draft.prologue:
            alone = await self._used(draft, samples[0].payer, (), recent)
            if alone is None:
                return FIXED
            prologue = alone
        gate = asyncio.Semaphore(_AT_ONCE)

        async def measured(sample: Sample) -> int | None:
            async with gate:
                return await self._used(draft, sample.payer, sample.moves, recent)

        found = await asyncio.gather(*(measured(sample) for sample in samples))
        return ComputeLimits(_usages(samples, found, prologue), prologue)

    async def _used(
        self, draft: Plan, payer: str, moves: Sequence[Move], recent: Blockhash
    ) -> int | None:
        """Returns what moves (without any: the prologue) use in one transaction, or None."""
        version, units, price = _terms(draft, moves)
        instructions = batch_instructions(version, units, price, draft.prologue, moves)
        wire = self._compiler.compile(
            version,
            payer,
            instructions,
            recent.blockhash,
            compute_budget(instructions, units, price),
        )
        try:
            simulation = await self._chain.simulate_transaction(wire, recent.context_slot)
        except (ChainUnavailableError, TransactionRejectedError):
            return None
        if simulation.error:
            _require_uncertain(simulation.error, instructions, moves)
            return None
        used = simulation.units_consumed - _opening_used(version)
        return used if 0 < used <= UNITS_MAX else None


def _format(draft: Plan) -> TransactionVersion:
    """Returns the format of simulations. Lookup tables do not change what is used."""
    is_v1 = draft.version is TransactionVersion.V1
    return TransactionVersion.V1 if is_v1 else TransactionVersion.LEGACY


def _fitting(draft: Plan, sample: Sample) -> Sample:
    """Returns as much of a sample as one transaction holds without lookup tables: mostly all."""
    version = _format(draft)
    first = [*opening(version, 0, 0), *draft.prologue]
    count = pack(version, sample.payer, first, map(steps_of, sample.moves))[0]
    return replace(sample, moves=sample.moves[:count])


def _terms(draft: Plan, moves: Sequence[Move]) -> tuple[TransactionVersion, int, int]:
    """Returns format, compute limit and price of a simulation.

    SOL is simulated as drafted, because what is left after the fee may have to be exactly zero, and
    the System program's use is fixed. Programs of tokens get all the units there are, for what they
    use is to be found out.
    """
    version = _format(draft)
    if draft.asset == SOL and draft.kind is not Kind.CLOSING:
        return version, compute_unit_limit(draft.opening_units, moves), draft.compute_unit_price
    return version, UNITS_MAX, 0


def _opening_used(version: TransactionVersion) -> int:
    return _OPENING_USED_UNITS if opening(version, 0, 0) else 0


def _usages(
    samples: Sequence[Sample], found: Sequence[int | None], prologue: int
) -> dict[Shape, Usage]:
    """Returns the most that any sample of a shape used for one move."""
    used: dict[Shape, list[Usage]] = defaultdict(list)
    unmeasured: set[Shape] = set()
    for sample, units in zip(samples, found, strict=True):
        if units is None or units <= prologue:
            unmeasured.add(sample.shape)
            continue
        each = -(-(units - prologue) // len(sample.moves))
        used[sample.shape].append(Usage(each, sample.moves[0].compute_units))
    return {
        shape: max(usages, key=lambda usage: usage.used_units)
        for shape, usages in used.items()
        if shape not in unmeasured
    }


def _require_uncertain(
    error: str, instructions: Sequence[Instruction], moves: Sequence[Move]
) -> None:
    """Returns if a simulation's error may pass; raises PreconditionFailedError otherwise."""
    failure = read_failure(error)
    if failure is not None and failure.instruction < len(instructions):
        raise _refusal(failure, instructions, moves)
    if loads_too_much(error):
        raise PreconditionFailedError(
            "the cluster would refuse what is planned: the accounts of a transaction have more "
            "data than it may load",
            reason="TRANSACTION_REJECTED",
        )


def _refusal(
    failure: ProgramFailure, instructions: Sequence[Instruction], moves: Sequence[Move]
) -> PreconditionFailedError:
    """Returns the error that names the program, what it said, and whose transfer it was."""
    program = instructions[failure.instruction].program
    steps_before = len(instructions) - sum(len(steps_of(move)) for move in moves)
    where = ""
    for move in moves:
        steps_before += len(steps_of(move))
        if failure.instruction < steps_before:
            where = f" ({move.source_address} to {move.recipient_address})"
            break
    return PreconditionFailedError(
        f"the cluster would refuse what is planned: {failure.describe(program)}{where}",
        reason="TRANSACTION_REJECTED",
    )
