"""The kill switch: what the operator has frozen. It stands in the audit log, so it outlives us."""

from collections.abc import Mapping

ALL = "all"
PREFIX = "freeze/"


class Freezes:
    """Frozen wallets, groups, or everything. Read at every signature, changed from admin.sock."""

    def __init__(self, standing: Mapping[str, str]) -> None:
        """Begin with what the audit log says stands."""
        self._frozen = frozenset(
            key.removeprefix(PREFIX) for key in standing if key.startswith(PREFIX)
        )

    @property
    def frozen(self) -> list[str]:
        """What is frozen: "all", "group/NAME", "wallet/ADDRESS"."""
        return sorted(self._frozen)

    def standing_in_way(self, address: str, group: str) -> str | None:
        """Return which freeze stops a wallet of a group, None if none does."""
        for target in (ALL, f"group/{group}", f"wallet/{address}"):
            if target in self._frozen:
                return target
        return None

    def change(self, target: str, *, frozen: bool) -> None:
        """Put a freeze in force or lift it. A new set each time: readers need no lock."""
        self._frozen = self._frozen | {target} if frozen else self._frozen - {target}
