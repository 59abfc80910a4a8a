"""`solward balance`."""

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from solward.gateway.v1 import balance_service_pb2 as pb
from solward_client.balances import select
from solward_client.calls import LONG_TIMEOUT_S
from solward_client.cli.amounts import sol
from solward_client.cli.commands import Group
from solward_client.cli.context import Context
from solward_client.cli.inputs import UsageError, filled, is_uuid, read_lines, seconds
from solward_client.cli.plain import Plain, plain
from solward_client.client import Solward

COLUMNS = ("address", "balance_lamports", "error_reason")
TOKEN_COLUMNS = (
    "symbol",
    "amount",
    "decimals",
    "mint",
    "token_account",
    "frozen",
    "delegate",
    "delegated_amount",
    "close_authority",
    "withheld_amount",
    "is_associated",
    "native",
    "error_reason",
)
TOTAL_COLUMNS = (
    "symbol",
    "amount",
    "decimals",
    "frozen_amount",
    "account_count",
    "mint",
    "error_reason",
)
HISTORY_COLUMNS = (
    "block_time",
    "change_lamports",
    "tokens",
    "fee_lamports",
    "failed",
    "error",
    "slot",
    "version",
    "signature",
    "error_reason",
)
HISTORY_LIMIT = 25
_PAGE_SIZE = 100


def add(root: Group) -> None:
    """Add the commands."""
    group = root.group("balance", "balances, tokens and history")
    get = group.command("get", _get, "show one balance")
    get.add_argument("account", metavar="WALLET", help="a wallet's UUID, or any address")
    batch = group.command("batch", _batch, "show up to 10,000 balances and their sum")
    _add_selection(batch.add_mutually_exclusive_group(required=True).add_argument)

    tokens = group.command("tokens", _tokens, "list token accounts of one or of many wallets")
    whose = tokens.add_mutually_exclusive_group(required=True)
    whose.add_argument("wallet", metavar="WALLET", nargs="?", help="its UUID or address")
    _add_selection(whose.add_argument)
    _add_filter(tokens)

    total = group.command("total", _total, "add up what many wallets hold, SOL and each token")
    _add_selection(total.add_mutually_exclusive_group(required=True).add_argument)
    _add_filter(total)

    history = group.command("history", _history, "list a wallet's transactions, newest first")
    history.add_argument("wallet", metavar="WALLET", help="its UUID or address")
    history.add_argument(
        "--limit", type=int, default=HISTORY_LIMIT, help=f"default {HISTORY_LIMIT}"
    )
    history.add_argument("--before", metavar="SIGNATURE", default="", help="only older ones")
    history.add_argument("--until", metavar="SIGNATURE", default="", help="only newer ones")
    history.add_argument(
        "--all-accounts",
        action="store_true",
        help="also what names only its token accounts, such as tokens received",
    )
    history.add_argument(
        "--mint",
        metavar="ADDRESS",
        action="append",
        default=[],
        help="with that, only of this mint",
    )


def _add_selection(add_argument: Callable[..., object]) -> None:
    add_argument("--master", metavar="UUID", type=filled, help="all wallets of this master")
    add_argument("--tag", metavar="TAG", type=filled, help="all wallets with this tag")
    add_argument("--group", metavar="NAME", type=filled, help="all wallets of this policy group")
    add_argument("--wallets", metavar="FILE", type=filled, help="UUIDs, one a line, - for stdin")
    add_argument(
        "--addresses", metavar="FILE", type=filled, help="addresses, one a line, - for stdin"
    )


def _add_filter(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--mint",
        metavar="ADDRESS",
        action="append",
        default=[],
        type=filled,
        help="only this mint; repeatable",
    )
    command.add_argument(
        "--associated-only",
        action="store_true",
        help="with --mint, only associated accounts: much quicker for many wallets",
    )
    command.add_argument(
        "--timeout",
        type=seconds,
        default=LONG_TIMEOUT_S,
        metavar="SECONDS",
        help=f"how long all of it may take; default {LONG_TIMEOUT_S:.0f}",
    )


def _selection(options: argparse.Namespace) -> pb.WalletSelection:
    return select(
        master_wallet_id=options.master or "",
        tag=options.tag or "",
        policy_group=options.group or "",
        wallet_ids=read_lines(options.wallets) if options.wallets else (),
        addresses=read_lines(options.addresses) if options.addresses else (),
    )


