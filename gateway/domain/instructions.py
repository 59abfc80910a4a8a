"""Solana instructions as values, and the few that plans are made of."""

import struct
from dataclasses import dataclass
from typing import Final

SYSTEM_PROGRAM: Final = "11111111111111111111111111111111"
COMPUTE_BUDGET_PROGRAM: Final = "ComputeBudget111111111111111111111111111111"


@dataclass(frozen=True, slots=True)
class AccountUse:
    """An account as an instruction uses it."""

    address: str
    is_signer: bool = False
    is_writable: bool = False


@dataclass(frozen=True, slots=True)
class Instruction:
    """A call of a program.

    `trace_entries` is how many places it takes in the runtime's instruction trace: 1, and 1 for
    each call that the program makes in turn.
    """

    program: str
    accounts: tuple[AccountUse, ...]
    data: bytes
    trace_entries: int = 1


def transfer_lamports(source: str, destination: str, amount_lamports: int) -> Instruction:
    """System program, Transfer (2): moves lamports from a wallet that signs."""
    return Instruction(
        SYSTEM_PROGRAM,
        (
            AccountUse(source, is_signer=True, is_writable=True),
            AccountUse(destination, is_writable=True),
        ),
        struct.pack("<IQ", 2, amount_lamports),
    )


def set_compute_unit_limit(units: int) -> Instruction:
    """Compute budget program, SetComputeUnitLimit (2)."""
    return Instruction(COMPUTE_BUDGET_PROGRAM, (), struct.pack("<BI", 2, units))


def set_compute_unit_price(micro_lamports: int) -> Instruction:
    """Compute budget program, SetComputeUnitPrice (3): micro-lamports for each unit."""
    return Instruction(COMPUTE_BUDGET_PROGRAM, (), struct.pack("<BQ", 3, micro_lamports))
