"""Following a distribution to its end, and saying what it cost."""

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client.cli import plans
from solward_client.cli.context import Context
from solward_client.client import Solward


def follow(context: Context, solward: Solward, *, until_paused: bool = False) -> int:
    """Watch a distribution until it has ended or is parked; return 0 if all are paid, else 1.

    With `until_paused` it is also left once it is paused and nothing is in flight: whoever executes
    it has to do something then, such as funding the source.
    """
    distribution_id = context.options.distribution
    total = solward.distributions.get(distribution_id).transfer_count
    with context.output.progress("Paying") as progress:
        for report in solward.distributions.watch(distribution_id):
            left_s = report.remaining_duration.ToMilliseconds() / 1000
            progress(report.transfer_counts.finalized_count, total, report.last_error, left_s)
            is_paused = report.state == pb.Distribution.STATE_PAUSED
            if until_paused and is_paused and not report.transfer_counts.in_flight_count:
                break
    final = solward.distributions.get(distribution_id)
    plans.show(context.output, final)
    for line in (*compare_costs(final), *advise(final)):
        context.output.note(line)
    return 0 if final.state == pb.Distribution.STATE_COMPLETED else 1


def compare_costs(final: pb.Distribution) -> list[str]:
    """Return what a distribution cost next to its estimate, in lines for a person."""
    estimate, paid = final.estimate, final.paid
    fees = estimate.base_fee_lamports + estimate.priority_fee_lamports
    pairs = [
        ("transactions", paid.transaction_count, estimate.transaction_count),
        ("fees in lamports", paid.fee_lamports, fees),
        ("rent in lamports", paid.rent_lamports, estimate.rent_lamports),
        ("refunds in lamports", paid.refund_lamports, estimate.refund_lamports),
    ]
    return [
        f"{name}: {real:,}, estimated {planned:,}"
        for name, real, planned in pairs
        if real or planned
    ]


def advise(final: pb.Distribution) -> list[str]:
    """Return what has to be done about a distribution that did not complete."""
    unknown = final.transfer_counts.unknown_count
    if final.state == pb.Distribution.STATE_PARKED:
        return [
            f"{unknown:,} transfers are UNKNOWN: look them up, then `solward distribute resolve`"
        ]
    if final.state == pb.Distribution.STATE_PAUSED:
        return ["it is paused: `solward distribute execute` goes on"]
    return []
