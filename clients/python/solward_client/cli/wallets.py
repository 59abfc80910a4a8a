"""`solward wallet`."""

from itertools import islice

from solward_client.cli.amounts import lamports
from solward_client.cli.commands import Group
from solward_client.cli.context import Context
from solward_client.cli.inputs import (
    UsageError,
    moment,
    read_private_key,
    refuse_shared_stdin,
    secret,
)
from solward_client.wallets import COUNT_MAX, WalletFilter

COLUMNS = ("id", "address", "derivation_index", "tags", "trade_count", "volume_lamports")
LIST_LIMIT = 100


def add(root: Group) -> None:
    """Add the commands."""
    group = root.group("wallet", "wallets: derive, import, find, tag, delete")
    derive = group.command("derive", _derive, "derive and store wallets of a master")
    derive.add_argument("master", metavar="MASTER", help="the master's UUID")
    derive.add_argument("--count", type=int, required=True, help=f"1 to {COUNT_MAX}")
    derive.add_argument("--first-index", type=int, metavar="N", help="default: the next free one")
    derive.add_argument("--tag", action="append", default=[], help="may be repeated")

    imported = group.command("import", _import, "store a private key that was made elsewhere")
    imported.add_argument("key_file", metavar="FILE", help="solana-keygen or base58, - for stdin")
    imported.add_argument("--tag", action="append", default=[], help="may be repeated")
    imported.add_argument("--request-id", metavar="UUID", help="to repeat a call safely")

    _add_list(group)
    _add_single(group)


def _add_list(group: Group) -> None:
    listing = group.command("list", _list, "list the wallets that match every filter")
    listing.add_argument("--master", default="", metavar="UUID")
    listing.add_argument("--tag", action="append", default=[], help="may be repeated: all of them")
    listing.add_argument("--prefix", default="", help="how the address begins")
    listing.add_argument("--index-min", type=int, metavar="N")
    listing.add_argument("--index-max", type=int, metavar="N")
    listing.add_argument("--created-from", type=moment, metavar="TIME", help="ISO 8601, inclusive")
    listing.add_argument("--created-before", type=moment, metavar="TIME", help="ISO 8601")
    listing.add_argument("--limit", type=int, default=LIST_LIMIT, help=f"default {LIST_LIMIT}")
    listing.add_argument("--all", action="store_true", help="no limit")


def _add_single(group: Group) -> None:
    get = group.command("get", _get, "show one wallet")
    update = group.command("update", _update, "replace a wallet's tags or display name")
    tag = group.command("tag", _tag, "add a tag")
    untag = group.command("untag", _untag, "remove a tag")
    delete = group.command("delete", _delete, "delete a wallet and its sealed key for good")
    trade = group.command("trade", _trade, "add a trade to a wallet's totals")
    rotate = group.command(
        "rotate-password", _rotate, "seal an imported wallet under a new password"
    )
    for command in (get, update, tag, untag, delete, trade, rotate):
        command.add_argument("wallet", metavar="WALLET", help="its UUID or address")
    update.add_argument("--name", help="the new display name")
    update.add_argument("--tags", metavar="A,B", help='all the new tags; "" for none')
    tag.add_argument("tag")
    untag.add_argument("tag")
    trade.add_argument("volume", type=lamports, help='lamports, or such as "1.5sol"')
    trade.add_argument("--request-id", metavar="UUID", help="to repeat a call safely")
    rotate.add_argument("--new-password-file", metavar="FILE", help="default: ask")


def _derive(context: Context) -> int:
    options = context.options
    with context.client() as solward:
        master = solward.masters.get(options.master)
        password = context.password()
        with context.output.progress("Deriving") as progress:
            done = solward.wallets.derive(
                master,
                options.count,
                password,
                first_index=options.first_index,
                tags=options.tag,
                progress=progress,
            )
    context.output.values(
        {"first_index": done.first_index, "count": done.count, "created_count": done.created_count}
    )
    return 0


def _import(context: Context) -> int:
    options = context.options
    refuse_shared_stdin(options.password_file, options.key_file)
    address, key = read_private_key(options.key_file)
    with context.client() as solward:
        password = context.password(confirm=True)
        with context.request_id() as request_id:
            wallet = solward.wallets.import_key(
                address, key, password, tags=options.tag, request_id=request_id
            )
    context.output.record(wallet)
    return 0


def _list(context: Context) -> int:
    options = context.options
    where = WalletFilter(
        tags=options.tag,
        master_wallet_id=options.master,
        address_prefix=options.prefix,
        index_min=options.index_min,
        index_max=options.index_max,
        create_time_min=options.created_from,
        create_time_max=options.created_before,
    )
    limit = None if options.all else options.limit
    with context.client() as solward:
        # One more than asked for, to know whether to say that there are more.
        found = list(islice(solward.wallets.list(where), None if limit is None else limit + 1))
    context.output.table(found[:limit], COLUMNS)
    if limit is not None and len(found) > limit:
        context.output.note(f"the first {limit}; --all shows all")
    return 0


def _get(context: Context) -> int:
    with context.client() as solward:
        context.output.record(context.wallet(solward, context.options.wallet))
    return 0


def _update(context: Context) -> int:
    options = context.options
    if options.name is None and options.tags is None:
        raise UsageError("nothing to change: give --name or --tags")
    tags = None
    if options.tags is not None:
        tags = [tag for tag in options.tags.split(",") if tag]
    with context.client() as solward:
        wallet = context.wallet(solward, options.wallet)
        context.output.record(
            solward.wallets.update(wallet.id, tags=tags, display_name=options.name)
        )
    return 0


def _tag(context: Context) -> int:
    with context.client() as solward:
        wallet = context.wallet(solward, context.options.wallet)
        context.output.record(solward.wallets.add_tag(wallet.id, context.options.tag))
    return 0


def _untag(context: Context) -> int:
    with context.client() as solward:
        wallet = context.wallet(solward, context.options.wallet)
        context.output.record(solward.wallets.remove_tag(wallet.id, context.options.tag))
    return 0


def _delete(context: Context) -> int:
    with context.client() as solward:
        wallet = context.wallet(solward, context.options.wallet)
        solward.wallets.delete(wallet.id, context.password())
    context.output.values({"deleted": wallet.id, "address": wallet.address})
    return 0


def _trade(context: Context) -> int:
    options = context.options
    with context.client() as solward:
        wallet = context.wallet(solward, options.wallet)
        with context.request_id() as request_id:
            traded = solward.wallets.record_trade(wallet.id, options.volume, request_id=request_id)
        context.output.record(traded)
    return 0


def _rotate(context: Context) -> int:
    options = context.options
    refuse_shared_stdin(options.password_file, options.new_password_file)
    with context.client() as solward:
        wallet = context.wallet(solward, options.wallet)
        old = context.password()
        new = secret(options.new_password_file, "New password", confirm=True)
        context.output.record(solward.signing.rotate_password(wallet, old, new))
    return 0
