"""What the signer's policy answers, as values."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CapState:
    """What is left of one limit, in signatures, lamports or base units.

    What has the same `counted_by` (a wallet's lamports, a group's tokens of a mint) adds up.
    """

    rule: str
    needed: int
    available: int
    counted_by: str = ""


@dataclass(frozen=True, slots=True)
class PolicyVerdict:
    """The policy's verdict for one wallet."""

    address: str
    allowed: bool
    group: str
    rule: str
    detail: str
    outflow_lamports_max: int
    signatures_available: int
    caps: Sequence[CapState] = ()


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """What the policy would answer: verdicts in the order of the item's wallets."""

    allowed: bool
    verdicts: Sequence[PolicyVerdict]
    effects: Sequence[str]


@dataclass(frozen=True, slots=True)
class PolicyForecast:
    """What the policy would answer to many items: all verdicts, in order, without caps.

    `totals` is what the items need of each limit together.
    """

    verdicts: Sequence[PolicyVerdict] = ()
    totals: Sequence[CapState] = ()

    def followed_by(self, other: "PolicyForecast") -> "PolicyForecast":
        """Returns the forecast for these items and then those of `other`.

        What is left of a limit is the less of the two readings: others may have signed between.
        """
        totals = {cap.counted_by: cap for cap in self.totals}
        for cap in other.totals:
            present = totals.get(cap.counted_by, CapState(cap.rule, 0, cap.available))
            totals[cap.counted_by] = CapState(
                cap.rule,
                present.needed + cap.needed,
                min(present.available, cap.available),
                cap.counted_by,
            )
        return PolicyForecast([*self.verdicts, *other.verdicts], list(totals.values()))


@dataclass(frozen=True, slots=True)
class PolicyGroups:
    """The groups of wallets, in the order of their proofs: "" for none, or a tag not accepted.

    `names` are all groups of the policy, and `digest` says which policy it was.
    """

    groups: Sequence[str]
    names: Sequence[str]
    digest: str
