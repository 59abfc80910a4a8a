"""`solward distribute`, `solward consolidate` and `solward reclaim`."""

import argparse
import csv
import sys

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client import distributions as plans
from solward_client.cli import resolutions
from solward_client.cli.commands import Group
from solward_client.cli.context import Context
from solward_client.cli.following import follow
from solward_client.cli.inputs import UsageError, lamports, read_lines
from solward_client.cli.signing import add_session_option
from solward_client.client import Solward

TRANSFER_COLUMNS = (
    "position",
    "source_address",
    "recipient_address",
    "amount",
    "withheld_amount",
    "state",
    "transaction_signature",
    "slot",
    "fee_lamports",
    "receipt",
    "error",
)
SHOWN_COLUMNS = ("position", "recipient_address", "amount", "state", "transaction_signature")
SPLITS = ("even", "random", "weighted")
FEES = {
    "recipient": pb.TRANSFER_FEE_RECIPIENT,
    "source": pb.TRANSFER_FEE_SOURCE,
}
MODES = {
    "close": pb.CloseEmptyAccountsRequest.MODE_CLOSE,
    "reclaim": pb.CloseEmptyAccountsRequest.MODE_RECLAIM,
    "both": pb.CloseEmptyAccountsRequest.MODE_CLOSE_AND_RECLAIM,
}


def add(root: Group) -> None:
    """Add the commands."""
    group = root.group("distribute", "pay SOL from one wallet to many")
    estimate = group.command("estimate", _estimate, "say what a payout would cost")
    create = group.command("create", _create, "plan a payout and freeze the plan")
    for command in (estimate, create):
        _add_payout(command)
    create.add_argument("--dry-run", action="store_true", help="check the plan, store nothing")
    create.add_argument("--request-id", metavar="UUID", help="to repeat a call safely")

    execute = group.command("execute", _execute, "approve a plan by its etag, pay and watch")
    execute.add_argument("--etag", required=True, help="as `create` or `get` shows it")
    add_session_option(execute)
    watch = group.command("watch", _watch, "follow a payout to its end")
    get = group.command("get", _get, "show a payout")
    transfers = group.command("transfers", _transfers, "list a payout's transfers")
    transfers.add_argument("--csv", action="store_true", help="all receipts as CSV, to stdout")
    pause = group.command("pause", _pause, "sign nothing more; what is signed finishes")
    cancel = group.command("cancel", _cancel, "give up for good what is not signed")
    for command in (execute, watch, get, transfers, pause, cancel):
        command.add_argument("distribution", metavar="DISTRIBUTION", help="its UUID")
    resolutions.add(group)
    _add_consolidate(root)
    _add_reclaim(root)


def _add_consolidate(root: Group) -> None:
    group = root.group("consolidate", "move what many wallets hold to one")
    create = group.command("create", _consolidate, "plan it; `distribute execute` carries it out")
    _add_wallets(create)
    create.add_argument("--to", required=True, metavar="WALLET", help="who receives")
    create.add_argument(
        "--fee-payer", metavar="WALLET", help="may be the receiver; default: each source its own"
    )
    create.add_argument(
        "--share-fees",
        action="store_true",
        help="without a fee payer: the first source of each transaction pays for all in it",
    )
    create.add_argument("--mint", metavar="ADDRESS", help="of a token; default SOL")


def _add_reclaim(root: Group) -> None:
    group = root.group("reclaim", "get back the rent of token accounts")
    create = group.command("create", _reclaim, "plan it; `distribute execute` carries it out")
    _add_wallets(create)
    create.add_argument("--to", required=True, metavar="WALLET", help="who receives and pays fees")
    create.add_argument(
        "--mode", choices=sorted(MODES), default="close", help="default close: empty accounts only"
    )


def _add_tables(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lookup-tables",
        metavar="FILE",
        help="lookup tables to use, by address, one a line: v0 transactions",
    )


def _tables(options: argparse.Namespace) -> list[str]:
    return read_lines(options.lookup_tables) if options.lookup_tables else []


def _add_wallets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wallets", required=True, metavar="FILE", help="wallet UUIDs, one a line, - for stdin"
    )
    parser.add_argument("--dry-run", action="store_true", help="check the plan, store nothing")
    parser.add_argument("--request-id", metavar="UUID", help="to repeat a call safely")
    _add_tables(parser)


