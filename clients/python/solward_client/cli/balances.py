"""`solward balance`."""

from itertools import islice

from solward_client.cli.commands import Group
from solward_client.cli.context import Context
from solward_client.cli.inputs import is_uuid, read_lines
from solward_client.cli.output import sol
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
    "withheld_amount",
    "error_reason",
)
HISTORY_COLUMNS = (
    "block_time",
    "change_lamports",
    "fee_lamports",
    "failed",
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
    whose = batch.add_mutually_exclusive_group(required=True)
    whose.add_argument("--master", metavar="UUID", help="all wallets of this master")
    whose.add_argument("--tag", metavar="TAG", help="all wallets with this tag")
    whose.add_argument("--wallets", metavar="FILE", help="UUIDs, one a line, - for stdin")
    whose.add_argument("--addresses", metavar="FILE", help="addresses, one a line, - for stdin")

    tokens = group.command("tokens", _tokens, "list a wallet's token accounts")
    tokens.add_argument("wallet", metavar="WALLET", help="its UUID or address")
    history = group.command("history", _history, "list a wallet's transactions, newest first")
    history.add_argument("wallet", metavar="WALLET", help="its UUID or address")
    history.add_argument(
        "--limit", type=int, default=HISTORY_LIMIT, help=f"default {HISTORY_LIMIT}"
    )
    history.add_argument("--before", metavar="SIGNATURE", default="", help="only older ones")
    history.add_argument("--until", metavar="SIGNATURE", default="", help="only newer ones")


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
    with context.client() as solward:
        wallet_id = _wallet_id(solward, context.options.wallet)
        found = list(solward.balances.tokens(wallet_id, page_size=_PAGE_SIZE))
    context.output.table(found, TOKEN_COLUMNS)
    return 1 if any(item.error_reason for item in found) else 0


def _history(context: Context) -> int:
    options = context.options
    with context.client() as solward:
        records = solward.balances.history(
            _wallet_id(solward, options.wallet),
            before=options.before,
            until=options.until,
            page_size=max(1, min(options.limit, _PAGE_SIZE)),
        )
        found = list(islice(records, max(0, options.limit)))
    context.output.table(found, HISTORY_COLUMNS)
    return 1 if any(record.error_reason for record in found) else 0


def _wallet_id(solward: Solward, wallet: str) -> str:
    return wallet if is_uuid(wallet) else solward.wallets.get_by_address(wallet).id
