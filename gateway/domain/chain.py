"""What is read from and sent to the cluster, as values, and the port through which it happens.

Everything here came from an RPC node, which may be wrong or lie: shapes and ranges are checked by
the adapter, truth is not. Where money depends on an answer, say so and read at `finalized`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.domain.history import SignatureRecord, TransactionDetails

Commitment = Literal["processed", "confirmed", "finalized"]


@dataclass(frozen=True, slots=True)
class BalanceReading:
    """Lamports of an address at a slot, 0 without an account; `error_reason` is set if unread."""

    address: str
    balance_lamports: int
    context_slot: int
    error_reason: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """An account: owner program, lamports and as much of the data as was asked for."""

    lamports: int
    owner: str
    executable: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class AccountsReading:
    """Accounts in the order asked for, None where there is none, all at one slot."""

    context_slot: int
    accounts: Sequence[Account | None]


@dataclass(frozen=True, slots=True)
class TokenAccountsReading:
    """Accounts of a token program by address, undecoded, at one slot."""

    context_slot: int
    accounts: Mapping[str, Account]


@dataclass(frozen=True, slots=True)
class Blockhash:
    """A recent blockhash (base58) and the last block height at which it is accepted.

    Nothing that is signed with it is in a slot before `context_slot`.
    """

    blockhash: str
    last_valid_block_height: int
    context_slot: int


@dataclass(frozen=True, slots=True)
class BlockhashReading:
    """Whether a blockhash is valid at a slot. One that a node does not know yet is not."""

    context_slot: int
    is_valid: bool


@dataclass(frozen=True, slots=True)
class Tip:
    """The newest slot, and how many blocks there were by then."""

    slot: int
    block_height: int


@dataclass(frozen=True, slots=True)
class SignatureStatus:
    """A transaction's slot, how settled that is, and its error ("" if it succeeded)."""

    slot: int
    confirmation: Commitment
    error: str


@dataclass(frozen=True, slots=True)
class SignatureReading:
    """Statuses in the order asked for, None where the node knows nothing of the signature."""

    context_slot: int
    statuses: Sequence[SignatureStatus | None]


@dataclass(frozen=True, slots=True)
class LapsedTransaction:
    """A transaction that nobody saw land in time; it can only be in a slot after its blockhash's.

    `blockhash_slot` is the context slot that its blockhash was read at; `fee_payer` is the address
    that pays even for a transaction that fails.
    """

    signature: str
    fee_payer: str
    blockhash: str
    last_valid_block_height: int
    blockhash_slot: int


@dataclass(frozen=True, slots=True)
class LapseReading:
    """What became of a transaction, all providers taken together.

    A finalized status is one that as many as are wanted agree on. `is_absent` says that as many as
    are wanted have each proved that it never landed and never will; only then may its payment be
    signed again. `is_busy` says that nothing is missing to that but an account of the payer's
    balance, which would take more transactions than are read. `doubt` is why that it is absent, or
    that it is final, is not proved; `silent_count` how many of the providers did not answer.
    """

    status: SignatureStatus | None
    is_absent: bool
    doubt: str = ""
    silent_count: int = 0
    is_busy: bool = False


