"""Following a distribution to its end, and saying what it cost and whether the chain agrees."""

import time
from collections.abc import Callable

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client.cli import plans
from solward_client.cli.context import Context
from solward_client.cli.output import duration
from solward_client.cli.plain import plain
from solward_client.client import Solward

RECEIPTS_POLL_S = 1.0
RECEIPTS_POLLS_MAX = 60


def follow(
    context: Context,
    solward: Solward,
    *,
    until_paused: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Watch a distribution until it has ended or is parked, then wait for its receipts.

    Return 0 if all are paid and no receipt differs from the plan, else 1. Receipts are waited for
    a minute at most. With `until_paused` it is also left once it is paused and nothing is in
    flight: whoever executes it has to do something then, such as funding the source.
    """
    output, distribution_id = context.output, context.options.distribution
    begun = solward.distributions.get(distribution_id)
    with output.progress("Paying") as show:
        for report in solward.distributions.watch(distribution_id):
            facts = {**plain(report), "transfer_count": begun.transfer_count}
            output.event("progress", facts)
            show(settled_count(report), begun.transfer_count, describe(report, begun.asset))
            is_paused = report.state == pb.Distribution.STATE_PAUSED
            if until_paused and is_paused and not report.transfer_counts.in_flight_count:
                break
        final = _compared(solward, distribution_id, sleep)
    plans.show(output, final)
    for line in (*compare_costs(final), *describe_receipts(final), *advise(final)):
        output.note(line)
    differing = final.reconciliation.differing_count
    if differing:
        output.warning(
            f"{differing:,} transactions did not do what the plan says: see the receipts that "
            f"`solward distribute transfers {distribution_id} --csv` lists"
        )
    return 0 if final.state == pb.Distribution.STATE_COMPLETED and not differing else 1


def _compared(
    solward: Solward, distribution_id: str, sleep: Callable[[float], None]
) -> pb.Distribution:
    """Return the distribution once its receipts are compared, or as it is after a minute."""
    final = solward.distributions.get(distribution_id)
    for _ in range(RECEIPTS_POLLS_MAX):
        if not final.reconciliation.pending_count:
            break
        sleep(RECEIPTS_POLL_S)
        final = solward.distributions.get(distribution_id)
    return final


def settled_count(report: pb.WatchDistributionResponse) -> int:
    """Return how many transfers nothing more will happen to."""
    counts = report.transfer_counts
    return counts.finalized_count + counts.failed_count + counts.cancelled_count


def describe(report: pb.WatchDistributionResponse, asset: pb.Asset) -> str:
    """Return a report in one line: counts, what was moved, the rate, what is waited for."""
    counts = report.transfer_counts
    others = {
        "in flight": counts.in_flight_count,
        "failed": counts.failed_count,
        "unknown": counts.unknown_count,
        "cancelled": counts.cancelled_count,
    }
    parts = [f"{count:,} {name}" for name, count in others.items() if count]
    unit = "base units" if asset.mint else "lamports"
    parts.append(f"{report.finalized_amount:,} {unit} moved")
    if report.transfers_per_kilosecond:
        parts.append(f"{report.transfers_per_kilosecond / 1_000:.1f} transfers a second")
    if report.HasField("signing_wait_duration"):
        wait_s = report.signing_wait_duration.ToMilliseconds() / 1_000
        parts.append(f"the signer's limit holds it up for {duration(wait_s)}")
    left_s = report.remaining_duration.ToMilliseconds() / 1_000
    if left_s:
        parts.append(f"about {duration(left_s)} left")
    if report.last_error:
        parts.append(report.last_error)
    return "; ".join(parts)


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
    so_far = " so far" if final.reconciliation.pending_count else ""
    return [
        f"{name}: {real:,}{so_far}, estimated {planned:,}"
        for name, real, planned in pairs
        if real or planned
    ]


def describe_receipts(final: pb.Distribution) -> list[str]:
    """Return which transactions the chain's own record says nothing about yet, or for good."""
    receipts, lines = final.reconciliation, []
    if receipts.pending_count:
        lines.append(
            f"receipts pending: {receipts.pending_count:,} transactions are not compared with the "
            "chain's record yet; `solward distribute get` shows when they are"
        )
    if receipts.unavailable_count:
        lines.append(
            f"receipts unavailable: no node has the record of {receipts.unavailable_count:,} "
            "transactions"
        )
    return lines


def advise(final: pb.Distribution) -> list[str]:
    """Return what has to be done about a distribution that did not complete."""
    counts = final.transfer_counts
    advice = {
        pb.Distribution.STATE_PARKED: f"{counts.unknown_count:,} transfers are UNKNOWN: look them "
        "up, then `solward distribute resolve`",
        pb.Distribution.STATE_PAUSED: "it is paused: `solward distribute execute` goes on",
        pb.Distribution.STATE_PARTIALLY_FAILED: f"{counts.failed_count:,} transfers FAILED and "
        "are not paid: `solward distribute transfers` says why; a new plan can pay them",
    }
    return [advice[final.state]] if final.state in advice else []
