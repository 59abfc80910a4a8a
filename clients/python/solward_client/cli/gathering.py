"""`solward consolidate` and `solward reclaim`; `solward distribute execute` carries them out."""

from solward_client.cli import orders, plans
from solward_client.cli.commands import Group
from solward_client.cli.context import Context


def add(root: Group) -> None:
    """Add the commands."""
    group = root.group("consolidate", "move what many wallets hold to one")
    create = group.command("create", _consolidate, "plan it; `distribute execute` carries it out")
    orders.add_consolidation(create)
    orders.add_creation(create)
    group = root.group("reclaim", "get back the rent of token accounts")
    create = group.command("create", _reclaim, "plan it; `distribute execute` carries it out")
    orders.add_closing(create)
    orders.add_creation(create)


def _consolidate(context: Context) -> int:
    options = context.options
    with context.client() as solward:
        request = orders.consolidation(context, solward)
        request.request_id = options.request_id or ""
        request.validate_only = options.dry_run
        planned = solward.distributions.consolidate(request)
    plans.show(context.output, planned)
    return 0


def _reclaim(context: Context) -> int:
    options = context.options
    with context.client() as solward:
        request = orders.closing(context, solward)
        request.request_id = options.request_id or ""
        request.validate_only = options.dry_run
        planned = solward.distributions.close_accounts(request)
    plans.show(context.output, planned)
    return 0
