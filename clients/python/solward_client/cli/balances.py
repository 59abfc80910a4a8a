"""`solward balance`."""

from solward_client.cli.commands import Group
from solward_client.cli.context import Context
from solward_client.cli.inputs import is_uuid, read_lines
from solward_client.cli.output import sol

COLUMNS = ("address", "balance_lamports", "error_reason")


def add(root: Group) -> None:
    """Add the commands."""
    group = root.group("balance", "SOL balances")
    get = group.command("get", _get, "show one balance")
    get.add_argument("account", metavar="WALLET", help="a wallet's UUID, or any address")
    batch = group.command("batch", _batch, "show up to 10,000 balances and their sum")
    whose = batch.add_mutually_exclusive_group(required=True)
    whose.add_argument("--master", metavar="UUID", help="all wallets of this master")
    whose.add_argument("--wallets", metavar="FILE", help="UUIDs, one a line, - for stdin")
    whose.add_argument("--addresses", metavar="FILE", help="addresses, one a line, - for stdin")


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
