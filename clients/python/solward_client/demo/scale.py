"""How large the demonstration is, and what follows from that."""

from dataclasses import dataclass

WALLETS = 10_000
RECIPIENTS = 1_000
# What fits one legacy or v0 transaction beside its compute budget (1,232 bytes).
TRANSFERS_PER_TRANSACTION = 20
LAMPORTS_PER_RECIPIENT = 2_000_000
# One wallet pays, one runs into its rate limit, one signs samples.
OTHER_WALLETS = 3


@dataclass(frozen=True, slots=True)
class Scale:
    """How many wallets are derived and how many of them are paid. Raises ValueError."""

    wallets: int
    recipients: int

    def __post_init__(self) -> None:
        """Refuse what the demonstration could not show."""
        if not 1 <= self.recipients <= self.wallets - OTHER_WALLETS:
            raise ValueError(f"recipients: from 1 to {OTHER_WALLETS} fewer than the wallets")
        if self.wallets > WALLETS:
            raise ValueError(f"wallets: at most {WALLETS}, what one request derives")
        # The source signs them all, and policy gives it 100 signatures a minute.
        if self.transactions > 100:
            raise ValueError(f"recipients: at most {100 * TRANSFERS_PER_TRANSACTION}")

    @property
    def transactions(self) -> int:
        """How many transactions pay all recipients."""
        return -(-self.recipients // TRANSFERS_PER_TRANSACTION)

    @property
    def total_lamports(self) -> int:
        """What is paid out in all."""
        return self.recipients * LAMPORTS_PER_RECIPIENT
