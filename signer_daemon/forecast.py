"""CheckPolicy: what would be answered, for one transaction or for many together.

Opens no key, reserves and records nothing. What is left of a limit is as it is now: others may sign
meanwhile, so a signature is judged again when it is asked for.
"""

from collections.abc import Iterable, Sequence

from signer_daemon import checks
from signer_daemon.admission import Admission
from signer_daemon.errors import invalid
from signer_daemon.pipeline import ITEMS_MAX
from signer_daemon.policy import Verdict
from signer_daemon.policy.model import Charge
from solward.signer.v1 import signer_service_pb2 as pb

_U64_MAX = 2**64 - 1


class Forecast:
    """Answers from the same admission that the pipeline goes through. Safe between threads."""

    def __init__(self, admission: Admission) -> None:
        """Take what judges."""
        self._admission = admission

    def check(self, request: pb.CheckPolicyRequest) -> pb.CheckPolicyResponse:
        """Answer for `item`, or for `items` together. Raises Refusal naming the field."""
        if not request.items:
            return self._one(request.item)
        if request.HasField("item"):
            raise invalid("items", "give item or items, not both")
        checks.in_range("items", len(request.items), 1, ITEMS_MAX)
        return self._many(request.items)

    def _one(self, item: pb.TransactionItem) -> pb.CheckPolicyResponse:
        intent, verdicts = self._admission.verdicts(self._admission.policy, "item", item)
        return pb.CheckPolicyResponse(
            allowed=self._passes(verdicts) and all(map(self._fits, _charges(verdicts))),
            verdicts=[self._shown(verdict, with_caps=True) for verdict in verdicts],
            effects=[str(effect) for effect in intent.effects],
        )

    def _many(self, items: Sequence[pb.TransactionItem]) -> pb.CheckPolicyResponse:
        policy = self._admission.policy  # one for all, though it may be replaced meanwhile
        results: list[pb.ItemVerdict] = []
        totals: dict[str, Charge] = {}
        passes = True
        for at, item in enumerate(items):
            _, verdicts = self._admission.verdicts(policy, f"items[{at}]", item)
            allowed = all(verdict.allowed for verdict in verdicts)
            passes = passes and self._passes(verdicts)
            results.append(
                pb.ItemVerdict(
                    reference=item.reference,
                    allowed=allowed,
                    verdicts=[self._shown(verdict, with_caps=False) for verdict in verdicts],
                )
            )
            for charge in _charges(verdicts) if allowed else ():
                _add(totals, charge)
        return pb.CheckPolicyResponse(
            allowed=passes and all(map(self._fits, totals.values())),
            results=results,
            totals=[self._cap(charge) for charge in totals.values()],
        )

    def _passes(self, verdicts: Iterable[Verdict]) -> bool:
        freezes = self._admission.freezes
        return all(
            verdict.allowed and freezes.standing_in_way(verdict.address, verdict.group) is None
            for verdict in verdicts
        )

    def _fits(self, charge: Charge) -> bool:
        return self._admission.meters.available(charge) >= charge.amount

    def _cap(self, charge: Charge) -> pb.CapState:
        return pb.CapState(
            rule=charge.rule,
            needed=min(charge.amount, _U64_MAX),
            available=self._admission.meters.available(charge),
            counted_by=charge.meter,
        )

    def _shown(self, verdict: Verdict, *, with_caps: bool) -> pb.PolicyVerdict:
        signatures = verdict.charges[:1]  # the judge puts it first; a refusal has none
        available = self._admission.meters.available
        return pb.PolicyVerdict(
            address=verdict.address,
            allowed=verdict.allowed,
            group=verdict.group,
            rule=verdict.rule,
            detail=verdict.detail,
            outflow_lamports_max=min(verdict.lamports_out_max or 0, _U64_MAX),
            signatures_available=sum(map(available, signatures)),
            caps=[self._cap(charge) for charge in verdict.charges] if with_caps else (),
        )


def _charges(verdicts: Iterable[Verdict]) -> list[Charge]:
    """Return all charges, those of one window added up: as a reservation would count them."""
    totals: dict[str, Charge] = {}
    for verdict in verdicts:
        for charge in verdict.charges:
            _add(totals, charge)
    return list(totals.values())


def _add(totals: dict[str, Charge], charge: Charge) -> None:
    present = totals.get(charge.meter)
    amount = charge.amount + (present.amount if present else 0)
    totals[charge.meter] = Charge(charge.meter, amount, charge.limit, charge.rule)