def _get(context: Context) -> int:
    account = context.options.account
    key = "wallet_id" if is_uuid(account) else "address"
    with context.client() as solward:
        context.output.record(solward.balances.get(**{key: account}))
    return 0


def _batch(context: Context) -> int:
    options, output = context.options, context.output
    with context.client() as solward:
        if options.master:
            answer = solward.balances.of_master(options.master)
        elif options.tag:
            answer = solward.balances.of_tag(options.tag)
        elif options.group:
            answer = solward.balances.of_group(options.group)
        elif options.wallets:
            answer = solward.balances.of_wallets(read_lines(options.wallets))
        else:
            answer = solward.balances.of_addresses(read_lines(options.addresses))
    if output.as_json:
        output.record(answer)
    else:
        output.table(answer.balances, COLUMNS)
        output.note(f"total {sol(answer.total_lamports)} SOL, {answer.error_count} not read")
    return 1 if answer.error_count else 0


def _tokens(context: Context) -> int:
    options = context.options
    if not options.wallet:
        return _many_tokens(context)
    if options.mint or options.associated_only:
        raise UsageError("--mint and --associated-only are for many wallets")
    with context.client() as solward:
        wallet_id = _wallet_id(solward, options.wallet)
        found = list(solward.balances.tokens(wallet_id, page_size=_PAGE_SIZE))
    context.output.table(found, TOKEN_COLUMNS)
    return 1 if any(item.error_reason for item in found) else 0


def _many_tokens(context: Context) -> int:
    options, output = context.options, context.output
    counts: Counter[str] = Counter()

    def rows(wallets: Iterable[pb.WalletTokenBalances]) -> Iterator[Plain]:
        for wallet in wallets:
            counts["wallets"] += 1
            unread = [pb.TokenBalance(error_reason=wallet.error_reason)]
            for item in unread if wallet.error_reason else wallet.token_balances:
                counts["errors" if item.error_reason else "read"] += 1
                yield {"wallet": wallet.address, **plain(item)}

    with context.client() as solward, output.progress("wallets") as show:
        wallets = solward.balances.stream_tokens(
            _selection(options),
            mints=options.mint,
            associated_only=options.associated_only,
            progress=show,
            timeout_s=options.timeout,
        )
        output.rows(rows(wallets), ("wallet", *TOKEN_COLUMNS))
    output.note(
        f"{counts['wallets']} wallets, {counts['read']} token accounts, {counts['errors']} errors"
    )
    return 1 if counts["errors"] else 0


def _total(context: Context) -> int:
    options, output = context.options, context.output
    with context.client() as solward:
        answer = solward.balances.total(
            _selection(options),
            mints=options.mint,
            associated_only=options.associated_only,
            timeout_s=options.timeout,
        )
    if output.as_json:
        output.record(answer)
    else:
        output.table(answer.tokens, TOTAL_COLUMNS)
        output.note(
            f"{answer.wallet_count} wallets hold {sol(answer.total_lamports)} SOL, and "
            f"{sol(answer.token_account_lamports)} SOL in token accounts; "
            f"{answer.error_count} not read"
        )
        for error in answer.errors:
            output.note(f"{error.address} {error.token_account} {error.error_reason}")
    return 1 if answer.error_count else 0


def _history(context: Context) -> int:
    options = context.options
    with context.client() as solward:
        records = solward.balances.history(
            _wallet_id(solward, options.wallet),
            before=options.before,
            until=options.until,
            page_size=max(1, min(options.limit, _PAGE_SIZE)),
            include_token_accounts=options.all_accounts,
            mints=options.mint,
        )
        found = list(islice(records, max(0, options.limit)))
    if context.output.as_json:
        context.output.table(found, ())
    else:
        rows = [{**plain(item), "tokens": _moves(item)} for item in found]
        context.output.rows(rows, HISTORY_COLUMNS)
    return 1 if any(record.error_reason for record in found) else 0


def _moves(record: pb.TransactionRecord) -> list[str]:
    """What came to or left each token account, as in "+700/6 of MINT": 700 units of 6 decimals."""
    return [
        f"{change.after_amount - change.before_amount:+d}/{change.decimals} of {change.mint}"
        for change in record.token_changes
    ]


def _wallet_id(solward: Solward, wallet: str) -> str:
    return wallet if is_uuid(wallet) else solward.wallets.get_by_address(wallet).id
