"""A Solana chain in memory, on the real SVM, whose time, forks and delays a test scripts.

LiteSVM executes; this module adds what a cluster has around it: blocks, the 150-block life of a
blockhash, commitment levels, transactions that wait or never land, and forks that undo.
"""

import functools
import hashlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from solders.account import Account
from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.rent import Rent
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from solders.transaction_status import TransactionErrorFieldless, TransactionErrorType

from tests.support import svm_execution
from tests.support.svm_execution import Outcome
from tests.support.svm_messages import FEE_LAMPORTS_PER_SIGNATURE, account_keys, loaded_data_bytes

BLOCKHASH_LIFE_BLOCKS = 150
SYSTEM_PROGRAM = Pubkey.default()
_SLOTS_AHEAD = 1000  # slots run ahead of blocks: whoever takes one for the other is found out


@dataclass(frozen=True, slots=True)
class Timing:
    """How old, in blocks, a transaction is when it counts as confirmed and as finalized."""

    confirm_after_blocks: int = 1
    finalize_after_blocks: int = 3

    def age(self, commitment: str) -> int:
        """Return the age in blocks of what `commitment` ("processed", ...) can see."""
        ages = {"confirmed": self.confirm_after_blocks, "finalized": self.finalize_after_blocks}
        return ages.get(commitment, 0)


@dataclass(frozen=True, slots=True)
class Landed:
    """A transaction in a block: what went in, what came out, and how to undo it."""

    transaction: VersionedTransaction
    height: int
    outcome: Outcome
    keys: tuple[Pubkey, ...]
    before: tuple[Account | None, ...]
    after: tuple[Account | None, ...]

    @property
    def signature(self) -> Signature:
        """The first signature: the transaction's id."""
        return self.transaction.signatures[0]

    @property
    def error(self) -> TransactionErrorType | None:
        """Why it failed, None if it succeeded."""
        return self.outcome.error


