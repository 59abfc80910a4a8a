"""Instructions as they are stored with a plan, and a batch's instructions from what was stored.

What is signed is rebuilt from the stored plan alone, so that nothing which happens between planning
and signing (a new release, another reading of the chain) can change what was approved.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.domain.instructions import (
    AccountUse,
    Instruction,
    set_compute_unit_limit,
    set_compute_unit_price,
    transfer_lamports,
)
from gateway.domain.packing import TransactionVersion
from gateway.domain.plans import Move

OPENING_UNITS: Final = 600
"""Twice what the two compute-budget instructions use."""
UNITS_MAX: Final = 1_400_000
"""What the runtime allows one transaction."""
_SIGNER, _WRITABLE = 1, 2
_MICRO: Final = 1_000_000


def encode_steps(steps: Sequence[Instruction]) -> str:
    """Returns instructions as JSON: [[program, [[address, flags], ...], data in hex, trace], ...].

    Nothing in it needs escaping anywhere: base58, hex and digits.
    """
    return json.dumps(
        [
            [
                step.program,
                [
                    [use.address, _SIGNER * use.is_signer + _WRITABLE * use.is_writable]
                    for use in step.accounts
                ],
                step.data.hex(),
                step.trace_entries,
            ]
            for step in steps
        ],
        separators=(",", ":"),
    )


def decode_steps(text: str) -> tuple[Instruction, ...]:
    """Returns what `encode_steps` wrote."""
    return tuple(
        Instruction(
            program,
            tuple(
                AccountUse(address, bool(flags & _SIGNER), bool(flags & _WRITABLE))
                for address, flags in uses
            ),
            bytes.fromhex(data),
            trace,
        )
        for program, uses, data, trace in json.loads(text)
    )


def steps_of(move: Move) -> tuple[Instruction, ...]:
    """Returns the instructions of one transfer."""
    return move.steps or (
        transfer_lamports(move.source_address, move.recipient_address, move.amount),
    )


def opening(version: TransactionVersion, units: int, price: int) -> list[Instruction]:
    """Returns the budget instructions. A v1 transaction has its limits in its configuration."""
    if version is TransactionVersion.V1:
        return []
    return [set_compute_unit_limit(units), set_compute_unit_price(price)]


def batch_instructions(
    version: TransactionVersion,
    units: int,
    price: int,
    prologue: Sequence[Instruction],
    moves: Sequence[Move],
) -> list[Instruction]:
    """Returns the instructions of one transaction, the same ones that the plan was packed with."""
    return [
        *opening(version, units, price),
        *prologue,
        *(step for move in moves for step in steps_of(move)),
    ]


def compute_unit_limit(opening_units: int, moves: Sequence[Move]) -> int:
    """Returns the compute limit of a batch, at most what the runtime allows."""
    return min(opening_units + sum(move.compute_units for move in moves), UNITS_MAX)


def priority_fee(units: int, price: int) -> int:
    """Returns a priority fee in lamports, rounded up as the runtime does."""
    return -(-units * price // _MICRO)


@dataclass(frozen=True, slots=True)
class FeeTerms:
    """What the fees of all transactions of a plan are reckoned from."""

    prologue: Sequence[Instruction]
    opening_units: int
    compute_unit_price: int
    lamports_per_signature: int

    def of(self, fee_payer: str, moves: Sequence[Move]) -> tuple[int, int]:
        """Returns (signatures, fee in lamports) of one transaction."""
        signatures = len(signers_of(fee_payer, self.prologue, moves))
        units = compute_unit_limit(self.opening_units, moves)
        base = signatures * self.lamports_per_signature
        return signatures, base + priority_fee(units, self.compute_unit_price)


def signers_of(fee_payer: str, prologue: Sequence[Instruction], moves: Sequence[Move]) -> list[str]:
    """Returns who signs a batch: the payer first, then in order of appearance."""
    found = {fee_payer: None}
    for step in [*prologue, *(step for move in moves for step in steps_of(move))]:
        found.update((use.address, None) for use in step.accounts if use.is_signer)
    return list(found)
