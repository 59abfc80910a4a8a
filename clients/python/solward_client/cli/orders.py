"""What payouts, consolidations and closings are ordered with: options, made into requests."""

import argparse

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client import distributions as plans
from solward_client.cli.amounts import amount
from solward_client.cli.context import Context
from solward_client.cli.inputs import UsageError, filled, read_lines, refuse_shared_stdin
from solward_client.client import Solward

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


def add_payout(parser: argparse.ArgumentParser) -> None:
    """Add the options of a payout."""
    parser.add_argument("--source", required=True, metavar="WALLET", help="UUID or address")
    parser.add_argument(
        "--total",
        required=True,
        type=amount,
        help='lamports, or such as "1.5sol"; of a token its base units',
    )
    parser.add_argument("--mint", metavar="ADDRESS", type=filled, help="of a token; default SOL")
    parser.add_argument(
        "--transfer-fee", choices=sorted(FEES), help="who bears the fee of a mint that takes one"
    )
    parser.add_argument("--memo", metavar="TEXT", default="", help="for accounts that require one")
    to = parser.add_mutually_exclusive_group(required=True)
    to.add_argument(
        "--to-master", metavar="UUID", type=filled, help="with --first-index and --count"
    )
    to.add_argument(
        "--to-wallets", metavar="FILE", type=filled, help="wallet UUIDs, one a line, - for stdin"
    )
    to.add_argument(
        "--to-addresses", metavar="FILE", type=filled, help="addresses, one a line, - for stdin"
    )
    parser.add_argument("--first-index", type=int, metavar="N", help="of --to-master; default 0")
    parser.add_argument("--count", type=int, metavar="N", help="how many of --to-master's wallets")
    parser.add_argument("--split", choices=SPLITS, default="even", help="default even")
    parser.add_argument("--seed", metavar="HEX", help="of a random split, 32 bytes")
    parser.add_argument(
        "--weights", metavar="FILE", type=filled, help="of a weighted split, one a line"
    )
    _add_tables(parser)


def payout(context: Context, solward: Solward) -> plans.Payout:
    """Return the payout that the options order. Raises UsageError."""
    options = context.options
    total = options.total.of(options.mint or "")
    refuse_shared_stdin(
        options.to_wallets, options.to_addresses, options.weights, options.lookup_tables
    )
    source = context.wallet(solward, options.source)
    return plans.Payout(
        source.id,
        _recipients(options),
        total,
        _split(options),
        options.mint or "",
        FEES.get(options.transfer_fee, pb.TRANSFER_FEE_UNSPECIFIED),
        options.memo,
        _tables(options),
    )


def _recipients(options: argparse.Namespace) -> pb.Recipients:
    if not options.to_master and (options.first_index, options.count) != (None, None):
        raise UsageError("--first-index and --count go with --to-master")
    if options.to_wallets:
        return plans.to_wallets(read_lines(options.to_wallets))
    if options.to_addresses:
        return plans.to_addresses(read_lines(options.to_addresses))
    if options.count is None:
        raise UsageError("--to-master needs --count")
    return plans.to_range(options.to_master, options.first_index or 0, options.count)


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


def add_consolidation(parser: argparse.ArgumentParser) -> None:
    """Add the options of a consolidation."""
    _add_wallets(parser)
    parser.add_argument("--to", required=True, metavar="WALLET", help="who receives")
    parser.add_argument(
        "--fee-payer",
        metavar="WALLET",
        type=filled,
        help="may be the receiver; default: each source its own",
    )
    parser.add_argument(
        "--share-fees",
        action="store_true",
        help="without a fee payer: the first source of each transaction pays for all in it",
    )
    parser.add_argument("--mint", metavar="ADDRESS", type=filled, help="of a token; default SOL")


def consolidation(context: Context, solward: Solward) -> pb.CreateConsolidationRequest:
    """Return the consolidation that the options order, without a request id. Raises UsageError."""
    options = context.options
    refuse_shared_stdin(options.wallets, options.lookup_tables)
    payment = pb.CreateConsolidationRequest.FEE_PAYMENT_EACH_SOURCE
    if options.share_fees:
        payment = pb.CreateConsolidationRequest.FEE_PAYMENT_FIRST_SOURCE
    payer = context.wallet(solward, options.fee_payer).id if options.fee_payer else ""
    return pb.CreateConsolidationRequest(
        source_wallet_ids=read_lines(options.wallets),
        destination_wallet_id=context.wallet(solward, options.to).id,
        fee_payer_wallet_id=payer,
        fee_payment=payment,
        mint=options.mint or "",
        lookup_table_addresses=_tables(options),
    )


def add_closing(parser: argparse.ArgumentParser) -> None:
    """Add the options of a closing."""
    _add_wallets(parser)
    parser.add_argument("--to", required=True, metavar="WALLET", help="who receives and pays fees")
    parser.add_argument(
        "--mode", choices=sorted(MODES), default="close", help="default close: empty accounts only"
    )


def closing(context: Context, solward: Solward) -> pb.CloseEmptyAccountsRequest:
    """Return the closing that the options order, without a request id. Raises UsageError."""
    options = context.options
    refuse_shared_stdin(options.wallets, options.lookup_tables)
    return pb.CloseEmptyAccountsRequest(
        wallet_ids=read_lines(options.wallets),
        destination_wallet_id=context.wallet(solward, options.to).id,
        mode=MODES[options.mode],
        lookup_table_addresses=_tables(options),
    )


def add_creation(parser: argparse.ArgumentParser) -> None:
    """Add the options of whatever stores a plan."""
    parser.add_argument("--dry-run", action="store_true", help="check the plan, store nothing")
    parser.add_argument("--request-id", metavar="UUID", help="to repeat a call safely")


def _add_wallets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wallets", required=True, metavar="FILE", help="wallet UUIDs, one a line, - for stdin"
    )
    _add_tables(parser)


def _add_tables(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lookup-tables",
        metavar="FILE",
        type=filled,
        help="lookup tables to use, by address, one a line: v0 transactions",
    )


def _tables(options: argparse.Namespace) -> list[str]:
    return read_lines(options.lookup_tables) if options.lookup_tables else []
