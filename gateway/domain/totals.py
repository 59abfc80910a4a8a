"""Sums over what wallets hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.domain.chain import BalanceReading
from gateway.domain.errors import PreconditionFailedError
from gateway.domain.tokens import Mint, TokenHolding, WalletTokens

MINTS_MAX: Final = 10_000
_ERRORS_SHOWN_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class UnreadBalance:
    """What could not be read: a balance, a wallet's list of accounts, or one account."""

    address: str
    token_account: str
    error_reason: str


@dataclass(slots=True)
class TokenSum:
    """The sum of one mint's accounts, in base units; above u64 if tokens moved meanwhile.

    `mint` is None if it could not be read, for `error_reason`.
    """

    address: str
    program: str
    mint: Mint | None = None
    error_reason: str = ""
    amount: int = 0
    frozen_amount: int = 0
    account_count: int = 0


class Totals:
    """Adds up. What could not be read is counted, and the first hundred of it listed."""

    def __init__(self, wallet_count: int) -> None:
        self.wallet_count = wallet_count
        self.lamports = 0
        self.token_account_lamports = 0
        self.error_count = 0
        self.errors: list[UnreadBalance] = []
        self.context_slots: tuple[int, int] = (0, 0)
        self._tokens: dict[tuple[str, str], TokenSum] = {}

    @property
    def tokens(self) -> list[TokenSum]:
        """The sums, in order of the mints' addresses."""
        return [self._tokens[key] for key in sorted(self._tokens)]

    def add_balances(self, readings: Sequence[BalanceReading]) -> None:
        """Adds wallets' own lamports."""
        for reading in readings:
            if reading.error_reason:
                self._fail(reading.address, "", reading.error_reason)
            else:
                self.lamports += reading.balance_lamports
                self._seen_at(reading.context_slot)

    def add_tokens(self, wallet: WalletTokens) -> None:
        """Adds a wallet's token accounts; raises PreconditionFailedError beyond 10,000 mints."""
        if wallet.error_reason:
            self._fail(wallet.address, "", wallet.error_reason)
            return
        self._seen_at(wallet.context_slot)
        for holding in wallet.holdings:
            self._add(wallet.address, holding)

    def _add(self, address: str, holding: TokenHolding) -> None:
        account = holding.account
        if account is None:
            self._fail(address, holding.address, holding.error_reason)
            return
        self.token_account_lamports += holding.lamports
        key = (account.mint, holding.program)
        total = self._tokens.get(key)
        if total is None:
            if len(self._tokens) >= MINTS_MAX:
                raise PreconditionFailedError(
                    f"the wallets hold more than {MINTS_MAX} mints: name those that matter",
                    field="filter.mints",
                )
            total = self._tokens[key] = TokenSum(account.mint, holding.program)
        if total.mint is None:  # what could not be read for one wallet may have been for the next
            total.mint, total.error_reason = holding.mint, holding.error_reason
        total.amount += account.amount
        total.frozen_amount += account.amount if account.frozen else 0
        total.account_count += 1

    def _seen_at(self, slot: int) -> None:
        low, high = self.context_slots
        self.context_slots = (min(low or slot, slot), max(high, slot))

    def _fail(self, address: str, token_account: str, error_reason: str) -> None:
        self.error_count += 1
        if len(self.errors) < _ERRORS_SHOWN_MAX:
            self.errors.append(UnreadBalance(address, token_account, error_reason))