def _add_payout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", required=True, metavar="WALLET", help="UUID or address")
    parser.add_argument(
        "--total",
        required=True,
        type=lamports,
        help='lamports, or such as "1.5sol"; of a token its base units',
    )
    parser.add_argument("--mint", metavar="ADDRESS", default="", help="of a token; default SOL")
    parser.add_argument(
        "--transfer-fee", choices=sorted(FEES), help="who bears the fee of a mint that takes one"
    )
    parser.add_argument("--memo", metavar="TEXT", default="", help="for accounts that require one")
    to = parser.add_mutually_exclusive_group(required=True)
    to.add_argument("--to-master", metavar="UUID", help="with --first-index and --count")
    to.add_argument("--to-wallets", metavar="FILE", help="wallet UUIDs, one a line, - for stdin")
    to.add_argument("--to-addresses", metavar="FILE", help="addresses, one a line, - for stdin")
    parser.add_argument("--first-index", type=int, default=0, metavar="N", help="default 0")
    parser.add_argument("--count", type=int, metavar="N", help="how many of --to-master's wallets")
    parser.add_argument("--split", choices=SPLITS, default="even", help="default even")
    parser.add_argument("--seed", metavar="HEX", help="of a random split, 32 bytes")
    parser.add_argument("--weights", metavar="FILE", help="of a weighted split, one a line")
    _add_tables(parser)


def _payout(context: Context, solward: Solward) -> plans.Payout:
    options = context.options
    source = context.wallet(solward, options.source)
    return plans.Payout(
        source.id,
        _recipients(options),
        options.total,
        _split(options),
        options.mint,
        FEES.get(options.transfer_fee, pb.TRANSFER_FEE_UNSPECIFIED),
        options.memo,
        _tables(options),
    )


def _recipients(options: argparse.Namespace) -> pb.Recipients:
    if options.to_wallets:
        return plans.to_wallets(read_lines(options.to_wallets))
    if options.to_addresses:
        return plans.to_addresses(read_lines(options.to_addresses))
    if options.count is None:
        raise UsageError("--to-master needs --count")
    return plans.to_range(options.to_master, options.first_index, options.count)


def _split(options: argparse.Namespace) -> pb.Split:
    if (options.split == "weighted") != (options.weights is not None):
        raise UsageError("--split weighted and --weights go together")
    if options.seed is not None and options.split != "random":
        raise UsageError("--seed goes with --split random")
    try:
        if options.split == "random":
            return plans.random_split(bytes.fromhex(options.seed or ""))
        if options.split == "weighted":
            return plans.weighted_split([int(line) for line in read_lines(options.weights)])
    except ValueError:
        raise UsageError("a seed is hex, a weight a whole number") from None
    return plans.even_split()


def _estimate(context: Context) -> int:
    with context.client() as solward:
        context.output.record(solward.distributions.estimate(_payout(context, solward)))
    return 0


def _create(context: Context) -> int:
    options = context.options
    with context.client() as solward:
        planned = solward.distributions.create(
            _payout(context, solward), request_id=options.request_id, validate_only=options.dry_run
        )
    context.output.record(planned)
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


def _get(context: Context) -> int:
    with context.client() as solward:
        context.output.record(solward.distributions.get(context.options.distribution))
    return 0


def _transfers(context: Context) -> int:
    options = context.options
    with context.client() as solward:
        found = solward.distributions.transfers(options.distribution)
        if options.csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(TRANSFER_COLUMNS)
            for item in found:
                writer.writerow([_csv_cell(item, column) for column in TRANSFER_COLUMNS])
        else:
            context.output.table(found, SHOWN_COLUMNS if not options.as_json else TRANSFER_COLUMNS)
    return 0


def _csv_cell(item: pb.Transfer, column: str) -> str:
    if column == "state":
        return pb.Transfer.State.Name(item.state).removeprefix("STATE_")
    return str(getattr(item, column))


def _consolidate(context: Context) -> int:
    options = context.options
    payment = pb.CreateConsolidationRequest.FEE_PAYMENT_EACH_SOURCE
    if options.share_fees:
        payment = pb.CreateConsolidationRequest.FEE_PAYMENT_FIRST_SOURCE
    with context.client() as solward:
        payer = context.wallet(solward, options.fee_payer).id if options.fee_payer else ""
        request = pb.CreateConsolidationRequest(
            request_id=options.request_id or "",
            source_wallet_ids=read_lines(options.wallets),
            destination_wallet_id=context.wallet(solward, options.to).id,
            fee_payer_wallet_id=payer,
            fee_payment=payment,
            mint=options.mint or "",
            validate_only=options.dry_run,
            lookup_table_addresses=_tables(options),
        )
        context.output.record(solward.distributions.consolidate(request))
    return 0


def _reclaim(context: Context) -> int:
    options = context.options
    with context.client() as solward:
        request = pb.CloseEmptyAccountsRequest(
            request_id=options.request_id or "",
            wallet_ids=read_lines(options.wallets),
            destination_wallet_id=context.wallet(solward, options.to).id,
            mode=MODES[options.mode],
            validate_only=options.dry_run,
            lookup_table_addresses=_tables(options),
        )
        context.output.record(solward.distributions.close_accounts(request))
    return 0


def _pause(context: Context) -> int:
    with context.client() as solward:
        context.output.record(solward.distributions.pause(context.options.distribution))
    return 0


def _cancel(context: Context) -> int:
    with context.client() as solward:
        context.output.record(solward.distributions.cancel(context.options.distribution))
    return 0
