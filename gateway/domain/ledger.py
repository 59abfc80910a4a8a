"""What a plan's instructions do to lamports and tokens, on paper. Pure."""

import struct
from dataclasses import dataclass
from typing import Final

from gateway.domain.instructions import SYSTEM_PROGRAM, Instruction
from gateway.domain.plans import Move
from gateway.domain.steps import steps_of
from gateway.domain.token_programs import (
    ASSOCIATED_TOKEN,
    CLOSE_ACCOUNT,
    HARVEST_WITHHELD,
    MEMO,
    NATIVE_MINTS,
    TOKEN_PROGRAMS,
    TRANSFER_CHECKED,
    TRANSFER_CHECKED_WITH_FEE,
    WITHDRAW_EXCESS_LAMPORTS,
)

_TRANSFER_LAMPORTS: Final = (2).to_bytes(4, "little")


class DiffersError(Exception):
    """The record cannot come from what was planned; the message says what differs."""


@dataclass(slots=True)
class Balances:
    """Lamports of all accounts and (mint, amount) of token accounts, instruction by instruction.

    `after_lamports` is what the record says of the end: what an account that is made costs is read
    there, and compared with `rent_lamports`, what it must hold by the plan (0: none is made).
    """

    lamports: dict[str, int]
    tokens: dict[str, tuple[str, int]]
    after_lamports: dict[str, int]
    rent_lamports: int
    rent_paid_lamports: int = 0
    refunded_lamports: int = 0

    def charge(self, payer: str, fee_lamports: int) -> None:
        """Takes the transaction's fee."""
        self.lamports[payer] -= fee_lamports

    def carry_out(self, move: Move, *, is_closing: bool) -> None:
        """Applies a transfer's instructions; what a closing gives back must be what was planned."""
        before = self.refunded_lamports
        for step in steps_of(move):
            self.apply(step, withdrawn=move.amount)
        refund = self.refunded_lamports - before
        if is_closing and refund != move.amount:
            account = move.steps[-1].accounts[0].address
            raise DiffersError(f"{account} gave back {refund} lamports, planned {move.amount}")

    def apply(self, step: Instruction, withdrawn: int = 0) -> None:
        """Applies one instruction; `withdrawn` is how much a withdrawal of excess rent takes."""
        uses = [use.address for use in step.accounts]
        if step.program == SYSTEM_PROGRAM and step.data[:4] == _TRANSFER_LAMPORTS:
            self._pay(uses[0], uses[1], struct.unpack("<Q", step.data[4:])[0])
        elif step.program == ASSOCIATED_TOKEN:
            self._open(payer=uses[0], account=uses[1], mint=uses[3])
        elif step.program in TOKEN_PROGRAMS and step.data[0] == TRANSFER_CHECKED:
            self._transfer(uses, struct.unpack_from("<Q", step.data, 1)[0], 0)
        elif step.program in TOKEN_PROGRAMS and step.data[:2] == TRANSFER_CHECKED_WITH_FEE:
            amount, _, fee = struct.unpack("<QBQ", step.data[2:])
            self._transfer(uses, amount, fee)
        elif step.program in TOKEN_PROGRAMS and step.data == bytes([CLOSE_ACCOUNT]):
            self._refund(uses[0], uses[1], self.lamports[uses[0]])
            self.tokens.pop(uses[0], None)
        elif step.program in TOKEN_PROGRAMS and step.data == bytes([WITHDRAW_EXCESS_LAMPORTS]):
            self._refund(uses[0], uses[1], withdrawn)
        elif step.program != MEMO and step.data != HARVEST_WITHHELD:
            raise DiffersError(f"an instruction of {step.program} is not understood")

    def _pay(self, source: str, destination: str, amount: int) -> None:
        self.lamports[source] -= amount
        self.lamports[destination] += amount

    def _refund(self, account: str, destination: str, amount: int) -> None:
        self._pay(account, destination, amount)
        self.refunded_lamports += amount

    def _open(self, payer: str, account: str, mint: str) -> None:
        """Makes a token account where there is none; somebody may have sent it lamports ahead."""
        if account in self.tokens:
            return
        held = self.lamports[account]
        is_native = mint in NATIVE_MINTS
        # An account of wrapped SOL ends with what it was sent on top of its rent, ahead or now.
        ends_with = self.rent_lamports if is_native else self.after_lamports[account]
        rent = max(ends_with, held)
        if self.rent_lamports and rent != max(self.rent_lamports, held):
            raise DiffersError(
                f"{account} was made with {rent} lamports, planned {self.rent_lamports}"
            )
        self._pay(payer, account, rent - held)
        self.rent_paid_lamports += rent - held
        self.tokens[account] = (mint, rent - self.rent_lamports if is_native else 0)

    def _transfer(self, uses: list[str], amount: int, fee: int) -> None:
        """Moves tokens; the fee is withheld in the receiving account, outside of its amount."""
        source, mint, destination = uses[:3]
        for account in (source, destination):
            if self.tokens.get(account, ("", 0))[0] != mint:
                raise DiffersError(f"the record has no token account {account} of {mint}")
        self.tokens[source] = (mint, self.tokens[source][1] - amount)
        self.tokens[destination] = (mint, self.tokens[destination][1] + amount - fee)
        if mint in NATIVE_MINTS:
            self._pay(source, destination, amount)