@dataclass(frozen=True, slots=True)
class PrioritizationFee:
    """The price that got transactions into a slot, in micro-lamports per compute unit."""

    slot: int
    micro_lamports: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a transaction would do: its error ("" if none), compute units and logs.

    `loaded_data_bytes` is how much account data it loads, 0 from a node that does not say.
    """

    error: str
    units_consumed: int
    logs: Sequence[str]
    loaded_data_bytes: int = 0


@dataclass(frozen=True, slots=True)
class LandedTransaction:
    """A transaction in a block: lamports of its accounts before and after, its fee and error."""

    slot: int
    error: str
    fee_lamports: int
    pre_balances: Sequence[int]
    post_balances: Sequence[int]


class Chain(Protocol):
    """A Solana cluster. Every method raises ChainUnavailableError; reads retry by themselves."""

    async def get_balances(
        self, addresses: Sequence[str], commitment: Commitment = "confirmed"
    ) -> list[BalanceReading]:
        """Reads many balances, in order. Does not raise: each has a value or an error."""
        ...

    async def get_balance(
        self, address: str, commitment: Commitment = "confirmed"
    ) -> BalanceReading:
        """Reads one balance."""
        ...

    async def get_accounts(
        self,
        addresses: Sequence[str],
        commitment: Commitment = "confirmed",
        data_slice: tuple[int, int] | None = None,
        min_context_slot: int = 0,
    ) -> AccountsReading:
        """Reads up to 100 accounts; `data_slice` is (offset, length)."""
        ...

    async def get_token_accounts(
        self,
        owner: str,
        token_program: str,
        commitment: Commitment = "confirmed",
        min_context_slot: int = 0,
    ) -> TokenAccountsReading:
        """Reads all of an owner's accounts of one token program, undecoded."""
        ...

    async def get_token_accounts_of_mint(
        self,
        owner: str,
        mint: str,
        commitment: Commitment = "confirmed",
        min_context_slot: int = 0,
    ) -> TokenAccountsReading:
        """Reads all of an owner's accounts of one mint, undecoded."""
        ...

    async def get_signatures(
        self, address: str, limit: int, *, before: str = "", until: str = ""
    ) -> list[SignatureRecord]:
        """Reads up to 1,000 of an address's finalized transactions, newest first."""
        ...

    async def get_transaction_details(self, signature: str) -> TransactionDetails | None:
        """Reads a finalized transaction whole; None if the node has none."""
        ...

    async def get_genesis_hash(self) -> str:
        """Returns the hash, base58, that tells this cluster from every other; read once."""
        ...

    async def get_rent_exempt_lamports(self, data_bytes: int) -> int:
        """Returns the least an account with so much data must hold."""
        ...

    async def get_latest_blockhash(self, commitment: Commitment = "confirmed") -> Blockhash:
        """Returns a blockhash, for what is not signed."""
        ...

    async def get_signing_blockhash(self) -> Blockhash:
        """Returns a blockhash to sign with, and its bounds, by more than one provider's word."""
        ...

    async def get_block_height(self, commitment: Commitment = "finalized") -> int:
        """Returns the block height."""
        ...

    async def get_slot(self, commitment: Commitment = "confirmed") -> int:
        """Returns the slot."""
        ...

    async def get_signature_statuses(
        self, signatures: Sequence[str], *, search_history: bool
    ) -> SignatureReading:
        """Returns the statuses of up to 256 transactions."""
        ...

    async def get_lapsed_statuses(self, items: Sequence[LapsedTransaction]) -> list[LapseReading]:
        """Returns what every provider together knows of up to 128 transactions."""
        ...

    async def confirm_final(
        self, found: Mapping[str, SignatureStatus]
    ) -> Mapping[str, LapseReading]:
        """Returns what is to be believed of up to 256 statuses that one provider calls final."""
        ...

    async def send_transaction(self, wire: bytes, *, skip_preflight: bool) -> str:
        """Sends signed bytes once; returns the signature, checked against the bytes.

        Raises TransactionRejectedError if the node refused it. Whatever it raises, the transaction
        may land.
        """
        ...

    async def get_fee_for_message(self, message: bytes) -> int | None:
        """Returns what a message costs in lamports, None if its blockhash is too old."""
        ...

    async def get_recent_prioritization_fees(
        self, addresses: Sequence[str]
    ) -> list[PrioritizationFee]:
        """Returns the lowest prices that landed lately while writing to these accounts."""
        ...

    async def simulate_transaction(self, wire: bytes, min_context_slot: int = 0) -> Simulation:
        """Runs a transaction without signature check, with a fresh blockhash, and forgets it.

        Raises TransactionRejectedError if the node does not simulate, or not such a transaction.
        """
        ...

    async def get_health(self) -> None:
        """Returns if the node says that it is healthy."""
        ...

    def describe(self) -> Mapping[str, str]:
        """Returns what an operator may see of the endpoints; never a URL's path, often a key."""
        ...
