"""A batch as the signer is asked about it: wire bytes, wallets that sign, proofs of who is ours."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from gateway.domain.attempts import ClaimedBatch
from gateway.domain.custody import SignItem
from gateway.domain.instructions import COMPUTE_BUDGET_PROGRAM, SYSTEM_PROGRAM, Instruction
from gateway.domain.packing import TransactionVersion
from gateway.domain.ports import ComputeBudget, TransactionCompiler
from gateway.domain.steps import (
    batch_instructions,
    compute_unit_limit,
    priority_fee,
    signers_of,
    steps_of,
)
from gateway.domain.wallets import OwnershipProof, SigningWallet

# A v1 transaction says how much account data it loads. Wallets have none: 64 accounts at 64 bytes
# each and the System program are some 4 KiB, and if each were a nonce, 9. Programs count with their
# code: Token-2022 with 0.6 MiB, and of those that plans call all together are under 1 MiB.
_WALLETS_DATA_BYTES_MAX: Final = 65_536
_PROGRAMS_DATA_BYTES_MAX: Final = 8 * 1024 * 1024
_BUILTINS: Final = {SYSTEM_PROGRAM, COMPUTE_BUDGET_PROGRAM}


class BatchTerms(Protocol):
    """What a batch's transaction takes from its plan: a Plan or a Distribution."""

    @property
    def version(self) -> TransactionVersion:
        """The format."""
        ...

    @property
    def compute_unit_price(self) -> int:
        """Micro-lamports for each compute unit."""
        ...

    @property
    def opening_units(self) -> int:
        """Compute units of the opening."""
        ...

    @property
    def prologue(self) -> tuple[Instruction, ...]:
        """What every transaction begins with."""
        ...


class Known(Protocol):
    """Wallets and proofs by address."""

    @property
    def wallets(self) -> Mapping[str, SigningWallet]:
        """Sealed records of those that sign."""
        ...

    @property
    def proofs(self) -> Mapping[str, OwnershipProof]:
        """Proofs of all that are ours."""
        ...


def addresses_of(terms: BatchTerms, batches: Sequence[ClaimedBatch]) -> tuple[set[str], set[str]]:
    """Returns who signs, and all others who are named: of those the signer may want proof."""
    signers: set[str] = set()
    named: set[str] = set()
    for batch in batches:
        signers.update(signers_of(batch.fee_payer_address, terms.prologue, batch.moves))
        for move in batch.moves:
            named.add(move.recipient_address)
            named.update(use.address for step in steps_of(move) for use in step.accounts)
    named.update(use.address for step in terms.prologue for use in step.accounts)
    return signers, named - signers


def compute_budget(instructions: Sequence[Instruction], units: int, price: int) -> ComputeBudget:
    """Returns what a v1 transaction of these instructions asks for."""
    loads_programs = any(step.program not in _BUILTINS for step in instructions)
    return ComputeBudget(
        units,
        priority_fee(units, price),
        _PROGRAMS_DATA_BYTES_MAX if loads_programs else _WALLETS_DATA_BYTES_MAX,
    )


def batch_item(
    compiler: TransactionCompiler,
    terms: BatchTerms,
    batch: ClaimedBatch,
    blockhash: str,
    known: Known,
    reference: str = "",
) -> SignItem | None:
    """Returns the item of one batch; None if a wallet that has to sign is not known."""
    units = compute_unit_limit(terms.opening_units, batch.moves)
    price = terms.compute_unit_price
    instructions = batch_instructions(terms.version, units, price, terms.prologue, batch.moves)
    wire = compiler.compile(
        terms.version,
        batch.fee_payer_address,
        instructions,
        blockhash,
        compute_budget(instructions, units, price),
        batch.lookup_tables,
    )
    signers = signers_of(batch.fee_payer_address, terms.prologue, batch.moves)
    wallets = [known.wallets[address] for address in signers if address in known.wallets]
    if len(wallets) != len(signers):
        return None
    _, named = addresses_of(terms, [batch])
    proofs = [known.proofs[address] for address in sorted(named) if address in known.proofs]
    tables = batch.lookup_tables.used_by(batch.fee_payer_address, instructions)
    return SignItem(reference, wire, wallets, proofs, tables)
