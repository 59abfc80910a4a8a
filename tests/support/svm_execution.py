"""Execution with the limits and the fee that a transaction asks for.

LiteSVM reads no configuration of a v1 message: it would let every one use 1.4 million units, load
any account and pay no priority fee. Here the SVM runs with the transaction's own compute limit, the
priority fee of v1 is taken from the payer before, and a v1 transaction that loads more account data
than it says fails as on a cluster: in a block, for its fee, without having run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from solders.account import Account
from solders.compute_budget import ComputeBudget
from solders.litesvm import LiteSVM
from solders.message import MessageV1
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import (
    FailedTransactionMetadata,
    SimulatedTransactionInfo,
    TransactionMetadata,
)
from solders.transaction_status import TransactionErrorFieldless, TransactionErrorType

from tests.support.svm_messages import (
    compute_units,
    fee_lamports,
    loaded_data_bytes,
    priority_fee_lamports,
)

_BEFORE_EXECUTION = (
    "AccountNotFound",
    "AlreadyProcessed",
    "BlockhashNotFound",
    "InsufficientFundsForFee",
    "SanitizeFailure",
    "SignatureFailure",
)
Result = TransactionMetadata | FailedTransactionMetadata | SimulatedTransactionInfo


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a transaction. The fee is what it costs, should it land."""

    error: TransactionErrorType | None
    fee_lamports: int
    units_consumed: int = 0
    logs: Sequence[str] = ()

    @property
    def is_refused(self) -> bool:
        """True if it never gets into a block: no fee is paid either.

        So it is if the fee alone would leave its payer less than the rent floor. That has the same
        name as an account that is left so after the execution, but then something has run.
        """
        name = repr(self.error) if self.error else ""
        if "InsufficientFundsForRent" in name:
            return not self.logs
        return any(refusal in name for refusal in _BEFORE_EXECUTION)


def execute(svm: LiteSVM, transaction: VersionedTransaction) -> Outcome:
    """Runs a transaction for good; what is refused changes nothing."""
    if not _loads_too_much(svm, transaction):
        return _run(svm, transaction, svm.send_transaction)
    outcome = simulate(svm, transaction)
    if not outcome.is_refused:
        _take(svm, transaction, outcome.fee_lamports)
    return outcome


def simulate(svm: LiteSVM, transaction: VersionedTransaction) -> Outcome:
    """Runs a transaction and forgets it."""
    payer = transaction.message.account_keys[0]
    before = svm.get_account(payer)
    outcome = _run(svm, transaction, svm.simulate_transaction)
    if before is not None:
        svm.set_account(payer, before)
    if outcome.is_refused or not _loads_too_much(svm, transaction):
        return outcome
    return Outcome(
        TransactionErrorFieldless.MaxLoadedAccountsDataSizeExceeded, outcome.fee_lamports
    )


def _run(
    svm: LiteSVM,
    transaction: VersionedTransaction,
    run: Callable[[VersionedTransaction], Result],
) -> Outcome:
    """Runs it with its compute limit, and with what its priority fee leaves the payer."""
    message = transaction.message
    # What LiteSVM does not charge by itself.
    priority = priority_fee_lamports(message) if isinstance(message, MessageV1) else 0
    before = svm.get_account(message.account_keys[0])
    if priority and (before is None or before.lamports < priority):
        return Outcome(TransactionErrorFieldless.InsufficientFundsForFee, fee_lamports(message))
    _take(svm, transaction, priority)
    budget = ComputeBudget(simd_0268_active=True)
    budget.compute_unit_limit = compute_units(message)
    svm.with_compute_budget(budget)
    result = run(transaction)
    meta = result if isinstance(result, TransactionMetadata) else result.meta()
    error = result.err() if isinstance(result, FailedTransactionMetadata) else None
    fee = meta.fee() + priority
    outcome = Outcome(error, fee, meta.compute_units_consumed(), tuple(meta.logs()))
    if outcome.is_refused and before is not None:
        svm.set_account(message.account_keys[0], before)
    return outcome


def _loads_too_much(svm: LiteSVM, transaction: VersionedTransaction) -> bool:
    """True if a v1 transaction loads more than it says; others may load 64 MiB, which none does."""
    message = transaction.message
    if not isinstance(message, MessageV1):
        return False
    most = message.config.loaded_accounts_data_size_limit or 0
    return loaded_data_bytes(message, svm) > most


def _take(svm: LiteSVM, transaction: VersionedTransaction, lamports: int) -> None:
    payer = transaction.message.account_keys[0]
    held = svm.get_account(payer)
    if held is not None and lamports:
        left = Account(
            held.lamports - lamports, held.data, held.owner, held.executable, held.rent_epoch
        )
        svm.set_account(payer, left)
