"""What signing a transaction permits: its effects, and the lamports that can leave each wallet."""

import enum
from dataclasses import dataclass

from signer_daemon.intent import programs


class Kind(enum.Enum):
    """What an effect moves."""

    LAMPORTS = "lamports"
    TOKENS = "tokens"
    SWEEP = "sweep"  # an account's whole balance of lamports, unknown here
    AUTHORITY = "authority"
    HARMLESS = "harmless"
    UNDECODED = "undecoded"


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect of one instruction.

    `authorities` are the signers whose consent it uses; `destination` receives the value or the
    authority (None where there is none); `amount` is lamports or token base units, None where only
    the chain knows; `mint` and `token_program` are set where the instruction proves them.
    """

    kind: Kind
    role: str
    instruction: int
    authorities: tuple[str, ...] = ()
    destination: str | None = None
    amount: int | None = None
    mint: str | None = None
    token_program: str | None = None

    def __str__(self) -> str:
        parts = [f"{self.instruction}: {self.role}", self.kind.value]
        if self.kind in {Kind.LAMPORTS, Kind.TOKENS}:
            parts.append("unknown amount" if self.amount is None else str(self.amount))
        parts += [f"mint {self.mint}"] if self.mint else []
        parts += [f"by {', '.join(self.authorities)}"] if self.authorities else []
        parts += [f"to {self.destination}"] if self.destination else []
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Intent:
    """All that a transaction would do, as far as its bytes tell."""

    signers: tuple[str, ...]
    fee_payer: str
    effects: tuple[Effect, ...]
    programs: tuple[str, ...]  # base58, one for each instruction
    base_fee_lamports: int
    priority_fee_lamports: int
    unresolved_tables: tuple[str, ...]

    def of(self, address: str) -> tuple[Effect, ...]:
        """Gives the effects that use the consent of `address`."""
        return tuple(effect for effect in self.effects if address in effect.authorities)

    def fee_lamports(self, address: str) -> int:
        """Gives base and priority fee if `address` pays them, else 0."""
        pays = address == self.fee_payer
        return self.base_fee_lamports + self.priority_fee_lamports if pays else 0

    def lamports_out_max(self, address: str) -> int | None:
        """Gives the most lamports that can leave `address` through decoded instructions: transfers,
        rent it funds and fees it pays. Wrapped SOL counts. None if an amount is unknown; sweeps of
        its token accounts are judged by where they go, for their lamports were never its own.
        """
        total = self.fee_lamports(address)
        for effect in self.of(address):
            wrapped = effect.kind is Kind.TOKENS and effect.mint == programs.NATIVE_MINT
            if effect.kind is Kind.LAMPORTS or wrapped:
                if effect.amount is None:
                    return None
                total += effect.amount
        return total
