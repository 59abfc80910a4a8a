"""The chain's own record of a finalized transaction against what its batch was to do. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from gateway.domain.attempts import LandedAttempt, Receipt
from gateway.domain.chain import LandedTransaction
from gateway.domain.plans import Move
from gateway.domain.token_programs import (
    CLOSE_ACCOUNT,
    HARVEST_WITHHELD,
    TOKEN_PROGRAMS,
    WITHDRAW_EXCESS_LAMPORTS,
)

MATCHED: Final = "matched"
UNAVAILABLE: Final = "unavailable"
_SWEEPS: Final = {bytes([CLOSE_ACCOUNT]), bytes([WITHDRAW_EXCESS_LAMPORTS])}
_QUIET: Final = {*_SWEEPS, HARVEST_WITHHELD}


def compare(attempt: LandedAttempt, accounts: Sequence[str], landed: LandedTransaction) -> Receipt:
    """Compares error, fee, and the lamports of every account that the plan accounts for.

    `accounts` are the transaction's, in its order. Where tokens move, lamports of accounts that are
    created or closed on the way are the chain's to say, and only fee and error are compared.
    """
    return Receipt(
        attempt.signature, _verdict(attempt, accounts, landed), landed.slot, landed.fee_lamports
    )


def _verdict(attempt: LandedAttempt, accounts: Sequence[str], landed: LandedTransaction) -> str:
    if landed.error:
        return f"differs: it failed: {landed.error}"
    if landed.fee_lamports != attempt.fee_lamports:
        return f"differs: the fee is {landed.fee_lamports}, planned {attempt.fee_lamports}"
    planned = _planned_changes(attempt.moves)
    if planned is None:
        return MATCHED
    if not len(accounts) == len(landed.pre_balances) == len(landed.post_balances):
        return "differs: the record has another number of accounts"
    planned[accounts[0]] -= landed.fee_lamports
    for address, before, after in zip(
        accounts, landed.pre_balances, landed.post_balances, strict=True
    ):
        if after - before != planned[address]:
            return f"differs: {address} changed by {after - before}, planned {planned[address]}"
    return MATCHED


def _planned_changes(moves: Sequence[Move]) -> Counter[str] | None:
    """Returns lamports gained and lost by address; None where tokens move."""
    changes: Counter[str] = Counter()
    for move in moves:
        source = move.source_address
        if move.steps:
            last = move.steps[-1]
            is_sweep = last.program in TOKEN_PROGRAMS and last.data in _SWEEPS
            if not is_sweep or any(step.data not in _QUIET for step in move.steps):
                return None
            source = last.accounts[0].address
        changes[source] -= move.amount
        changes[move.recipient_address] += move.amount
    return changes
