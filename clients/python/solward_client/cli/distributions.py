"""`solward distribute`."""

import csv
import sys
from collections.abc import Iterable
from itertools import islice
from typing import TextIO

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client.cli import gathering, orders, plans, resolutions
from solward_client.cli.commands import Group
from solward_client.cli.context import Context
from solward_client.cli.following import follow
from solward_client.cli.plain import Plain, cell, plain
from solward_client.cli.signing import add_session_option

TRANSFER_COLUMNS = (
    "position",
    "source_address",
    "recipient_address",
    "amount",
    "withheld_amount",
    "mint",
    "decimals",
    "state",
    "transaction_signature",
    "slot",
    "transaction_fee_lamports",
    "receipt",
    "error",
)
LIST_COLUMNS = (
    "id",
    "create_time",
    "kind",
    "state",
    "total",
    "finalized",
    "transfer_count",
    "last_error",
)
LIST_LIMIT = 25
SHOWN_COLUMNS = ("position", "recipient_address", "amount", "state", "transaction_signature")


def add(root: Group) -> None:
    """Add the commands."""
    group = root.group("distribute", "pay SOL or tokens from one wallet to many")
    estimate = group.command("estimate", _estimate, "say what a payout would cost")
    create = group.command("create", _create, "plan a payout and freeze the plan")
    for command in (estimate, create):
        orders.add_payout(command)
    orders.add_creation(create)

    execute = group.command("execute", _execute, "approve a plan by its etag, pay and watch")
    execute.add_argument("--etag", required=True, help="as `create` or `get` shows it")
    add_session_option(execute)
    watch = group.command("watch", _watch, "follow a payout to its end")
    listing = group.command(
        "list", _list, "list payouts, consolidations and closings, newest first"
    )
    listing.add_argument("--limit", type=int, default=LIST_LIMIT, help=f"default {LIST_LIMIT}")
    listing.add_argument("--all", action="store_true", help="no limit")
    get = group.command("get", _get, "show a payout")
    transfers = group.command("transfers", _transfers, "list a payout's transfers")
    transfers.add_argument("--csv", action="store_true", help="all receipts as CSV, to stdout")
    pause = group.command("pause", _pause, "sign nothing more; what is signed finishes")
    cancel = group.command("cancel", _cancel, "give up for good what is not signed")
    for command in (execute, watch, get, transfers, pause, cancel):
        command.add_argument("distribution", metavar="DISTRIBUTION", help="its UUID")
    resolutions.add(group)
    gathering.add(root)


def _estimate(context: Context) -> int:
    with context.client() as solward:
        context.output.record(solward.distributions.estimate(orders.payout(context, solward)))
    return 0


def _create(context: Context) -> int:
    options = context.options
    with context.client() as solward:
        payout = orders.payout(context, solward)
        with context.request_id() as request_id:
            planned = solward.distributions.create(
                payout, request_id=request_id, validate_only=options.dry_run
            )
    plans.show(context.output, planned)
    return 0


def _execute(context: Context) -> int:
    options = context.options
    with context.client() as solward:
        planned = solward.distributions.get(options.distribution)
        named = planned.unlock_wallet_ids or [planned.source_wallet_id]
        signers = [solward.wallets.get(wallet_id) for wallet_id in named]
        # The session has to live as long as the payout: one opened here ends after the watch.
        with context.session(solward, signers) as session:
            solward.distributions.execute(planned.id, options.etag, session)
            return follow(context, solward, until_paused=True)


def _watch(context: Context) -> int:
    with context.client() as solward:
        return follow(context, solward)


def _list(context: Context) -> int:
    options, output = context.options, context.output
    limit = None if options.all else max(0, options.limit)
    with context.client() as solward:
        # One more than asked for, to know whether to say that there are more.
        found = list(islice(solward.distributions.list(), None if limit is None else limit + 1))
    output.rows([plans.summary(each, output) for each in found[:limit]], LIST_COLUMNS)
    if limit is not None and len(found) > limit:
        output.note(f"the newest {limit}; --all shows all")
    return 0


def _get(context: Context) -> int:
    with context.client() as solward:
        plans.show(context.output, solward.distributions.get(context.options.distribution))
    return 0


def _transfers(context: Context) -> int:
    options = context.options
    with context.client() as solward:
        found = solward.distributions.transfers(options.distribution)
        if options.csv:
            asset = solward.distributions.get(options.distribution).asset
            write_csv(found, asset, sys.stdout)
        else:
            context.output.rows(map(transfer_row, found), SHOWN_COLUMNS)
    return 0


def write_csv(transfers: Iterable[pb.Transfer], asset: pb.Asset, file: TextIO) -> None:
    """Write transfers as CSV, a line for each after the names of the columns.

    Amounts are in base units of the asset, which every line names; SOL has no mint.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(TRANSFER_COLUMNS)
    for item in transfers:
        row = {**transfer_row(item), "mint": asset.mint, "decimals": asset.decimals}
        writer.writerow([cell(row[column]) for column in TRANSFER_COLUMNS])


def transfer_row(item: pb.Transfer) -> Plain:
    """Return a transfer; the fee by a name that keeps people from adding it up over transfers."""
    row = plain(item)
    row["transaction_fee_lamports"] = row.pop("fee_lamports")
    return row


def _pause(context: Context) -> int:
    with context.client() as solward:
        plans.show(context.output, solward.distributions.pause(context.options.distribution))
    return 0


def _cancel(context: Context) -> int:
    with context.client() as solward:
        plans.show(context.output, solward.distributions.cancel(context.options.distribution))
    return 0