@dataclass(slots=True)
class SvmChain:
    """The chain. Every public method may be called from any thread."""

    timing: Timing = field(default_factory=Timing)
    rent_lamports_per_byte: int = 5080
    # While True, transactions that are sent wait; `release` lands those that have not expired.
    hold: bool = False
    height: int = 200
    # What a node that was started anew says it begins at; it still answers from `landed`.
    first_available_slot: int = 0
    landed: dict[Signature, Landed] = field(default_factory=dict)
    # Where lamports out of nowhere came from: a node lists a transaction for each change.
    funded: dict[Signature, Landed] = field(default_factory=dict)
    waiting: list[VersionedTransaction] = field(default_factory=list)
    # What is lost from the history, but not from the ledger: the node tells nothing of these.
    forgets: Callable[[Landed], bool] = lambda _: False
    svm: LiteSVM = field(init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        """Start the machine with today's rent and without its own, single-blockhash, checks."""
        svm = LiteSVM()
        svm.with_blockhash_check(False)
        svm.with_transaction_history(0)
        svm.set_rent(Rent.with_lamports_per_byte(self.rent_lamports_per_byte))
        self.svm = svm

    @property
    def slot(self) -> int:
        """The current slot."""
        return self.height + _SLOTS_AHEAD

    def advance(self, blocks: int = 1) -> None:
        """Add empty blocks."""
        with self._lock:
            self.height += blocks

    def expire_blockhashes(self) -> None:
        """Add as many blocks as make every blockhash that was ever given out unusable for good."""
        self.advance(BLOCKHASH_LIFE_BLOCKS + self.timing.finalize_after_blocks + 1)

    def height_at(self, commitment: str) -> int:
        """Return the block height at a commitment level."""
        return self.height - self.timing.age(commitment)

    def latest_blockhash(self, commitment: str) -> tuple[Hash, int]:
        """Return a blockhash and the last block height at which it is valid."""
        with self._lock:
            height = self.height_at(commitment)
            return _blockhash(height), height + BLOCKHASH_LIFE_BLOCKS

    def is_blockhash_valid(self, blockhash: Hash, commitment: str = "processed") -> bool:
        """Return whether a transaction with this blockhash could land now, or could have then."""
        with self._lock:
            newest = self.height_at(commitment)
            oldest = newest - BLOCKHASH_LIFE_BLOCKS
            return any(_blockhash(h) == blockhash for h in range(oldest, newest + 1))

    def fund(self, address: Pubkey, lamports: int) -> None:
        """Add lamports to an account, out of nowhere, by a transaction that is final at once."""
        with self._lock:
            held = self.svm.get_account(address)
            balance = lamports + (held.lamports if held else 0)
            owner = held.owner if held else SYSTEM_PROGRAM
            account = Account(balance, held.data if held else b"", owner)
            self.svm.set_account(address, account)
            age = self.timing.finalize_after_blocks
            funding = _funding(address, len(self.funded), self.height - age, held, account)
            self.funded[funding.signature] = funding

    def balance(self, address: Pubkey) -> int:
        """Return an account's lamports, 0 where there is none."""
        return self.svm.get_balance(address) or 0

    def accounts(
        self, addresses: Iterable[Pubkey], commitment: str = "processed"
    ) -> list[Account | None]:
        """Return the accounts at addresses, in order, all of one moment and settled so far."""
        with self._lock:
            undone: dict[Pubkey, Account | None] = {}
            newest = self.height_at(commitment)
            for item in reversed(self.landed.values()):
                if item.height <= newest:
                    break
                undone |= zip(item.keys, item.before, strict=True)
            return [undone.get(key, self.svm.get_account(key)) for key in addresses]

    def history(self) -> list[Landed]:
        """Return all transactions in blocks, fundings included, oldest first."""
        with self._lock:
            every = [*self.funded.values(), *self.landed.values()]
            known = [item for item in every if not self.forgets(item)]
            return sorted(known, key=lambda item: item.height)

    def find(self, signature: Signature) -> Landed | None:
        """Return a transaction in a block."""
        found = self.landed.get(signature) or self.funded.get(signature)
        return None if found is None or self.forgets(found) else found

    def preflight(self, transaction: VersionedTransaction) -> TransactionErrorType | None:
        """Say why a transaction would fail now, without landing it."""
        with self._lock:
            if refused := self._refusal(transaction):
                return refused
            return svm_execution.simulate(self.svm, transaction).error

    def simulate(self, transaction: VersionedTransaction, *, replace_blockhash: bool) -> Outcome:
        """Run a transaction without looking at its signatures, and forget it."""
        with self._lock:
            if not replace_blockhash and (refused := self._refusal(transaction)):
                return Outcome(refused, 0)
            self.svm.with_sigverify(False)
            try:
                return svm_execution.simulate(self.svm, transaction)
            finally:
                self.svm.with_sigverify(True)

    def loaded_data_bytes(self, transaction: VersionedTransaction) -> int:
        """Say how much account data a transaction loads."""
        with self._lock:
            return loaded_data_bytes(transaction.message, self.svm)

    def send(self, transaction: VersionedTransaction) -> None:
        """Land a transaction, or keep it waiting; what can never land is dropped in silence.

        So does a cluster: only its status, or its expiry, tells.
        """
        with self._lock:
            if self.hold:
                self.waiting.append(transaction)
            else:
                self._land(transaction)

    def release(self) -> None:
        """Land what waits, in the order it was sent, and stop holding."""
        with self._lock:
            waiting, self.waiting, self.hold = self.waiting, [], False
            for transaction in waiting:
                self._land(transaction)

    def fork(self, blocks: int) -> list[Signature]:
        """Undo the last `blocks` blocks' transactions, newest first; return their signatures.

        Time does not run back: another fork has as many blocks, without these transactions.
        """
        with self._lock:
            undone = [t for t in self.landed.values() if t.height > self.height - blocks]
            for transaction in reversed(undone):
                del self.landed[transaction.signature]
                for key, account in zip(transaction.keys, transaction.before, strict=True):
                    self.svm.set_account(key, account or Account(0, b"", SYSTEM_PROGRAM))
            return [transaction.signature for transaction in undone]

    def _refusal(self, transaction: VersionedTransaction) -> TransactionErrorType | None:
        if transaction.signatures[0] in self.landed:
            return TransactionErrorFieldless.AlreadyProcessed
        if not self.is_blockhash_valid(transaction.message.recent_blockhash):
            return TransactionErrorFieldless.BlockhashNotFound
        return None

    def _land(self, transaction: VersionedTransaction) -> None:
        if self._refusal(transaction) is not None:
            return
        keys = tuple(account_keys(transaction.message, self.svm))
        before = tuple(self.svm.get_account(key) for key in keys)
        outcome = svm_execution.execute(self.svm, transaction)
        if outcome.is_refused:
            return
        after = tuple(self.svm.get_account(key) for key in keys)
        landed = Landed(transaction, self.height, outcome, keys, before, after)
        self.landed[landed.signature] = landed


def _funding(
    address: Pubkey, number: int, height: int, before: Account | None, after: Account
) -> Landed:
    faucet = _faucet()
    difference = abs(after.lamports - (before.lamports if before else 0))
    pay = transfer(
        TransferParams(from_pubkey=faucet.pubkey(), to_pubkey=address, lamports=difference)
    )
    unique = Hash(hashlib.sha256(b"funding %d" % number).digest())
    message = Message.new_with_blockhash([pay], faucet.pubkey(), unique)
    keys = tuple(message.account_keys)
    befores = tuple(before if key == address else None for key in keys)
    afters = tuple(after if key == address else None for key in keys)
    transaction = VersionedTransaction(message, [faucet])
    outcome = Outcome(None, FEE_LAMPORTS_PER_SIGNATURE)
    return Landed(transaction, height, outcome, keys, befores, afters)


@functools.cache
def _faucet() -> Keypair:
    return Keypair.from_seed(b"f" * 32)


@functools.cache
def _blockhash(height: int) -> Hash:
    return Hash(hashlib.sha256(b"block %d" % height).digest())
