"""`solward master`."""

from solward_client.cli.commands import Group
from solward_client.cli.context import Context
from solward_client.cli.inputs import refuse_shared_stdin, secret

COLUMNS = ("id", "fingerprint", "derived_count", "create_time")


def add(root: Group) -> None:
    """Add the commands."""
    group = root.group("master", "master wallets")
    create = group.command("create", _create, "create a master; nobody sees its mnemonic")
    create.add_argument("--words", type=int, choices=(12, 24), default=24, help="default 24")
    create.add_argument("--request-id", metavar="UUID", help="to repeat a call safely")
    group.command("list", _list, "list all masters")
    get = group.command("get", _get, "show one master")
    get.add_argument("master", metavar="MASTER", help="its UUID")
    rotate = group.command(
        "rotate-password", _rotate, "seal a master and all its wallets under a new password"
    )
    rotate.add_argument("master", metavar="MASTER", help="its UUID")
    rotate.add_argument("--new-password-file", metavar="FILE", help="default: ask")


def _create(context: Context) -> int:
    options = context.options
    with context.client() as solward:
        password = context.password(confirm=True)
        with context.request_id() as request_id:
            master = solward.masters.create(
                password, word_count=options.words, request_id=request_id
            )
    context.output.record(master)
    return 0


def _list(context: Context) -> int:
    with context.client() as solward:
        context.output.table(solward.masters.list(), COLUMNS)
    return 0


def _get(context: Context) -> int:
    with context.client() as solward:
        context.output.record(solward.masters.get(context.options.master))
    return 0


def _rotate(context: Context) -> int:
    options = context.options
    refuse_shared_stdin(options.password_file, options.new_password_file)
    with context.client() as solward:
        master = solward.masters.get(options.master)
        old = context.password()
        new = secret(options.new_password_file, "New password", confirm=True)
        context.output.record(solward.signing.rotate_password(master, old, new))
    return 0
