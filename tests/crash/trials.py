"""A trial: an order of any kind, what it must do to which account, and the judge of what it did.

The judge knows what each transfer does by itself, from the kind of order and the amounts that the
gateway listed, and compares whole ledgers: lamports, tokens and withheld fees of every account that
the order could touch, before and after, less the fees that are in the blocks.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.accounts import NotPaidError, PaidTwiceError
from tests.crash.desk import Desk
from tests.crash.ground import Ground, Held, Landing, held

_UNDONE = {pb.Transfer.STATE_PLANNED, pb.Transfer.STATE_FAILED, pb.Transfer.STATE_CANCELLED}


class LedgerError(AssertionError):
    """An account holds what nothing that was listed explains."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an account gains, or loses if negative."""

    address: str
    lamports: int = 0
    tokens: int = 0
    withheld: int = 0


@dataclass(frozen=True, slots=True)
class Effect:
    """What one transfer does. `target` is the account, touched by no other, that tells if it did.

    `is_emptied`: the target is then left with nothing, a token account closed.
    """

    target: str
    changes: tuple[Change, ...]
    is_emptied: bool = False


@dataclass(slots=True)
class Trial:
    """One order on one ground. `effects` go with the transfers, in the order of the plan.

    `first` is what the first transfer that happens does besides: making the receiving account.
    `spoil` makes one transfer impossible, by its position, as something else at work on the chain
    would; `doomed` are those that are.
    """

    desk: Desk
    ground: Ground
    plan: pb.Distribution
    payers: Sequence[str]
    effects: Sequence[Effect]
    spoil: Callable[[int], None]
    first: Sequence[Change] = ()
    doomed: set[int] = field(default_factory=set)
    _before: dict[str, Held] = field(default_factory=dict)
    _landed: set[str] = field(default_factory=set)
    _deposits: Counter[str] = field(default_factory=Counter)

    def doom(self, *positions: int) -> None:
        """Makes these transfers impossible. Once it is executed, only while nothing can land."""
        for position in positions:
            self.spoil(position)
            self.doomed.add(position)
        if self._before:
            self._before = self._read()

    def deposit(self, address: str, lamports: int) -> None:
        """Somebody pays in while it is executed."""
        self.ground.fund(address, lamports)
        self._deposits[address] += lamports

    def remember(self) -> None:
        """Reads the ledger, before anything happens."""
        if not self._before:
            self._before = self._read()
            self._landed = set(self.ground.landings(self.payers))

    def execute(self) -> None:
        """Remembers the ledger and executes; later calls resume."""
        self.remember()
        self.desk.execute(self.plan)

    def pause(self) -> None:
        """Pauses it."""
        request = pb.PauseDistributionRequest(distribution_id=self.plan.id)
        distributions = self.desk.client().distributions
        self.desk.patiently(lambda: distributions.PauseDistribution(request))

    def cancel(self) -> None:
        """Cancels it."""
        request = pb.CancelDistributionRequest(distribution_id=self.plan.id)
        distributions = self.desk.client().distributions
        self.desk.patiently(lambda: distributions.CancelDistribution(request))

    def resolve(self, verdict: "pb.Resolution.Verdict.ValueType", signature: str) -> None:
        """Declares what became of one UNKNOWN transaction."""
        request = pb.ResolveUnknownRequest(
            distribution_id=self.plan.id,
            etag=self.plan.etag,
            transaction_signature=signature,
            transaction_signature_again=signature,
            verdict=verdict,
            reason="two explorers were asked",
            operator="olga",
        )
        distributions = self.desk.client().distributions
        self.desk.patiently(lambda: distributions.ResolveUnknown(request))

    def unknown(self) -> list[str]:
        """Returns the signatures of its UNKNOWN transactions, from the database itself."""
        query = (
            "SELECT signature FROM attempts WHERE distribution_id = $1::text::uuid "
            "AND state = 'unknown' ORDER BY batch_position"
        )
        return [row["signature"] for row in self.desk.fetch(query, self.plan.id)]

    def failed(self) -> set[int]:
        """The positions of the transfers that the gateway lists as failed, each with a reason."""
        failed = [
            one for one in self.desk.transfers(self.plan) if one.state == pb.Transfer.STATE_FAILED
        ]
        assert all(one.error for one in failed)
        return {one.position for one in failed}

    def settle(self) -> pb.Distribution:
        """Judges all of it and returns the distribution.

        Raises PaidTwiceError, NotPaidError, or LedgerError.
        """
        found, transfers = self.desk.get(self.plan), self.desk.transfers(self.plan)
        landings = [
            landing
            for signature, landing in self.ground.landings(self.payers).items()
            if signature not in self._landed
        ]
        fees: Counter[str] = Counter()
        for landing in landings:
            fees[landing.payer] += landing.fee_lamports
        after = self._read()
        happened = [
            self._judge(transfer, effect, after, fees[effect.target])
            for transfer, effect in zip(transfers, self.effects, strict=True)
        ]
        self._compare(happened, after, fees)
        self._touched_once(happened, landings)
        if not found.transfer_counts.unknown_count:
            moved = [one.amount for one, done in zip(transfers, happened, strict=True) if done]
            assert sum(moved) == found.finalized_amount
            if not found.transfer_counts.in_flight_count:
                assert fees.total() == found.fees_paid_lamports
        assert found.reconciliation.differing_count == 0
        counts, compared = found.transfer_counts, found.reconciliation
        if not (
            counts.unknown_count
            or counts.in_flight_count
            or compared.pending_count
            or compared.unavailable_count
        ):
            self._compare_paid(found, happened, landings)
        if found.state == pb.Distribution.STATE_COMPLETED:
            assert all(happened)
        return found

    def _judge(
        self, transfer: pb.Transfer, effect: Effect, after: dict[str, Held], fees: int
    ) -> bool:
        """Says whether a transfer happened, by the chain; it may not contradict the gateway."""
        target = effect.target
        planned = Held(*_sum(change for change in effect.changes if change.address == target))
        start, end = self._before[target], after[target]
        moved = Held(
            end.lamports - start.lamports - self._deposits[target] + fees,
            end.tokens - start.tokens,
            end.withheld - start.withheld,
        )
        if moved not in (Held(), planned):
            error = PaidTwiceError if _is_beyond(moved, planned) else NotPaidError
            raise error(f"{target} changed by {moved}, planned {planned}: {transfer}")
        done = moved == planned
        if done and transfer.state in _UNDONE:
            raise PaidTwiceError(f"it counts as not done and could be done again: {transfer}")
        if not done and transfer.state == pb.Transfer.STATE_FINALIZED:
            raise NotPaidError(f"nothing happened for {transfer}")
        if done and effect.is_emptied and end != Held(lamports=self._deposits[target]):
            raise LedgerError(f"{target} was to be emptied and holds {end}")
        return done

    def _compare(
        self, happened: Sequence[bool], after: dict[str, Held], fees: Counter[str]
    ) -> None:
        by_address: dict[str, list[Change]] = {}
        for change in self._done_changes(happened):
            by_address.setdefault(change.address, []).append(change)
        for address, start in self._before.items():
            lamports, tokens, withheld = _sum(by_address.get(address, ()))
            expected = Held(
                start.lamports + lamports + self._deposits[address] - fees[address],
                start.tokens + tokens,
                start.withheld + withheld,
            )
            if expected != after[address]:
                raise LedgerError(f"{address} holds {after[address]} and not {expected}")

    def _compare_paid(
        self, found: pb.Distribution, happened: Sequence[bool], landings: Sequence[Landing]
    ) -> None:
        """Compares what the gateway says that it cost with what it did cost."""
        own = [
            change.lamports
            for change in self._done_changes(happened)
            if change.address in self.payers
        ]
        moves_rent = found.asset.mint or found.kind == pb.Distribution.KIND_CLOSING
        rent = -sum(lamports for lamports in own if lamports < 0) if moves_rent else 0
        refund = sum(lamports for lamports in own if lamports > 0) if moves_rent else 0
        paid = pb.PaidCost(
            fee_lamports=sum(landing.fee_lamports for landing in landings),
            rent_lamports=rent,
            refund_lamports=refund,
            transaction_count=len(landings),
        )
        assert paid == found.paid

    def _done_changes(self, happened: Sequence[bool]) -> list[Change]:
        changes = [
            change
            for effect, done in zip(self.effects, happened, strict=True)
            for change in effect.changes
            if done
        ]
        return [*changes, *(self.first if any(happened) else ())]

    def _touched_once(self, happened: Sequence[bool], landings: Sequence[Landing]) -> None:
        touched = Counter(
            address for landing in landings if not landing.is_failed for address in landing.named
        )
        for effect, done in zip(self.effects, happened, strict=True):
            if effect.target not in self.payers and touched[effect.target] != done:
                raise PaidTwiceError(f"{touched[effect.target]} transactions for {effect.target}")

    def _read(self) -> dict[str, Held]:
        addresses = dict.fromkeys(
            [
                *self.payers,
                *(change.address for effect in self.effects for change in effect.changes),
                *(change.address for change in self.first),
            ]
        )
        accounts = self.ground.accounts(list(addresses))
        return {
            address: held(account) for address, account in zip(addresses, accounts, strict=True)
        }


def _sum(changes: Iterable[Change]) -> tuple[int, int, int]:
    found = list(changes)
    return (
        sum(change.lamports for change in found),
        sum(change.tokens for change in found),
        sum(change.withheld for change in found),
    )


def _is_beyond(moved: Held, planned: Held) -> bool:
    """True if more than planned went the planned way."""
    pairs = [(moved.lamports, planned.lamports), (moved.tokens, planned.tokens)]
    return any(wanted and done / wanted > 1 for done, wanted in pairs)
